"""Locks: files that a living process holds with `flock`, gone when it dies.

Order, for a thread that needs several. It waits for one only while it holds none of
the same line or of a later one, so that no circle of waiting processes can close:

1. `creation.lock`, while a store is made;
2. the lock of a key, while it is built, of which a thread holds one at most; or `gc`,
   while garbage is collected;
3. `roots`, while a root is changed;
4. `collect`: those who come to rely on objects share it, who deletes objects has it
   alone;
5. the lock `writer`, for one change of the database. Its holder waits for nothing.

The lock `pool` may be waited for with any but the writer's held: it is shared by those
who add objects, and had alone for a moment only, by one that does not wait for it.

The other locks are tried, never waited for: a lease is locked by the process that
makes it, before anyone knows it, and by whoever looks whether that process is dead;
`sweep` is left to the one who has it. What waits inside a process keeps to the same
order: a thread takes its slot before the key, its turn among the threads right before
`writer`, and its commit may be done for it by the thread that has that. SQLite's own
locks are taken under `writer` only, and by readers, which hold no other.

Waiting is done by the kernel, which wakes the next one; nothing is asked again and
again. The lock of a process that dies is free at once.

A lock file may be removed by its holder. Whoever gets a lock therefore checks that
the file it locked is still the one at that path, and begins anew if it is not.
"""

from __future__ import annotations

import fcntl
import os
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import gmtime, strftime
from typing import TYPE_CHECKING, Final

from fromager.store.effects import no_effect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE: Final = 3.0
"""Seconds for which a lock is waited for that is held for a moment only, in silence."""


def unheard(holder: str) -> None:
    """Nobody is told who is waited for."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who works with a store: named to those who wait for it, told whom it waits for."""

    program: str = ""
    """What people call it, such as a command's name."""
    waiting: Callable[[str], None] = unheard
    """Called with the holder of a lock that is waited for, from any thread."""
    patience: float = PATIENCE

    def describe(self, now: float) -> str:
        """This process, in words that help to find it."""
        since = strftime("%Y-%m-%d %H:%M:%S UTC", gmtime(now))
        program = f" ({self.program})" if self.program else ""
        return f"{_this_process()}{program} since {since}"


ANONYMOUS: Final = Caller()


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
def shared(path: Path, effect: Callable[[str], None] = no_effect) -> Iterator[None]:
    """Hold the lock at a path together with others; the file stays."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        effect("make lock")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def held_briefly(
    path: Path,
    caller: Caller,
    now: float,
    effect: Callable[[str], None] = no_effect,
) -> Iterator[None]:
    """Hold the lock at a path, which nobody holds for long; the file stays.

    Only if another process keeps it for longer than the caller's patience is the
    caller told, once, whom it waits for.
    """
    descriptor = acquire(path, blocking=False, effect=effect)
    if descriptor is None:
        descriptor = _acquire_patiently(path, caller)
    try:
        with suppress(OSError):  # a courtesy, which a full disk may forbid
            write_holder(descriptor, caller.describe(now))
        yield
    finally:
        os.close(descriptor)


def _acquire_patiently(path: Path, caller: Caller) -> int:
    def tell() -> None:
        holder = read_holder(path)
        if not holder.startswith(f"{_this_process()} "):
            caller.waiting(holder)

    alarm = threading.Timer(caller.patience, tell)
    alarm.daemon = True
    alarm.start()
    try:
        descriptor = acquire(path)
        assert descriptor is not None
        return descriptor
    finally:
        alarm.cancel()


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


def write_holder(descriptor: int, holder: str) -> None:
    """Say in a locked file who holds it."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, holder.encode(), 0)


def read_holder(path: Path) -> str:
    """Who holds the lock at a path, as far as it is known."""
    with suppress(OSError):
        return path.read_bytes()[:400].decode("utf-8", "replace") or "another process"
    return "another process"


def _this_process() -> str:
    return f"process {os.getpid()} on {os.uname().nodename}"


def _still_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
