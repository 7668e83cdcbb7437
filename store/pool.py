"""The pool of blobs, as those see it who collect garbage.

A blob goes when nothing links it but the pool itself. Who adds objects may count on a
blob that it saw in the pool a moment ago, and shares the lock `pool` from that moment
on (see `Staging`). If nobody does, that lock is taken for a short while, and blobs
are deleted. Otherwise they are taken out in steps, all under the writer's lock, which
everyone has who makes objects valid:

1. It has no other link: it is moved to the trash.
2. If it has one now, somebody linked it in between: it is moved back.
3. It stays in the trash, where those find it that may have seen it, until the trash is
   emptied in a moment when there is no such transaction. Whoever does not find a blob
   in the pool looks into the trash, and then again into the pool, where one that found
   it in the trash may have put it.

A process that is killed between 1 and 2 leaves a blob in the trash that an object
links. Whoever makes such an object valid puts it back first (see `publish`).
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fromager.store.layout import REPLACED
from fromager.store.locks import acquire, exclusive
from fromager.store.overlap import overlap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fromager.store.layout import StoreLayout

BLOCK: Final = 512
"""The unit of `st_blocks`, whatever the file system's own block is (stat(2))."""

_AT_ONCE: Final = 1000
"""Blobs that are taken out while others wait for the writer's lock."""

_FILE: Final = re.compile(rb'","([fx])","([0-9a-f]{64})",[0-9]+\]')
_NAME: Final = re.compile(rb"[0-9a-f]{64}(\.x)?")


@dataclass(frozen=True, slots=True)
class Amount:
    """How many, and how many bytes of the disk they took."""

    count: int = 0
    bytes: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.count + other.count, self.bytes + other.bytes)


NOTHING: Final = Amount()


def blob_names(record: bytes) -> list[bytes]:
    """The names of all blobs that the record of a tree lists, each as often as there."""
    # Quotes in names are escaped: this cannot be found inside of one. It is many times
    # faster than to parse the record, and whatever it finds is looked at before it goes.
    return [
        digits + b".x" if kind == b"x" else digits
        for kind, digits in _FILE.findall(record)
    ]


class Ledger:
    """Counts what goes with objects, one after the other, without touching anything."""

    def __init__(self, links: Callable[[bytes], tuple[int, int] | None]) -> None:
        """`links` says of a blob how many links it has beside the pool's, and its bytes;
        None if it does not go, or is not there."""
        self._links = links
        self._left: dict[int, int] = {}

    def remove(self, names: Iterable[bytes]) -> Amount:
        """What can go after one more object went that holds these blobs."""
        count = total = 0
        for name in names:
            found = self._links(name)
            if found is None:
                continue
            links, size = found
            if links > 1:
                # Most blobs are in one object: only the others are kept in mind.
                key = hash(name)
                links = self._left.pop(key, links)
                if links > 1:
                    self._left[key] = links - 1
                    continue
            count += 1
            total += size
        return Amount(count, total)


