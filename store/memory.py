"""Folders in memory, for work that is small and short.

A file system on a disk takes most of the time that it takes to make and to remove
many small files, and lists them in an order that differs between machines.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from stat import S_IMODE, S_ISDIR
from typing import TYPE_CHECKING, Final

from fromager.store.digest import derived_digest

if TYPE_CHECKING:
    from fromager.store.layout import StoreLayout

MEMORY: Final = Path("/dev/shm")
LEAST_ROOM: Final = 1 << 30
"""Bytes that must be free before anything is begun in memory."""

_CONTEXT: Final = "fromager store 2026-11 memory folder v1"
_CONTROL_GROUP: Final = Path("/sys/fs/cgroup")


def memory_scratch(layout: StoreLayout, memory: Path = MEMORY) -> Path:
    """Where in memory the folders of this store's processes lie; maybe not there.

    Two stores never share one, also if they are seen at the same path.
    """
    status = layout.private.stat()
    identity = f"{layout.root}\0{status.st_dev}\0{status.st_ino}"
    digest = derived_digest(_CONTEXT, os.fsencode(identity))
    return memory / f"fromager-{os.geteuid()}-{digest.hex[:16]}"


def make_memory_scratch(layout: StoreLayout, memory: Path = MEMORY) -> Path | None:
    """The folder, private to this user; None if it cannot be had or is no use.

    It is no use if programs cannot be run from it, or if memory is short.
    """
    folder = memory_scratch(layout, memory)
    try:
        if os.statvfs(memory).f_flag & os.ST_NOEXEC or memory_room(memory) < LEAST_ROOM:
            return None
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        status = folder.lstat()
    except OSError:
        return None
    # Anybody may make folders there: one that was waiting for us is not ours.
    own = S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    return folder if own and S_IMODE(status.st_mode) == 0o700 else None


def memory_room(memory: Path = MEMORY) -> int:
    """Bytes that can be written there before memory becomes short.

    The least of what its file system, the machine and the control group have left.
    """
    space = os.statvfs(memory)
    rooms = [space.f_bavail * space.f_frsize]
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found = next(line for line in lines if line.startswith("MemAvailable:"))
        rooms.append(int(found.split()[1]) * 1024)
    with suppress(OSError, ValueError):
        most = int((_CONTROL_GROUP / "memory.max").read_text())
        used = int((_CONTROL_GROUP / "memory.current").read_text())
        rooms.append(most - used)
    return min(rooms)
