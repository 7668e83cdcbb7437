"""How much space objects take, and how much would be free without them.

Every content lies on the disk once, however many objects have it. Each use of it is a
link to the pool's file: the number of links tells whether others use it, without a look
at what they hold.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from operator import attrgetter
from stat import S_ISDIR
from typing import TYPE_CHECKING, Final

from fromager.store.durability import storage_error
from fromager.store.tree import File

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from fromager.store.layout import StoreLayout
    from fromager.store.path import StorePath
    from fromager.store.tree import Directory

_UNIT: Final = 512
"""Bytes in what the system counts as a block, whatever those of the file system."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes of the files of one object, or of several together."""

    apparent: int
    """The sum of the sizes of all files."""
    disk: int
    """What their contents take on the disk, each counted once."""
    exclusive: int
    """The part of that which no other object uses."""


@dataclass(frozen=True, slots=True)
class StoreUsage:
    """Bytes on the disk below a store's folder, by what they are for."""

    objects: int
    """Contents of files that an object has."""
    unused: int
    """Contents of files that no object has (any more)."""
    others: Mapping[str, int]
    """The rest: the database, each folder of the store's own by its name, and other."""

    @property
    def total(self) -> int:
        """All of it."""
        return self.objects + self.unused + sum(self.others.values())


@dataclass(frozen=True)
class Space:
    """What there is to know of the space that a store takes."""

    layouts: tuple[StoreLayout, ...]
    """Of the store, and of those beneath it."""
    tree: Callable[[StorePath], File | Directory]
    """What an object holds."""

    def of(self, paths: Iterable[StorePath]) -> Usage:
        """What these objects take together; files that are gone take nothing.

        Raises:
            ObjectMissing: one of them is not valid.
        """
        uses: Counter[File] = Counter()
        for path in set(paths):
            node = self.tree(path)
            if isinstance(node, File):
                uses[node] += 1
            else:
                uses.update(each for _, each in node.walk() if isinstance(each, File))
        apparent = disk = exclusive = 0
        for file, links in uses.items():
            apparent += file.size * links
            status = self._status(file)
            if status is None:
                continue
            size = status.st_blocks * _UNIT
            disk += size
            if status.st_nlink <= links + 1:  # the pool's own one
                exclusive += size
        return Usage(apparent, disk, exclusive)

    def total(self) -> StoreUsage:
        """What everything in the store takes, but for links, folders and lower stores.

        Raises:
            StoreUnavailable: it cannot be read.
        """
        try:
            return StoreUsage(*_pool(self.layouts[0]), _others(self.layouts[0]))
        except OSError as error:
            raise storage_error(self.layouts[0].root, error) from error

    def _status(self, file: File) -> os.stat_result | None:
        for layout in self.layouts:
            with suppress(FileNotFoundError):
                return os.stat(layout.blob(file))
        return None


def _pool(layout: StoreLayout) -> tuple[int, int]:
    objects = unused = 0
    for folder in os.listdir(layout.pool):
        with os.scandir(b"%b/%b" % (layout.pool, folder)) as blobs:
            for blob in blobs:
                status = blob.stat(follow_symlinks=False)
                if status.st_nlink > 1:
                    objects += status.st_blocks * _UNIT
                else:
                    unused += status.st_blocks * _UNIT
    return objects, unused


def _others(layout: StoreLayout) -> dict[str, int]:
    others = dict.fromkeys(("database", "other"), 0)
    with os.scandir(os.fsencode(layout.private)) as found:
        entries = sorted(found, key=attrgetter("name"))
    for entry in entries:
        if entry.path in (layout.pool, layout.pins):
            continue  # pins are links to what is in the pool
        name = os.fsdecode(entry.name)
        if not entry.is_dir(follow_symlinks=False):
            is_database = name.startswith(layout.database.name)
            name = "database" if is_database else "other"
        others[name] = others.get(name, 0) + _below(entry.path)
    return others


def _below(top: bytes) -> int:
    """What all below takes; what goes away meanwhile, or cannot be read, nothing."""
    size, pending = 0, [top]
    seen: set[int] = set()
    while pending:
        path = pending.pop()
        try:
            status = os.lstat(path)
            if S_ISDIR(status.st_mode):
                pending += [path + b"/" + name for name in os.listdir(path)]
                continue
        except OSError:
            continue
        if status.st_ino not in seen:
            seen.add(status.st_ino)
            size += status.st_blocks * _UNIT
    return size