class Pool:
    """Takes blobs out of the pool."""

    def __init__(self, layout: StoreLayout, effect: Callable[[str], None]) -> None:
        self._layout, self._effect = layout, effect

    def links(self, name: bytes) -> tuple[int, int] | None:
        """How many links a blob has beside the pool's, and the bytes that it takes."""
        try:
            status = os.stat(self._layout.pooled(name))
        except FileNotFoundError:
            return None
        return status.st_nlink - 1, status.st_blocks * BLOCK

    def names(self) -> Iterator[bytes]:
        """All blobs, in no order."""
        for digits in _entries(self._layout.pool):
            for rest in _entries(b"%b/%b" % (self._layout.pool, digits)):
                name = digits + rest
                if _NAME.fullmatch(name):
                    yield name

    def size(self) -> int:
        """The bytes that all blobs take on the disk."""
        found = (self.links(name) for name in self.names())
        return sum(each[1] for each in found if each is not None)

    def pins(self) -> dict[str, list[bytes]]:
        """By the hash of an object or REPLACED, the blobs that are pinned for it."""
        found: dict[str, list[bytes]] = {}
        for entry in _entries(self._layout.pins):
            name, _, why = entry.rpartition(b"-")
            found.setdefault(why.decode("ascii", "replace"), []).append(name)
        return found

    def unpin(self, names: Iterable[bytes], why: str) -> None:
        """Remove the pins of these blobs that are there for that reason."""
        for name in names:
            self._effect("unpin blob")
            with suppress(FileNotFoundError):
                os.unlink(self._layout.pin(name, why.encode()))

    def release(self, names: Iterable[bytes]) -> Amount:
        """Take those blobs out that nothing links any more."""
        freed = NOTHING
        wanted = list(dict.fromkeys(names))
        for start in range(0, len(wanted), _AT_ONCE):
            with exclusive(self._layout.locks / "writer"), self._alone() as alone:
                # A blob of the pool may have one more link there.
                self._empty_trash(alone=alone)
                part = wanted[start : start + _AT_ONCE]
                sizes = overlap(self._delete if alone else self._move, part)
                freed += _amount([size for size in sizes if size is not None])
        return freed

    def settle(self) -> int:
        """Empty the trash, if nobody counts on what is in it; how many blobs stay."""
        with exclusive(self._layout.locks / "writer"), self._alone() as alone:
            return self._empty_trash(alone=alone)

    def _empty_trash(self, *, alone: bool) -> int:
        names = _entries(self._layout.trash)
        for name in names:
            self._restore(name)
            if alone:
                self._effect("delete trashed blob")
                os.unlink(self._layout.trashed(name))
                # Who found it in the trash may have put it back, and be gone since.
                self._delete(name)
        return 0 if alone else len(names)

    def _delete(self, name: bytes) -> int | None:
        """The bytes of a blob that is gone now; None if it is not to go.

        No transaction is under way.
        """
        pooled = self._layout.pooled(name)
        try:
            status = os.stat(pooled)
        except FileNotFoundError:
            return None
        if status.st_nlink > 1:
            return None
        self._effect("delete blob")
        os.unlink(pooled)
        return status.st_blocks * BLOCK

    def _move(self, name: bytes) -> int | None:
        """The bytes of a blob that is in the trash now; None if it is not to go."""
        pooled, trashed = self._layout.pooled(name), self._layout.trashed(name)
        try:
            status = os.stat(pooled)
        except FileNotFoundError:
            return None
        if status.st_nlink > 1 and _is_same(trashed, status):
            # Taken out once, and got back by one who found it in the trash.
            self._effect("delete trashed blob")
            os.unlink(trashed)
            status = os.stat(pooled)
        if status.st_nlink > 1:
            return None
        self._effect("trash blob")
        os.rename(pooled, trashed)
        if os.stat(trashed).st_nlink > 1:
            self._effect("restore blob")
            os.rename(trashed, pooled)
            return None
        return status.st_blocks * BLOCK

    def _restore(self, name: bytes) -> None:
        """Put a blob of the trash back if something links it, as a crash may leave it."""
        pooled, trashed = self._layout.pooled(name), self._layout.trashed(name)
        with suppress(FileNotFoundError, FileExistsError):
            if os.stat(trashed).st_nlink > 1:
                self._effect("restore blob")
                os.link(trashed, pooled)

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Keep transactions from looking into the pool, if none has looked yet."""
        descriptor = acquire(self._layout.locks / "pool", blocking=False)
        try:
            yield descriptor is not None
        finally:
            if descriptor is not None:
                os.close(descriptor)


def pinned_for_all(pins: dict[str, list[bytes]]) -> frozenset[bytes]:
    """The blobs that are pinned for objects of which it is not known who they are."""
    return frozenset(pins.get(REPLACED, ()))


def _amount(sizes: list[int]) -> Amount:
    return Amount(len(sizes), sum(sizes))


def _is_same(path: bytes, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), status)
    except FileNotFoundError:
        return False


def _entries(folder: bytes) -> list[bytes]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
