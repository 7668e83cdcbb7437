"""Ctrl-C while builds run."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from fromager.derivations import StopSignal


@contextmanager
def stopping(stop: StopSignal) -> Iterator[None]:
    """Ctrl-C stops the builds and is heard at once; the second one ends the process."""

    def hear(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        stop.set()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, hear)
    terminated = signal.signal(signal.SIGTERM, hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGTERM, terminated)
