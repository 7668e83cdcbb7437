"""Watches the order in which locks are waited for, and refuses what could deadlock.

Python itself tells an audit hook of every `flock`. The watch knows a store's locks by
their places, and what each thread holds by looking whether its descriptors are still
open. The order is that of `fromager.store.locks`.

Run as a module it is the command line, watched: `python -m support.lock_order …`.
"""

from __future__ import annotations

import fcntl
import re
import sys
import threading
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

PRIVATE = "/.fromager/"


class Rank(IntEnum):
    """Locks that are waited for, those that are taken first before the others."""

    CREATION = 1
    POOL = 2
    """Anything but the writer may be held while it is waited for: who has it alone
    waits for nothing, and who shares it keeps nobody waiting."""
    GARBAGE = 3
    """Who collects garbage looks which keys are held; who builds does not collect."""
    KEY = 4
    ROOTS = 5
    COLLECT = 6
    WRITER = 7


NAMES = {
    "creation.lock": Rank.CREATION,
    "locks/collect": Rank.COLLECT,
    "locks/gc": Rank.GARBAGE,
    "locks/pool": Rank.POOL,
    "locks/roots": Rank.ROOTS,
    "locks/writer": Rank.WRITER,
}


class LockOrderError(AssertionError):
    """A thread waits for a lock while it holds one that comes later, or its like."""


def rank_of(place: str) -> Rank | None:
    """The rank of a lock file; None for those that are only tried, and for others."""
    _, private, name = place.rpartition(PRIVATE)
    if not private:
        return None
    if name in NAMES:
        return NAMES[name]
    return Rank.KEY if re.fullmatch(r"locks/[0-9a-f]{64}", name) else None


@dataclass
class LockWatch:
    """An audit hook; such a hook cannot be taken away, so it stays on."""

    waited: set[tuple[Rank, Rank]] = field(default_factory=set)
    """Pairs of what was held, and what was waited for under it."""
    breaches: list[str] = field(default_factory=list)
    _held: dict[int, tuple[int, str]] = field(default_factory=dict)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "fcntl.flock":
            return
        descriptor, operation = arguments
        # An earlier attempt with this descriptor has failed.
        self._held.pop(descriptor, None)
        place = _place(descriptor)
        rank = rank_of(place)
        if rank is None:
            return
        # Who tries to get a lock waits for it next if that fails; but who only looks
        # whether it is held does not, nor does who tries to have the pool alone.
        looks = operation == fcntl.LOCK_SH | fcntl.LOCK_NB
        if not looks and (rank is not Rank.POOL or operation & fcntl.LOCK_SH):
            self._check(place, rank)
        # Only what was got is still open when the next lock is asked for.
        self._held[descriptor] = (threading.get_ident(), place)

    def _check(self, place: str, rank: Rank) -> None:
        for descriptor, (thread, held) in list(self._held.items()):
            if thread != threading.get_ident():
                continue
            if not _is_locked(descriptor, held):
                self._forget(descriptor, (thread, held))
                continue
            # While that was looked at, another thread may have opened the same lock
            # under a number that this one has given back.
            if self._held.get(descriptor) != (thread, held):
                continue
            other = rank_of(held)
            assert other is not None
            self.waited.add((other, rank))
            least = Rank.WRITER if rank is Rank.POOL else rank
            if other >= least and other is not Rank.POOL:
                text = f"waits for {place} while it holds {held}"
                self.breaches.append(text)
                raise LockOrderError(text)

    def _forget(self, descriptor: int, known: tuple[int, str]) -> None:
        """Look no more at what was given up, unless its number is in use again."""
        if self._held.get(descriptor) == known:
            self._held.pop(descriptor, None)


def _place(descriptor: int) -> str:
    try:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    except OSError:
        return ""


def _is_locked(descriptor: int, place: str) -> bool:
    """Whether a descriptor still is that of a lock, and has it.

    Its number may be another file's by now, or that of a thread that waits.
    """
    try:
        about = Path(f"/proc/self/fdinfo/{descriptor}").read_text()
    except OSError:
        return False
    return "lock:" in about and _place(descriptor) == place


WATCH = LockWatch()
sys.addaudithook(WATCH)

if __name__ == "__main__":
    from fromager.cli.start import run

    run()
