"""Learning what a resolution misses, while others of it still have to be waited for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from fromager.derivations.errors import Stopped

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from packaging.version import Version

Fact: TypeAlias = "tuple[str, Version | None]"
"""A release whose metadata is wanted, or a project whose releases are."""

SHORTEST_PAUSE: Final = 0.02
"""Seconds in which more may become known before a resolution is tried again."""


@dataclass
class Learning:
    """What one resolution is being told.

    A page is there at once, metadata may take a build. So the resolution is tried
    again with what is known, and asks for what follows from that. What it asks for then
    may turn out not to be needed: so an error counts only once all else is known, and
    the resolution still needs what failed. Only about what is `certain` it is told at
    once.
    """

    certain: Callable[[Fact], bool]
    """Whether every answer needs that."""
    _running: dict[Fact, asyncio.Task[None]] = field(default_factory=dict)
    _failed: dict[Fact, BaseException] = field(default_factory=dict)

    async def learn(
        self,
        missing: Mapping[Fact, Callable[[], Awaitable[None]]],
        pause: float = SHORTEST_PAUSE,
    ) -> None:
        """Return when some of what is missing is known; what else becomes known within
        `pause` seconds after that is known, too.

        Raises:
            Exception: what is missing cannot be told, and nothing else is.
        """
        for fact, ask in missing.items():
            if fact not in self._running and fact not in self._failed:
                self._running[fact] = asyncio.create_task(_asked(ask))
        while not await self._some(pause):
            if not self._running:
                raise self._first_failure(missing)

    async def _some(self, pause: float) -> bool:
        """Whether something became known."""
        if not self._running:
            return False
        tasks = self._running.values()
        done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if rest:
            more, _ = await asyncio.wait(rest, timeout=pause)
            done |= more
        ended = [fact for fact, task in self._running.items() if task in done]
        for fact in ended:
            error = self._running.pop(fact).exception()
            if error is None:
                continue
            if isinstance(error, Stopped) or self.certain(fact):
                raise error from error.__cause__
            self._failed[fact] = error
        return any(fact not in self._failed for fact in ended)

    def _first_failure(self, missing: Mapping[Fact, object]) -> BaseException:
        return next(self._failed[fact] for fact in missing if fact in self._failed)

    def give_up(self) -> None:
        """Wait for nothing any more."""
        for task in self._running.values():
            task.cancel()


async def _asked(ask: Callable[[], Awaitable[None]]) -> None:
    await ask()
