"""Objects on their way out: moved away from their places, then deleted."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from fromager.store.overlap import overlap
from fromager.store.path import HASH_LENGTH
from fromager.store.pool import Amount, blob_names
from fromager.store.removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fromager.store.layout import StoreLayout
    from fromager.store.leases import Lease
    from fromager.store.pool import Pool


class Discard:
    """A folder for what is to be deleted; whoever dies leaves it to be swept."""

    def __init__(
        self,
        layout: StoreLayout,
        lease: Lease,
        pool: Pool,
        effect: Callable[[str], None],
    ) -> None:
        self._layout, self._lease, self._pool = layout, lease, pool
        self._effect = effect
        self._pins = pool.pins()
        self._folder: bytes | None = None
        self._trees: list[str] = []
        self._blobs: list[bytes] = []

    def take(self, objects: Mapping[str, bytes | None]) -> None:
        """Take objects that are not valid from their places, with their records.

        To each belongs the name of its only blob, if it is known to be a file. The
        writer's lock is held: nobody is making an object valid at those places.
        """
        if None in objects.values():
            self._make_folder()
        overlap(self._take, list(objects.items()))
        for name, blob in objects.items():
            if blob is None:
                self._trees.append(name)
            else:
                self._blobs.append(blob)
            for pinned in self._pins.pop(name[:HASH_LENGTH], ()):
                self._pool.unpin([pinned], name[:HASH_LENGTH])
                self._blobs.append(pinned)

    def empty(self) -> Amount:
        """Delete what was taken, and the blobs that nothing links any more.

        No lock is held. Gives what was freed in the pool.
        """
        for blobs in overlap(self._delete, self._trees):
            self._blobs += blobs
        freed = self._pool.release(self._blobs)
        self._trees, self._blobs = [], []
        return freed

    def close(self) -> None:
        """Remove the folder."""
        if self._folder is not None:
            remove_tree(self._folder, self._effect)
            self._folder = None

    def _take(self, item: tuple[str, bytes | None]) -> None:
        name, blob = item
        raw = name.encode()
        place, record = self._layout.object_named(raw), self._layout.record_named(raw)
        if blob is not None:
            self._unlink("delete object", place)
            self._unlink("delete record", record)
            return
        for old, new in (
            (place, self._inside(name)),
            (record, self._inside(f"{name}.json")),
        ):
            self._effect("discard object")
            self._move(old, new)

    def _delete(self, name: str) -> list[bytes]:
        """Delete a tree that was taken, and its record; the blobs that it had."""
        record = self._inside(f"{name}.json")
        blobs: list[bytes] = []
        with suppress(FileNotFoundError), open(record, "rb") as stream:
            blobs = blob_names(stream.read())
        self._effect("delete object")
        remove_tree(self._inside(name), self._effect)
        self._unlink("delete record", record)
        return blobs

    def _make_folder(self) -> None:
        if self._folder is None:
            self._folder = os.fsencode(self._lease.place(self._layout.staging))
            self._effect("make staging")
            os.mkdir(self._folder, 0o700)

    def _inside(self, name: str) -> bytes:
        assert self._folder is not None
        return b"%b/%b" % (self._folder, name.encode())

    def _unlink(self, effect: str, place: bytes) -> None:
        self._effect(effect)
        try:  # there are many: a context manager takes its time
            os.unlink(place)
        except FileNotFoundError:
            return

    def _move(self, place: bytes, target: bytes) -> None:
        try:
            os.rename(place, target)
        except FileNotFoundError:
            return
        except PermissionError:
            # A folder that cannot be written to cannot be moved either.
            os.chmod(place, 0o700)
            os.rename(place, target)
