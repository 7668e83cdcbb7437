"""Trying whether locks and shared memory work where nobody can tell beforehand."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def locks_work(folder: Path, prefix: str) -> bool:
    """Whether locks and shared memory hold for a file in a folder, which is tried with one.

    Locks that belong to an open file say between two descriptors of one process what
    they would say between two processes.
    """
    try:
        with (
            tempfile.NamedTemporaryFile(prefix=prefix, dir=folder) as one,
            Path(one.name).open("r+b") as two,
        ):
            one.write(b"\0")
            one.flush()
            return (
                _excludes(one.fileno(), two.fileno(), _flock)
                and _excludes(one.fileno(), two.fileno(), _lock_range)
                and _memory_is_shared(one.fileno(), two.fileno())
            )
    except OSError:
        return False


def _excludes(one: int, two: int, lock: Callable[[int], None]) -> bool:
    lock(one)
    try:
        lock(two)
    except BlockingIOError:
        return True
    return False


def _flock(descriptor: int) -> None:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _lock_range(descriptor: int) -> None:
    wanted = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, wanted)


def _memory_is_shared(one: int, two: int) -> bool:
    with mmap.mmap(one, 1) as first, mmap.mmap(two, 1) as second:
        first[0] = 7
        return second[0] == 7
