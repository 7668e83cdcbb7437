"""Slots for builds: a fixed number, given first to what most others wait for."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Slots:
    """So many builds at once.

    How urgent a build is changes while it waits, so it is asked for whenever a slot
    becomes free. Of equally urgent ones the first to come goes first.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: list[tuple[Callable[[], int], asyncio.Future[None]]] = []

    @asynccontextmanager
    async def slot(self, urgency: Callable[[], int]) -> AsyncIterator[None]:
        """Hold a slot; `urgency` says how many others wait for what it is for."""
        if self._free:
            self._free -= 1
        else:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((urgency, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._give_back()
                raise
        try:
            yield
        finally:
            self._give_back()

    def _give_back(self) -> None:
        self._waiting = [entry for entry in self._waiting if not entry[1].done()]
        if not self._waiting:
            self._free += 1
            return
        urgencies = [urgency() for urgency, _ in self._waiting]
        _, turn = self._waiting.pop(urgencies.index(max(urgencies)))
        turn.set_result(None)
