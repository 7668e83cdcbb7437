"""Watches the order in which locks are waited for, and refuses what could deadlock.

Python itself tells an audit hook of every `flock`. The watch knows a store's locks by
their places, and what each thread holds by looking whether its descriptors are still
open. The order is that of `fromager.store.locks`.

Run as a module it is the command line, watched: `python -m support.lock_order …`.
"""

from __future__ import annotations

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
    KEY = 2
    WRITER = 3


class LockOrderError(AssertionError):
    """A thread waits for a lock while it holds one that comes later, or its like."""


def rank_of(place: str) -> Rank | None:
    """The rank of a lock file; None for those that are only tried, and for others."""
    _, private, name = place.rpartition(PRIVATE)
    if not private:
        return None
    if name == "creation.lock":
        return Rank.CREATION
    if name == "locks/writer":
        return Rank.WRITER
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
        descriptor = arguments[0]
        # An earlier attempt with this descriptor has failed.
        self._held.pop(descriptor, None)
        place = _place(descriptor)
        rank = rank_of(place)
        if rank is None:
            return
        # Who tries without waiting waits next if that fails.
        self._check(place, rank)
        # Only what was got is still open when the next lock is asked for.
        self._held[descriptor] = (threading.get_ident(), place)

    def _check(self, place: str, rank: Rank) -> None:
        for descriptor, (thread, held) in list(self._held.items()):
            if thread != threading.get_ident() or _place(descriptor) != held:
                continue
            other = rank_of(held)
            assert other is not None
            self.waited.add((other, rank))
            if other >= rank:
                text = f"waits for {place} while it holds {held}"
                self.breaches.append(text)
                raise LockOrderError(text)


def _place(descriptor: int) -> str:
    try:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    except OSError:
        return ""


WATCH = LockWatch()
sys.addaudithook(WATCH)

if __name__ == "__main__":
    from fromager.cli.main import run

    run()
