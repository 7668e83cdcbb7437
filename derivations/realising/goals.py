"""Goals that wait for each other, and the cycles that this must not make."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


@dataclass
class WaitGraph(Generic[T]):
    """Who waits for whom at this moment.

    A goal that many need is worked on once; its users wait. If it needs, through
    others, one of those users, none could ever go on: that is a build cycle.
    """

    _waiting: dict[T, dict[T, int]] = field(default_factory=dict)

    def begin(self, waiter: T, goal: T) -> tuple[T, ...] | None:
        """Note that `waiter` waits for `goal`; the cycle that this closes, or None.

        A cycle is given as the goals on it, `waiter` first, each needing the next
        and the last one `waiter`; nothing is noted then.
        """
        cycle = self._path(goal, waiter)
        if cycle is not None:
            return (waiter, *cycle[:-1])
        waits = self._waiting.setdefault(waiter, {})
        waits[goal] = waits.get(goal, 0) + 1
        return None

    def end(self, waiter: T, goal: T) -> None:
        """Note that `waiter` no longer waits for `goal`."""
        waits = self._waiting[waiter]
        waits[goal] -= 1
        if not waits[goal]:
            del waits[goal]
        if not waits:
            del self._waiting[waiter]

    def weight(self, goal: T) -> int:
        """How many goals wait for this one, directly or through others."""
        waiters: dict[T, list[T]] = {}
        for waiter, goals in self._waiting.items():
            for each in goals:
                waiters.setdefault(each, []).append(waiter)
        seen = {goal}
        queue = [goal]
        for each in queue:
            for waiter in waiters.get(each, ()):
                if waiter not in seen:
                    seen.add(waiter)
                    queue.append(waiter)
        return len(seen) - 1

    def _path(self, start: T, end: T) -> tuple[T, ...] | None:
        """Goals from `start` to `end` along who waits for whom, or None."""
        came_from: dict[T, T | None] = {start: None}
        queue = [start]
        for goal in queue:
            if goal == end:
                path = [goal]
                while (before := came_from[path[-1]]) is not None:
                    path.append(before)
                return tuple(reversed(path))
            for needed in self._waiting.get(goal, ()):
                if needed not in came_from:
                    came_from[needed] = goal
                    queue.append(needed)
        return None
