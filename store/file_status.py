"""The status of all that lies in a folder, compactly: what tells whether it changed."""

from __future__ import annotations

import os
from stat import S_IFDIR, S_ISDIR
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

RACY_NS: Final = 2_000_000_000
"""A file changed more recently than this, in nanoseconds, may change again unseen,
because clocks of file systems tick."""
_TICK_NS: Final = 100_000_000
"""The same where times have parts of seconds: they are those of the kernel's clock, which
ticks a hundred times a second or more."""

_STATUS: Final = Struct("<QIQQqq")


def is_settled(changed: int, now: int) -> bool:
    """Whether any change from now on shows in a change time, both in nanoseconds since
    the epoch."""
    grain = _TICK_NS if changed % 1_000_000_000 else RACY_NS
    return changed < now - grain


class Folder(NamedTuple):
    """The entries of one folder, in the order of their names' bytes."""

    names: bytes
    """With a zero byte between them."""
    statuses: bytes
    """Packed, one after the other."""

    @classmethod
    def of(cls, entries: list[tuple[bytes, bytes]]) -> Folder:
        """A folder with these names and packed statuses."""
        return cls(
            b"\0".join([name for name, _ in entries]),
            b"".join([status for _, status in entries]),
        )

    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        """Each name with its packed status."""
        size = _STATUS.size
        places = range(0, len(self.statuses), size)
        statuses = [self.statuses[place : place + size] for place in places]
        names = self.names.split(b"\0") if statuses else []
        return zip(names, statuses, strict=True)


Survey: TypeAlias = "dict[bytes, Folder]"
"""By path below the top, which is empty itself. A file is a folder without names."""


def status_of(status: os.stat_result) -> bytes:
    """The packed status of a file, link or folder; of a folder only that it is one."""
    if S_ISDIR(status.st_mode):
        # What is in it is looked at anyway.
        return folder_status(status.st_dev)
    return _STATUS.pack(
        status.st_dev,
        status.st_mode,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def folder_status(device: int) -> bytes:
    """The packed status of a folder."""
    return _STATUS.pack(device, S_IFDIR, 0, 0, 0, 0)


def device_of(packed: bytes) -> int:
    """The file system's number in a packed status."""
    return int.from_bytes(packed[:8], "little")


def changed_of(packed: bytes) -> int:
    """The change time in a packed status, in nanoseconds since the epoch."""
    return int.from_bytes(packed[-8:], "little", signed=True)


def mode_and_size(packed: bytes) -> tuple[int, int]:
    """Those in a packed status."""
    _, mode, _, size, _, _ = _STATUS.unpack(packed)
    return mode, size


def forgotten(packed: bytes) -> bytes:
    """The packed status that nothing has: not even the same file is taken for it."""
    device, mode, *_ = _STATUS.unpack(packed)
    return _STATUS.pack(device, mode, 0, 0, 0, 0)


def survey(top: bytes) -> Survey:
    """The status of all that a folder holds, or of a file; empty if it cannot be had.

    Links are not followed, but the topmost one.
    """
    found: Survey = {}
    try:
        if not os.path.isdir(top):
            return {b"": Folder(b"", status_of(os.stat(top)))}
        pending = [b""]
        while pending:
            path = pending.pop()
            found[path], below = _look(top + b"/" + path if path else top)
            pending += [path + b"/" + name if path else name for name in below]
    except OSError:
        return {}
    return found


def _look(place: bytes) -> tuple[Folder, list[bytes]]:
    """A folder's entries, and the names of those that are folders."""
    statuses, below = [], []
    names = sorted(os.listdir(place))
    pack = _STATUS.pack
    # This is done for every file: a scan's entries, or a call for each, take longer.
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names:
            of = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if S_ISDIR(of.st_mode):
                below.append(name)
                statuses.append(folder_status(of.st_dev))
            else:
                statuses.append(
                    pack(
                        *(of.st_dev, of.st_mode, of.st_ino, of.st_size),
                        *(of.st_mtime_ns, of.st_ctime_ns),
                    )
                )
    finally:
        os.close(descriptor)
    return Folder(b"\0".join(names), b"".join(statuses)), below
