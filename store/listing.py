"""What a store's database says of objects, whatever they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fromager.store.path import StorePath

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fromager.store.api import ObjectInfo
    from fromager.store.database import Database
    from fromager.store.layout import StoreLayout


class Listing:
    """The part of a store that answers which objects there are."""

    def __init__(self, layout: StoreLayout, database: Database) -> None:
        self._layout, self._database = layout, database

    def find(self, prefix: str) -> tuple[ObjectInfo, ...]:
        """Objects whose path, name or digest (`blake3:…` or hex) begins with this."""
        return self._database.find(prefix)

    def objects(self) -> tuple[ObjectInfo, ...]:
        """All valid objects, sorted by path."""
        return self._database.objects()

    def referrers(
        self, paths: Iterable[StorePath], *, recursive: bool = False
    ) -> tuple[StorePath, ...]:
        """Objects that reference one of these, directly or transitively, sorted.

        One that is asked about is among them if another one of them references it.
        """
        found: set[str] = set()
        new = {str(path) for path in paths}
        while new:
            new = self.referring(new) - found
            found |= new
            if not recursive:
                break
        return tuple(StorePath.parse(text) for text in sorted(found))

    def referring(self, paths: Iterable[str]) -> set[str]:
        """What references one of these directly."""
        return self._database.referrers(paths)
