"""What surrounds a build, varied: clock, names, paths, order, processors, addresses.

A variation is applied from outside, to what the sandbox is started under and in. What
of it a build can see is not assumed but observed; see `observation`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fromager.derivations.building.sandbox import ADDR_NO_RANDOMIZE, Launch
from fromager.derivations.realising.backend import leave_source
from fromager.derivations.realising.rebuilding import Conditions

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

_UNAME26: Final = 0x0020000
"""A flag of personality(2): the kernel calls itself 2.6."""
_LATER: Final = 400 * 24 * 3600
"""Seconds by which the clocks that count from the machine's start are set forward."""
_HOST: Final = "zeta"
_PROBE_TIMEOUT: Final = 10.0


class Variation(Enum):
    """What is varied; the values are names that people write."""

    TIME = "time"
    UMASK = "umask"
    TZ = "tz"
    LOCALE = "locale"
    HOME = "home"
    HOSTNAME = "hostname"
    CORES = "cores"
    READDIR = "readdir"
    ASLR = "aslr"
    BUILD_PATH = "build-path"
    KERNEL = "kernel"


@dataclass(frozen=True, slots=True)
class VariationMeans:
    """What this machine has to vary with."""

    cores: int
    """Processors that a build is given otherwise."""
    most_cores: int
    """Processors that there are."""
    ordered: Path | None
    """A folder whose file system lists files in the order of their making."""
    elsewhere: Path | None
    """A folder that lies somewhere else than builds do otherwise."""
    namespaces: tuple[str, ...]
    """The command that starts another one with clocks and host name of its own;
    empty if that is not possible here."""


def look_around(cores: int, ordered: Path | None, elsewhere: Path) -> VariationMeans:
    """What this machine has; `ordered` is used only if it is what it must be."""
    return VariationMeans(
        cores,
        len(os.sched_getaffinity(0)),
        ordered if ordered is not None and _is_ordered(ordered) else None,
        elsewhere if _runs_programs(elsewhere) else None,
        _namespaces(),
    )


def missing(variation: Variation, around: VariationMeans) -> str | None:
    """Why something cannot be varied on this machine; None if it can."""
    match variation:
        case Variation.CORES if around.most_cores < 2:
            return "this machine has one processor"
        case Variation.READDIR if around.ordered is None:
            return "there is no file system in memory on which programs may run"
        case Variation.BUILD_PATH if around.elsewhere is None:
            return "there is no second folder in which programs may run"
        case Variation.HOSTNAME if not around.namespaces:
            return "this machine forbids namespaces of its own for a host name"
    return None


def conditions(varied: Collection[Variation], around: VariationMeans) -> Conditions:
    """What a step is done under where these, and nothing else, are varied."""
    folder = around.elsewhere if Variation.BUILD_PATH in varied else None
    if Variation.READDIR in varied:
        folder = around.ordered
    cores = None
    if Variation.CORES in varied:
        cores = 1 if around.cores > 1 else 2
    return Conditions(
        launch=Launch(_prefix(varied, around), _environment(varied), _flags(varied)),
        cores=cores,
        folder=folder,
        prepare=reverse_listing if Variation.READDIR in varied else leave_source,
    )


def reverse_listing(folder: Path) -> None:
    """Make a folder, and all below it, list files in another order than before.

    It must lie where files are listed in the order of their making; see
    `look_around`. Times and modes stay as they are.
    """
    walk = list(os.walk(folder, topdown=False))
    times = {path: Path(path).stat().st_mtime_ns for path, _, _ in walk}
    for path, _, _ in walk:
        place = Path(path)
        before = os.listdir(place)
        _make_anew(place, before)
        if os.listdir(place) == before:
            _make_anew(place, before[::-1])
    for path, time in times.items():
        os.utime(path, ns=(time, time))


def _make_anew(folder: Path, names: Sequence[str]) -> None:
    """Make the entries of a folder once more, in this order."""
    aside = folder.with_name(f"{folder.name}.aside")
    aside.mkdir()
    for source, target in ((folder, aside), (aside, folder)):
        for name in names:
            (source / name).rename(target / name)
    aside.rmdir()


def _prefix(varied: Collection[Variation], around: VariationMeans) -> tuple[str, ...]:
    prefix: list[str] = []
    script = []
    if Variation.HOSTNAME in varied:
        script.append(f"hostname {_HOST}")
    if Variation.UMASK in varied:
        script.append("umask 077")
    if around.namespaces and (Variation.HOSTNAME in varied or Variation.TIME in varied):
        prefix += around.namespaces
        prefix.append("--uts")
        if Variation.TIME in varied:
            prefix += "--time", "--boottime", str(_LATER), "--monotonic", str(_LATER)
    if script:
        prefix += "/bin/sh", "-c", f'{" && ".join(script)} && exec "$@"', "sh"
    return tuple(prefix)


def _environment(varied: Collection[Variation]) -> Mapping[str, str]:
    found = {"PATH": os.defpath}
    if Variation.TZ in varied:
        found["TZ"] = "Asia/Kolkata"
    if Variation.LOCALE in varied:
        found |= {"LANG": "tr_TR.UTF-8", "LC_ALL": "C", "LANGUAGE": "tr"}
    if Variation.HOME in varied:
        found |= {"HOME": "/nonexistent/somebody", "USER": "somebody"}
    return found


def _flags(varied: Collection[Variation]) -> int:
    flags = 0 if Variation.ASLR in varied else ADDR_NO_RANDOMIZE
    return flags | _UNAME26 if Variation.KERNEL in varied else flags


def _namespaces() -> tuple[str, ...]:
    """The shortest command that gives a process its own clocks and host name."""
    unshare = shutil.which("unshare", path=os.defpath)
    if unshare is None:
        return ()
    for command in ((unshare,), (unshare, "--user", "--map-root-user")):
        trial = (*command, "--uts", "--time", "--boottime", "1", "--")
        try:
            done = subprocess.run(
                [*trial, "/bin/sh", "-c", f"hostname {_HOST}"],
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=_PROBE_TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.SubprocessError):
            continue
        if done.returncode == 0:
            return command
    return ()


def _runs_programs(folder: Path) -> bool:
    try:
        return not os.statvfs(folder).f_flag & os.ST_NOEXEC and os.access(
            folder, os.W_OK
        )
    except OSError:
        return False


def _is_ordered(folder: Path) -> bool:
    """Whether a listing there depends on the order of making; tried out."""
    from tempfile import TemporaryDirectory

    if not _runs_programs(folder):
        return False
    with TemporaryDirectory(dir=folder, prefix="fromager-") as made:
        inside = Path(made)
        (inside / "src").mkdir()
        for number in range(8):
            (inside / "src" / f"file{number}").touch()
        before = os.listdir(inside / "src")
        reverse_listing(inside / "src")
        return before != os.listdir(inside / "src")
