"""What can be wrong with a lock."""

from __future__ import annotations

from fromager.derivations.errors import InputError, ResolutionError


class InvalidLock(InputError):
    """A lock that cannot be read, or that is not closed."""

    def __init__(self, reason: str, *, origin: str = "") -> None:
        where = f"{origin}: " if origin else ""
        super().__init__(
            f"{where}the lock cannot be used: {reason}", hint="Make the lock anew"
        )
        self.reason, self.origin = reason, origin


class LockMismatch(ResolutionError):
    """A lock that does not fit what is asked for, or what is built with it."""
