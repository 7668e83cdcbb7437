"""Trying again: how often, how long in between, and when not to."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from fromager.derivations.errors import NetworkError, RateLimited
from fromager.derivations.index.transport import Transient

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
LONGEST_RETRY_AFTER: Final = 120.0
"""Seconds. A server that asks for more is answered by an error at once."""


def _chance() -> float:
    from random import random

    return random()


@dataclass(frozen=True)
class Retries:
    """Repeats what failed for now, with exponential pauses and jitter."""

    tries: int = 5
    sleep: Callable[[float], object] = time.sleep
    jitter: Callable[[], float] = _chance
    """From 0 to 1: pauses are between half and all of their length."""
    notify: Callable[[str, str, float], None] | None = None
    """Told URL, reason and seconds before each pause."""

    def run(self, url: str, attempt: Callable[[], T]) -> T:
        """What `attempt` gives, as soon as it raises no `Transient`.

        `url` must hold no credentials, as errors show it.

        Raises:
            NetworkError: it failed `tries` times.
            RateLimited: the server wants it to wait, too long or again and again.
        """
        for number in range(1, self.tries + 1):
            try:
                return attempt()
            except Transient as failure:
                pause = self._pause(number, failure)
                if number == self.tries or pause > LONGEST_RETRY_AFTER:
                    reason = failure.reason
                    if pause > LONGEST_RETRY_AFTER:
                        reason += f" and asks to wait for {pause:g} s"
                    elif number > 1:
                        reason += f", {number} times in a row"
                    hint = failure.hint or "Try again later"
                    kind = NetworkError if failure.retry_after is None else RateLimited
                    raise kind(url, reason, hint=hint) from failure
                if self.notify is not None:
                    self.notify(url, failure.reason, pause)
                self.sleep(pause)
        raise NetworkError(url, "no try is allowed")

    def _pause(self, number: int, failure: Transient) -> float:
        if failure.retry_after is not None:
            return failure.retry_after
        longest = min(FIRST_PAUSE * 2.0 ** (number - 1), LONGEST_PAUSE)
        return longest * (0.5 + self.jitter() / 2)
