"""What a build is done among: recorded beside what it gave, and no part of its key.

Honest builders may differ in all of it. Where what they built differs, too, this is
where to look first.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from fromager.store import file_system_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from fromager.store import Realisation

HostFacts: TypeAlias = "Callable[[str], tuple[tuple[str, str], ...]]"
"""Gives the facts of a build that is done now, at a level of the sandbox."""
VERSION: Final = "version."
"""What the names of facts begin with that tell the version of a program."""
HOST: Final = "host."
"""What the names of facts begin with that tell of the machine."""
_CPUINFO: Final = Path("/proc/cpuinfo")
_HEAD: Final = 4096
_MODEL: Final = re.compile(
    rb"^(?:model name|Model|cpu model|cpu)\s*:\s*(.+)$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class HostDifference:
    """Something in which two builds were done otherwise."""

    name: str
    """`kernel`, `processor`, `cores`, `filesystem`, or a program whose version differs."""
    first: str | None
    """None if the builder does not tell."""
    second: str | None

    @property
    def row(self) -> dict[str, object]:
        """As JSON values."""
        return {"name": self.name, "first": self.first, "second": self.second}

    def __str__(self) -> str:
        return f"{self.name}: {self.first or 'not told'} | {self.second or 'not told'}"


def facts_of_host(
    cores: int, programs: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    """Facts of this machine, where a build may use so many processors, and of the
    versions of programs that take part in it.

    Nothing of it names the machine or its user.
    """
    system = os.uname()
    found = {
        f"{HOST}cores": str(cores),
        f"{HOST}kernel": f"{system.sysname} {system.release}",
        f"{HOST}processor": _processor() or system.machine,
        **{f"{VERSION}{name}": version for name, version in programs.items()},
    }
    return tuple(sorted(found.items()))


def facts_of_folder(folder: Path) -> tuple[tuple[str, str], ...]:
    """Facts of the folder that a build is done in; nothing that names it."""
    kind = file_system_of(folder)
    return () if kind is None else ((f"{HOST}filesystem", kind),)


def nothing_told(level: str) -> tuple[tuple[str, str], ...]:
    """The `HostFacts` of who does not tell."""
    return ()


def told(realisation: Realisation) -> dict[str, str]:
    """What a builder told of what a build was done among."""
    return {
        name: value
        for name, value in realisation.facts
        if name.startswith((HOST, VERSION))
    }


def host_differences(
    first: Realisation, second: Realisation
) -> tuple[HostDifference, ...]:
    """In what two builds were done otherwise, as far as both tell or one of them does.

    Nothing, if one of them tells nothing at all.
    """
    one, two = told(first), told(second)
    if not one or not two:
        return ()
    return tuple(
        HostDifference(_short(name), one.get(name), two.get(name))
        for name in sorted(one.keys() | two.keys())
        if one.get(name) != two.get(name)
    )


def host_kernels(realisations: Iterable[Realisation]) -> frozenset[str]:
    """The releases of the kernels that builds were done on, as outputs would tell."""
    names = (each.fact(f"{HOST}kernel") for each in realisations)
    return frozenset(name.rpartition(" ")[2] for name in names if name)


def _short(name: str) -> str:
    return name.removeprefix(HOST).removeprefix(VERSION)


def _processor() -> str:
    """The name of the first processor; empty where the kernel does not tell."""
    try:
        # On machines with many of them, all of the file takes long to make.
        with _CPUINFO.open("rb") as file:
            found = _MODEL.search(file.read(_HEAD))
    except OSError:
        return ""
    return found.group(1).decode("utf-8", "replace").strip() if found else ""
