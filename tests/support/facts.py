"""What is remembered between runs, without a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


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


class FolderFacts:
    """Remembers in a folder, so that several processes can share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def recall(self, namespace: str, key: str) -> bytes | None:
        path = self._path(namespace, key)
        return path.read_bytes() if path.is_file() else None

    def remember(self, namespace: str, key: str, value: bytes) -> None:
        self._path(namespace, key).write_bytes(value)

    def _path(self, namespace: str, key: str) -> Path:
        return self._folder / f"{namespace}+{key}".replace("/", "+")
