"""Slots for builds: a fixed number, given first to what most others wait for."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    urgency: Callable[[], int]
    size: int
    turn: asyncio.Future[None]


class Slots:
    """So many builds at once.

    How urgent a build is changes while it waits, so it is asked for whenever a slot
    becomes free. Of equally urgent ones the first to come goes first. One that wants
    to be alone takes all slots: when it is its turn, nothing begins before it.
    """

    def __init__(self, count: int) -> None:
        self._count = self._free = count
        self._waiting: list[_Waiting] = []

    @asynccontextmanager
    async def slot(
        self, urgency: Callable[[], int], *, exclusive: bool = False
    ) -> AsyncIterator[None]:
        """Hold a slot, or all; `urgency` says how many others wait for what it is for."""
        size = self._count if exclusive else 1
        if self._free >= size and not self._waiting:
            self._free -= size
        else:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(_Waiting(urgency, size, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._give_back(size)
                else:
                    # It may have been the one that others stood behind.
                    self._give_back(0)
                raise
        try:
            yield
        finally:
            self._give_back(size)

    def _give_back(self, size: int) -> None:
        self._free += size
        self._waiting = [entry for entry in self._waiting if not entry.turn.done()]
        while self._waiting:
            urgencies = [entry.urgency() for entry in self._waiting]
            first = self._waiting[urgencies.index(max(urgencies))]
            if first.size > self._free:
                return
            self._waiting.remove(first)
            self._free -= first.size
            first.turn.set_result(None)
