"""Files of the machine: their status, read fast, and their content, read rarely."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from fromager.store import blob_digest, stream_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fromager.store import Digest

_BIG: Final = 256 * 1024
_STATUS: Final = Struct("<IQQqqq")
BYTECODE: Final = "__pycache__"


class Item(NamedTuple):
    """A file or symbolic link as its status tells it, content unread."""

    path: str
    mode: int
    status: bytes
    """Equal as long as the content is, for all that the file system knows."""

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.mode)

    @property
    def size(self) -> int:
        """Bytes of its content."""
        size: int = _STATUS.unpack(self.status)[3]
        return size

    @property
    def is_executable(self) -> bool:
        """Whether somebody may execute it."""
        return bool(self.mode & 0o111)


@dataclass(frozen=True, slots=True)
class Listing:
    """All files and folders at and below some paths, sorted by path."""

    items: tuple[Item, ...]
    folders: tuple[str, ...]


def scan(places: Iterable[str], hidden: Iterable[str], *, root: str = "") -> Listing:
    """The files at and below some places, without the folders that are hidden.

    All paths, also those in the answer, are below `root`, and begin with a slash.
    Compiled bytecode is left out: an interpreter checks it against its source.
    What cannot be read is left out too, since no build can read it.
    """
    items: dict[str, Item] = {}
    seen: set[str] = set()
    pending = []
    without = frozenset(hidden)
    for path in places:
        try:
            status = os.stat(root + path)
        except OSError:
            continue
        if stat.S_ISDIR(status.st_mode):
            pending.append(path)
        else:
            items[path] = _item(path, status)
    while pending:
        folder = pending.pop()
        if folder in seen or folder in without:
            continue
        seen.add(folder)
        try:
            with os.scandir(root + folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name != BYTECODE:
                            pending.append(f"{folder}/{entry.name}")
                    else:
                        path = f"{folder}/{entry.name}"
                        status = entry.stat(follow_symlinks=False)
                        items[path] = _item(path, status)
        except OSError:
            continue
    return Listing(tuple(items[path] for path in sorted(items)), tuple(sorted(seen)))


def place_states(places: Iterable[str], *, root: str = "") -> bytes:
    """Equal as long as none of these folders and files changed."""
    found: list[str | int] = []
    for path in places:
        found.append(path)
        try:
            status = os.stat(root + path)
        except OSError:
            found.append("absent")
        else:
            found += status.st_ino, status.st_size, status.st_mtime_ns
            found.append(status.st_ctime_ns)
    return repr(found).encode()


def states(items: Iterable[Item]) -> bytes:
    """Equal as long as none of these files changed, came or went."""
    return b"".join(item.status + os.fsencode(item.path) + b"\0" for item in items)


def contents(
    items: Iterable[Item],
    known: Mapping[str, tuple[bytes, Digest]],
    *,
    root: str = "",
) -> dict[str, Digest]:
    """The digest of each file's bytes or link's target, by path.

    A file whose status is the `known` one is not read again.
    """
    found = {}
    read: dict[bytes, Digest] = {}
    for item in items:
        status, digest = known.get(item.path, (b"", None))
        if digest is None or status != item.status:
            # Large files that are one under many names are read once.
            digest = read.get(item.status) or _content(item, root)
            if digest is not None and item.size >= _BIG:
                read[item.status] = digest
        if digest is not None:
            found[item.path] = digest
    return found


def _item(path: str, status: os.stat_result) -> Item:
    mode = status.st_mode
    return Item(
        path,
        mode,
        _STATUS.pack(
            mode,
            status.st_dev,
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
        ),
    )


def _content(item: Item, root: str) -> Digest | None:
    try:
        if item.is_link:
            return blob_digest(os.fsencode(os.readlink(root + item.path)))
        if stat.S_ISREG(item.mode):
            return _file_digest(root + item.path, item.size)
    except OSError:
        pass
    return None


def _file_digest(path: str, size: int) -> Digest:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if size >= _BIG:
            # In pieces, and not mapped: the libraries of a machine are hundreds of
            # megabytes, and mapped pages count as this process's memory.
            return stream_digest(iter(lambda: os.read(descriptor, _BIG), b""))
        content = os.read(descriptor, size + 1)
        if len(content) != size:
            # It changes while it is read.
            rest = iter(lambda: os.read(descriptor, _BIG), b"")
            return stream_digest((content, *rest))
        return blob_digest(content)
    finally:
        os.close(descriptor)
