"""Locks: files that a living process holds with `flock`, gone when it dies.

Order, for a process that needs several: the lock of a key that is built, or the one
of garbage collection; then `collect`, which those who come to rely on objects share
and who deletes objects has for itself; then the writer's lock (which spans one
commit), then nothing. A thread that waits for one holds none that comes later. The
lock `pool` may be waited for with any but the writer's held: it is shared by those who
add objects, and had alone for a moment only, by one that does not wait for it.

A lock file may be removed by its holder. Whoever gets a lock therefore checks that
the file it locked is still the one at that path, and begins anew if it is not.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from time import gmtime, strftime
from typing import TYPE_CHECKING

from fromager.store.effects import no_effect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def acquire(
    path: Path,
    *,
    blocking: bool = True,
    create: bool = True,
    effect: Callable[[str], None] = no_effect,
) -> int | None:
    """The descriptor that holds the lock; closing it gives the lock up.

    None if it is held by another and `blocking` is false.

    Raises:
        FileNotFoundError: there is no such file, and `create` is false.
    """
    flags = os.O_RDWR | (os.O_CREAT if create else 0)
    while True:
        effect("lock")
        descriptor = os.open(path, flags, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if blocking else fcntl.LOCK_NB))
            if _still_at(path, descriptor):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


@contextmanager
def exclusive(path: Path, effect: Callable[[str], None] = no_effect) -> Iterator[None]:
    """Hold the lock at a path; the file stays."""
    descriptor = acquire(path, effect=effect)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Hold the lock at a path together with others; the file stays."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def removed_after(
    path: Path,
    holder: str,
    waiting: Callable[[str], None],
    effect: Callable[[str], None] = no_effect,
) -> Iterator[None]:
    """Hold the lock at a path, saying in the file who does; it is removed at the end.

    If another holds it, `waiting` is called once with what that one said.
    """
    descriptor = acquire(path, blocking=False, effect=effect)
    if descriptor is None:
        waiting(read_holder(path))
        descriptor = acquire(path, effect=effect)
        assert descriptor is not None
    try:
        write_holder(descriptor, holder)
        yield
    finally:
        # A file that stays does no harm: nobody holds it.
        with suppress(OSError):
            effect("remove lock")
            path.unlink()
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether somebody has the lock at a path alone.

    Raises:
        FileNotFoundError: there is no such file.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def describe_holder(now: float) -> str:
    """This process, in words that help to find it."""
    since = strftime("%Y-%m-%d %H:%M:%S UTC", gmtime(now))
    return f"process {os.getpid()} on {os.uname().nodename} since {since}"


def write_holder(descriptor: int, holder: str) -> None:
    """Say in a locked file who holds it."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, holder.encode(), 0)


def read_holder(path: Path) -> str:
    """Who holds the lock at a path, as far as it is known."""
    with suppress(OSError):
        return path.read_bytes()[:400].decode("utf-8", "replace") or "another process"
    return "another process"


def _still_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
