"""What crashes left in the places where objects lie: found by looking at all of it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fromager.store.errors import InvalidName
from fromager.store.layout import REPLACED
from fromager.store.locks import exclusive
from fromager.store.path import StorePath

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fromager.store.database import Database
    from fromager.store.discard import Discard
    from fromager.store.layout import StoreLayout
    from fromager.store.pool import Pool


@dataclass(frozen=True, slots=True)
class Leftover:
    """Names of what has no row, or no use."""

    objects: frozenset[str]
    """Objects or records of objects that are not valid."""
    claims: tuple[Path, ...]
    """Records of realisations that are not in the database."""
    blobs: tuple[bytes, ...]
    """Blobs that nothing links but the pool."""
    pins: tuple[tuple[str, bytes], ...]
    """Pins for objects that are not there, as reason and blob."""

    @property
    def count(self) -> int:
        """Objects, records and pins; blobs are counted with those that objects leave."""
        return len(self.objects) + len(self.claims) + len(self.pins)


class Leftovers:
    """Looks at every place of a store. Its cost follows what the store holds."""

    def __init__(
        self,
        layout: StoreLayout,
        database: Database,
        pool: Pool,
        effect: Callable[[str], None],
    ) -> None:
        self._layout, self._database, self._pool = layout, database, pool
        self._effect = effect

    def find(self) -> Leftover:
        """All that is left over, if nobody writes just now; nothing is changed."""
        return Leftover(
            frozenset(self._objects()),
            tuple(self._claims()),
            tuple(self._blobs()),
            tuple(self._pins()),
        )

    def take_objects(self, discard: Discard) -> int:
        """Take objects away that are not valid; how many. The writer's lock is held."""
        found = dict.fromkeys(sorted(self._objects()))
        discard.take(found)
        return len(found)

    def remove_claims(self) -> int:
        """Delete records of realisations that the database does not have; how many."""
        if not any(True for _ in self._claims()):
            return 0
        with exclusive(self._layout.locks / "writer"):
            found = list(self._claims())
            for place in found:
                self._effect("delete claim")
                place.unlink(missing_ok=True)
                with suppress(OSError):
                    place.parent.rmdir()
        return len(found)

    def remove_pins(self) -> int:
        """Remove pins that stand for nothing; how many."""
        with exclusive(self._layout.locks / "writer"):
            found = list(self._pins())
            for why, blob in found:
                self._pool.unpin([blob], why)
        return len(found)

    def orphans(self) -> Iterator[bytes]:
        """Blobs that nothing links but the pool, at this moment."""
        return self._blobs()

    def _objects(self) -> Iterator[str]:
        valid = self._valid()
        found = {place.name for place in self._layout.root.iterdir()}
        records = (self._layout.records).iterdir()
        found.update(place.name.removesuffix(".json") for place in records)
        for name in found - valid:
            with suppress(InvalidName):
                yield str(StorePath.parse(name))

    def _claims(self) -> Iterator[Path]:
        with self._database.snapshot() as run:
            known = {row[0] for row in run("SELECT record FROM realisations")}
        for place in self._layout.realisation_files("*.json"):
            if place.stem not in known:
                yield place

    def _blobs(self) -> Iterator[bytes]:
        for name in self._pool.names():
            found = self._pool.links(name)
            if found is not None and found[0] == 0:
                yield name

    def _pins(self) -> Iterator[tuple[str, bytes]]:
        pins = self._pool.pins()
        if not pins:
            return
        hashes = {name.partition("-")[0] for name in self._valid()}
        for why, blobs in pins.items():
            if why != REPLACED and why not in hashes:
                yield from ((why, blob) for blob in blobs)
        # Which objects link a file that was replaced, only all records can tell.
        unused = set(pins.get(REPLACED, ()))
        for place in (self._layout.records).iterdir():
            if not unused:
                break
            with suppress(FileNotFoundError):
                content = place.read_bytes()
                unused = {name for name in unused if name[:64] not in content}
        yield from ((REPLACED, blob) for blob in unused)

    def _valid(self) -> set[str]:
        with self._database.snapshot() as run:
            return {row[0] for row in run("SELECT path FROM objects")}
