"""Where everything lies in a store: objects by their paths, the rest in `.fromager`.

    <root>/<store path>                      an object
    <root>/.fromager/version                 the format of all that follows, JSON
                     db.sqlite               what is valid
                     blobs/ab/<62 hex>[.x]   the pool: one file per content, `.x` executable
                     records/<path>.json     what the database knows of an object
                     realisations/ab/<key>/<record>.json
                     staging/  scratch/      folders of processes that are at work
                     leases/                 one locked file per such process
                     failed/                 folders of failed builds that were kept
                     locks/                  one file per key that is being built
                     logs/ab/<key>.log.gz
                     roots/links/            the users' links into the store, one file each
                     roots/generations/<name>/<number>.json   states of a named root
                     trash/                  blobs that are being taken out of the pool
                     pins/<blob>-<why>       links for objects that do not link the pool
                     leftovers               there if a process died while it wrote
                     collecting              there while garbage is collected
                     reserve                 room to collect garbage on a full disk
                     cache/<name>/           what can be fetched or computed anew

The database can be made anew from the objects, records and realisations. Roots are
files only.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fromager.store.digest import Digest
    from fromager.store.path import StorePath
    from fromager.store.tree import File

FORMAT: Final = 1
"""The number in `version`; a store with a greater one is refused."""

PRIVATE: Final = ".fromager"

REPLACED: Final = "replaced"
"""Says of a pin that the pool once had another file with these bytes."""


def blob_name(file: File) -> bytes:
    """The name of a file's blob: its digest's digits, and `.x` if it is executable."""
    return file.digest.hex.encode() + (b".x" if file.executable else b"")


def present(folder: Path, pattern: str) -> Iterator[Path]:
    """What is there below a folder.

    A folder that another process removes meanwhile is no error, which it is to
    `Path.glob`.
    """
    from glob import iglob

    return (folder / name for name in iglob(pattern, root_dir=folder))


@dataclass(frozen=True)
class StoreLayout:
    """The places in the store with this root folder.

    Where many files are handled, places are bytes: names in trees mean the same
    bytes in every locale.
    """

    root: Path

    @cached_property
    def names(self) -> tuple[str, str]:
        """With what the places of objects begin, as it was given and without links."""
        return os.path.join(self.root, ""), os.path.join(self.root.resolve(), "")

    @cached_property
    def private(self) -> Path:
        """The folder of everything that is no object."""
        return self.root / PRIVATE

    @cached_property
    def version(self) -> Path:
        """The file that makes a folder a store; written last when one is made."""
        return self.private / "version"

    @cached_property
    def database(self) -> Path:
        """The SQLite file."""
        return self.private / "db.sqlite"

    @cached_property
    def staging(self) -> Path:
        """Parent of the folders of transactions."""
        return self.private / "staging"

    @cached_property
    def scratch(self) -> Path:
        """Parent of the folders of builds."""
        return self.private / "scratch"

    @cached_property
    def leases(self) -> Path:
        """Parent of the files that living processes keep locked."""
        return self.private / "leases"

    @cached_property
    def failed(self) -> Path:
        """Parent of the build folders that were kept."""
        return self.private / "failed"

    @cached_property
    def locks(self) -> Path:
        """Parent of the locks of keys, and home of the writer's lock."""
        return self.private / "locks"

    @cached_property
    def links(self) -> Path:
        """Parent of the files that list users' links."""
        return self.private / "roots" / "links"

    @cached_property
    def generations(self) -> Path:
        """Parent of the folders of named roots."""
        return self.private / "roots" / "generations"

    @cached_property
    def leftovers(self) -> Path:
        """The mark that somewhere in the store lies what a dead process left."""
        return self.private / "leftovers"

    @cached_property
    def collecting(self) -> Path:
        """The mark that collecting garbage has begun, and has not ended."""
        return self.private / "collecting"

    @cached_property
    def reserve(self) -> Path:
        """A file that is given up when garbage is collected, to have some space."""
        return self.private / "reserve"

    @property
    def folders(self) -> tuple[Path, ...]:
        """All folders that a store has from the beginning."""
        names = ("blobs", "records", "realisations", "logs", "cache")
        return (
            *(self.private / name for name in names),
            *(self.staging, self.scratch, self.leases, self.failed, self.locks),
            *(self.links, self.generations),
            *(self.private / name for name in ("trash", "pins")),
        )

    @cached_property
    def root_bytes(self) -> bytes:
        """The root folder."""
        return os.fsencode(self.root)

    @cached_property
    def pool(self) -> bytes:
        """The folder of the blobs' folders."""
        return os.fsencode(self.private / "blobs")

    @cached_property
    def trash(self) -> bytes:
        """The folder of blobs that are being taken out of the pool."""
        return os.fsencode(self.private / "trash")

    @cached_property
    def pins(self) -> bytes:
        """The folder of links to blobs that must not go when no object links them."""
        return os.fsencode(self.private / "pins")

    def blob(self, file: File) -> bytes:
        """Where the pool holds a file's bytes."""
        return self.pooled(blob_name(file))

    def pooled(self, name: bytes) -> bytes:
        """Where the pool holds a blob, by its name."""
        return b"%b/%b/%b" % (self.pool, name[:2], name[2:])

    def trashed(self, name: bytes) -> bytes:
        """Where a blob lies while it is being taken out of the pool."""
        return b"%b/%b" % (self.trash, name)

    def pin(self, name: bytes, why: bytes) -> bytes:
        """Where one more link to a blob lies; `why` is an object's hash or REPLACED."""
        return b"%b/%b-%b" % (self.pins, name, why)

    def object(self, path: StorePath) -> bytes:
        """Where an object lies."""
        return self.object_named(str(path).encode())

    def object_named(self, path: bytes) -> bytes:
        """Where the object with this store path lies."""
        return b"%b/%b" % (self.root_bytes, path)

    @cached_property
    def records(self) -> Path:
        """The folder of the records of objects."""
        return self.private / "records"

    def record(self, path: StorePath) -> Path:
        """Where an object's record lies."""
        return self.records / f"{path}.json"

    def record_named(self, path: bytes) -> bytes:
        """Where the record of the object with this store path lies."""
        return b"%b/%b.json" % (self._records_bytes, path)

    @cached_property
    def _records_bytes(self) -> bytes:
        return os.fsencode(self.records)

    def realisation(self, key: Digest, record: Digest) -> Path:
        """Where the record of a realisation lies."""
        folder = self.private / "realisations" / key.hex[:2] / key.hex
        return folder / f"{record.hex}.json"

    def realisation_files(self, name: str = "*") -> Iterator[Path]:
        """The records of all realisations; those that are named, if a name is given."""
        return present(self.private, f"realisations/*/*/{name}")

    def log(self, key: Digest) -> Path:
        """Where the log of a key's last build lies."""
        return self.private / "logs" / key.hex[:2] / f"{key.hex}.log.gz"

    def cache(self, name: str) -> Path:
        """A folder for what can be made anew."""
        return self.private / "cache" / name
