"""A line on a terminal that says how far something is, and goes when it is done."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from fromager.cli.console import Console

_INTERVAL: Final = 0.1


@dataclass
class PassingLine:
    """Drawn on a terminal only, and at most ten times a second."""

    console: Console
    doing: str
    """What is being done: `verifying`."""
    live: bool
    _drawn: float = 0.0

    def __call__(self, number: int, total: int) -> None:
        """This many of so many were begun."""
        if not self.live or self.console.quiet or not self.console.err.isatty():
            return
        now = time.monotonic()
        if now - self._drawn >= _INTERVAL:
            self._drawn = now
            self.console.err.write(f"\r\x1b[K… {self.doing} {number:,} of {total:,}")
            self.console.err.flush()

    def end(self) -> None:
        """Take it away."""
        if self._drawn:
            self.console.err.write("\r\x1b[K")
            self.console.err.flush()
