"""Folders that stand for `/usr` and the interpreter's prefix in a sandbox.

They hold copies of the programs and of all that is small, and an empty folder where
something large of the machine is mounted. So a sandbox needs few mounts.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fromager.derivations.building.scan import BYTECODE
from fromager.derivations.building.toolchain import BIN

if TYPE_CHECKING:
    from fromager.derivations.building.toolchain import Machine, Toolchain

EMPTY: Final = "empty"
_TIME: Final = (1, 1)
_CHUNK: Final = 1 << 20


def home_folder(folder: Path, home: str) -> Path:
    """Where below a folder of `make_homes` the stand-in for a home lies."""
    return folder / home.strip("/").replace("/", "+")


def is_in_home(toolchain: Toolchain, path: str) -> bool:
    """Whether a path lies below one of the homes, so that it is made there."""
    return any(path.startswith(f"{home}/") for home in toolchain.homes)


def make_homes(toolchain: Toolchain, machine: Machine, folder: Path) -> Path:
    """The folder with all homes, made if it is not there; it is there whole or not.

    Its name must change whenever the toolchain's content does.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
    try:
        _fill(toolchain, machine, new)
        new.rename(folder)
    except OSError:
        remove_homes(new)
        # Another process may have made the same folder meanwhile.
        if not folder.is_dir():
            raise
    return folder


def remove_homes(folder: Path) -> None:
    """Remove what `make_homes` made; its folders cannot be written to."""
    for path, _, _ in os.walk(folder):
        Path(path).chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)


def _fill(toolchain: Toolchain, machine: Machine, new: Path) -> None:
    (new / EMPTY).mkdir()
    homes = {home: home_folder(new, home) for home in toolchain.homes}
    for place in homes.values():
        place.mkdir()
    for program in toolchain.programs:
        place = _place(homes, f"{BIN}/{program.name}")
        if program.source is None:
            place.symlink_to(program.target or "")
        else:
            _copy(machine.at(program.source), place)
    for path in toolchain.copies:
        source = machine.at(path)
        if source.is_dir():
            _copy_folder(source, _place(homes, path))
        else:
            _copy(source, _place(homes, path))
    for path in (*toolchain.homes, *toolchain.folders, *toolchain.hidden):
        if is_in_home(toolchain, path):
            _place(homes, path).mkdir(exist_ok=True)
    for path, target in toolchain.links:
        if is_in_home(toolchain, path):
            _place(homes, path).symlink_to(target)
    _freeze(new)


def _place(homes: dict[str, Path], path: str) -> Path:
    home = max((h for h in homes if path.startswith(f"{h}/")), key=len)
    place = homes[home] / path[len(home) + 1 :]
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _copy_folder(source: Path, target: Path) -> None:
    pending = [(str(source), str(target))]
    while pending:
        folder, place = pending.pop()
        os.makedirs(place, exist_ok=True)
        with os.scandir(folder) as entries:
            for entry in entries:
                at = f"{place}/{entry.name}"
                if entry.is_symlink():
                    os.symlink(os.readlink(entry.path), at)
                elif not entry.is_dir():
                    _copy_file(entry.path, at)
                elif entry.name != BYTECODE:
                    pending.append((entry.path, at))


def _copy(source: Path, place: Path) -> None:
    # `libpython3.12.so` stays a link to the file beside it.
    if source.is_symlink() and "/" not in str(source.readlink()):
        place.symlink_to(source.readlink())
    else:
        _copy_file(str(source), str(place))


def _copy_file(source: str, place: str) -> None:
    """Copy a regular file; what is none, or cannot be read, is left out."""
    try:
        reading = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        status = os.fstat(reading)
        if not stat.S_ISREG(status.st_mode):
            return
        writing = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            while content := os.read(reading, _CHUNK):
                while content:
                    content = content[os.write(writing, content) :]
            os.fchmod(writing, 0o555 if status.st_mode & 0o111 else 0o444)
            os.utime(writing, _TIME)
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _freeze(folder: Path) -> None:
    for path, folders, names in os.walk(folder, topdown=False):
        for name in (*folders, *names):
            place = f"{path}/{name}"
            if os.path.islink(place):
                os.utime(place, _TIME, follow_symlinks=False)
        # The folder around them is never seen inside, and it must not look forgotten
        # to a collection of garbage before it has its name.
        os.chmod(path, 0o755 if path == str(folder) else 0o555)
        if path != str(folder):
            os.utime(path, _TIME)
