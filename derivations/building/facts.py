"""What was found out before, kept between runs."""

from __future__ import annotations

from typing import Protocol


class Facts(Protocol):
    """An index of values that can always be computed anew; a store has it."""

    def recall(self, namespace: str, key: str) -> bytes | None:
        """What was remembered, or None."""
        ...

    def remember(self, namespace: str, key: str, value: bytes) -> None:
        """Keep a value, replacing the one before."""
        ...


class NoFacts:
    """Remembers nothing: for what must leave no trace."""

    def recall(self, namespace: str, key: str) -> bytes | None:
        """None."""
        return None

    def remember(self, namespace: str, key: str, value: bytes) -> None:
        """Forget it."""
