"""What lies about in a store without being an object, and is of no use any more."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR
from typing import TYPE_CHECKING, Final

from fromager.store.garbage import DAY
from fromager.store.layout import present
from fromager.store.leases import folders
from fromager.store.locks import acquire, is_held
from fromager.store.pool import BLOCK
from fromager.store.removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from fromager.store.layout import StoreLayout

_KEY_DIGITS: Final = 64
_NAMED_LEVELS: Final = 2
"""`cache/index/<index>/<page>` and `roots/generations/<name>/<number>.json`."""


@dataclass(frozen=True, slots=True)
class Litter:
    """A file or folder that is to go."""

    kind: str
    """`log`, `failed build`, `lock`, `temporary file` or `abandoned folder`."""
    place: Path
    bytes: int


def find_litter(
    layout: StoreLayout, known: Container[str], before: int, now: int
) -> Iterator[Litter]:
    """All that is to go, but for what dead processes left; nothing is changed.

    `known` are the keys, in digits, of builds whose output is here: their logs stay.
    What else was written, and failed builds, stay until they are older than `before`.
    """
    for place in present(layout.private, "logs/??/*.log.gz"):
        if place.name.removesuffix(".log.gz") not in known and _older(place, before):
            yield Litter("log", place, disk_usage(place))
    for place in layout.failed.iterdir():
        if _older(place, before):
            yield Litter("failed build", place, disk_usage(place))
    for place in layout.locks.iterdir():
        if len(place.name) == _KEY_DIGITS:
            with suppress(FileNotFoundError, PermissionError):
                if not is_held(place):
                    yield Litter("lock", place, disk_usage(place))
    for place in _temporary(layout):
        if _older(place, now - DAY):
            yield Litter("temporary file", place, disk_usage(place))


def _temporary(layout: StoreLayout) -> Iterator[Path]:
    """Hidden files and folders: what is whole is renamed to a name without a dot.

    What is kept as a whole folder, such as the machine's programs, has hidden files
    of its own: they lie deeper than anything that is written under its own name.
    """
    for top in (layout.private / "cache", layout.private / "roots"):
        # Processes make and rename such folders meanwhile: `walk` goes on then.
        for folder, below, names in os.walk(top):
            for name in (*below, *names):
                if name.startswith("."):
                    yield Path(folder, name)
            if folder.count("/") - str(top).count("/") >= _NAMED_LEVELS:
                below.clear()
            below[:] = [name for name in below if not name.startswith(".")]


def find_abandoned(layout: StoreLayout) -> Iterator[Litter]:
    """What dead processes left in `staging/` and `scratch/`; nothing is changed."""
    for place in folders(layout):
        lease = layout.leases / place.stem
        try:
            dead = not is_held(lease)
        except FileNotFoundError:
            dead = True
        if dead:
            yield Litter("abandoned folder", place, disk_usage(place))


def remove_litter(litter: Litter, effect: Callable[[str], None]) -> bool:
    """Remove it; False if it is in use again."""
    effect(f"remove {litter.kind}")
    if litter.kind != "lock":
        remove_tree(litter.place)
        return True
    with suppress(FileNotFoundError):
        descriptor = acquire(litter.place, blocking=False, create=False)
        if descriptor is None:
            return False
        try:
            litter.place.unlink()
        finally:
            os.close(descriptor)
    return True


def disk_usage(place: Path) -> int:
    """The bytes that a file or folder takes on the disk and nothing else shares."""
    total, pending = 0, [place]
    while pending:
        path = pending.pop()
        try:
            status = path.lstat()
            if S_ISDIR(status.st_mode):
                pending += path.iterdir()
        except (FileNotFoundError, PermissionError, NotADirectoryError):
            continue
        if S_ISDIR(status.st_mode) or status.st_nlink == 1:
            total += status.st_blocks * BLOCK
    return total


def _older(place: Path, moment: int) -> bool:
    try:
        return place.lstat().st_mtime < moment
    except FileNotFoundError:
        return False
