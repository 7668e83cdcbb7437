"""Telling work that is under way to stop."""

from __future__ import annotations

import os
import select
import weakref


class StopSignal:
    """A `Stop` that any thread may set, once and for all who wait for it."""

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        # Many runs in one process must not use its descriptors up.
        self._close = weakref.finalize(self, os.close, self._descriptor)
        self._is_set = False

    def set(self) -> None:
        """Wake all that wait; safe to call twice and from a signal handler."""
        self._is_set = True
        os.eventfd_write(self._descriptor, 1)

    def is_set(self) -> bool:
        """Whether `set` was called."""
        return self._is_set

    def wait(self, seconds: float) -> bool:
        """Wait until `set` is called, or for so long; whether it was called."""
        # Not `select`, which knows the first 1,024 descriptors only.
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def fileno(self) -> int:
        """A descriptor that is readable as soon as `set` was called."""
        return self._descriptor

    def close(self) -> None:
        """Give the descriptor back; nobody may wait for it any more."""
        self._close()
