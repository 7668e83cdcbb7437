"""Another store as a place from which objects are restored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fromager.store.errors import NotRestored, StoreError
from fromager.store.tree import Directory

if TYPE_CHECKING:
    from pathlib import Path

    from fromager.store.local import LocalStore
    from fromager.store.path import StorePath


@dataclass(frozen=True, slots=True)
class OtherStore:
    """Plays the role `Restorer`; the other store is only read."""

    store: LocalStore

    @property
    def name(self) -> str:
        """Where it is."""
        return str(self.store.root)

    def restore(self, path: StorePath, folder: Path) -> Path:
        """A copy of the object, if it is valid there.

        Raises:
            StoreError: it is not there, or is damaged there too.
        """
        if self.store.info(path) is None:
            raise NotRestored("it is not there")
        place = folder / "object"
        try:
            content = self.store.tree(path)
            if isinstance(content, Directory):
                self.store.materialise(content, place, mtime=1)
            else:
                place.write_bytes(self.store.read_file(path))
        except OSError as error:
            raise StoreError(f"it cannot be copied: {error.strerror}") from error
        return place
