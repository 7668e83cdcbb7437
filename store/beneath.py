"""What lies beneath a store: other stores whose objects need not be written again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from fromager.store.api import ObjectInfo
    from fromager.store.path import StorePath
    from fromager.store.tree import File


class Beneath(Protocol):
    """Objects and files that are held elsewhere, and only read."""

    def info(self, path: StorePath) -> ObjectInfo | None:
        """What is known of an object that is valid there."""
        ...

    def open_blob(self, file: File) -> tuple[int, bytes] | None:
        """A descriptor to read a file's bytes from, unchecked, and where they lie."""
        ...


class Nothing:
    """Beneath most stores."""

    def info(self, path: StorePath) -> ObjectInfo | None:
        """None."""
        return None

    def open_blob(self, file: File) -> tuple[int, bytes] | None:
        """None."""
        return None


NOTHING: Final = Nothing()
