"""What is remembered between runs, without a store."""

from __future__ import annotations


class NoFacts:
    """Remembers nothing."""

    def recall(self, namespace: str, key: str) -> bytes | None:
        return None

    def remember(self, namespace: str, key: str, value: bytes) -> None:
        pass


class MemoryFacts:
    """Remembers in memory, and lets tests look and forge."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], bytes] = {}

    def recall(self, namespace: str, key: str) -> bytes | None:
        return self.values.get((namespace, key))

    def remember(self, namespace: str, key: str, value: bytes) -> None:
        self.values[namespace, key] = value
