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
                     roots/links/            symbolic links to users' links into the store
                     cache/<name>/           what can be fetched or computed anew

The database can be made anew from the objects, records and realisations.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from fromager.store.digest import Digest
    from fromager.store.path import StorePath
    from fromager.store.tree import File

FORMAT: Final = 1
"""The number in `version`; a store with a greater one is refused."""

PRIVATE: Final = ".fromager"


@dataclass(frozen=True)
class StoreLayout:
    """The places in the store with this root folder.

    Where many files are handled, places are bytes: names in trees mean the same
    bytes in every locale.
    """

    root: Path

    @cached_property
    def private(self) -> Path:
        """The folder of everything that is no object."""
        return self.root / PRIVATE

    @property
    def version(self) -> Path:
        """The file that makes a folder a store; written last when one is made."""
        return self.private / "version"

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.private / "db.sqlite"

    @property
    def staging(self) -> Path:
        """Parent of the folders of transactions."""
        return self.private / "staging"

    @property
    def scratch(self) -> Path:
        """Parent of the folders of builds."""
        return self.private / "scratch"

    @property
    def leases(self) -> Path:
        """Parent of the files that living processes keep locked."""
        return self.private / "leases"

    @property
    def failed(self) -> Path:
        """Parent of the build folders that were kept."""
        return self.private / "failed"

    @property
    def locks(self) -> Path:
        """Parent of the locks of keys, and home of the writer's lock."""
        return self.private / "locks"

    @property
    def links(self) -> Path:
        """Parent of the links to users' links."""
        return self.private / "roots" / "links"

    @property
    def folders(self) -> tuple[Path, ...]:
        """All folders that a store has from the beginning."""
        names = ("blobs", "records", "realisations", "logs", "cache")
        return (
            *(self.private / name for name in names),
            *(self.staging, self.scratch, self.leases, self.failed, self.locks),
            self.links,
        )

    @cached_property
    def root_bytes(self) -> bytes:
        """The root folder."""
        return os.fsencode(self.root)

    @cached_property
    def pool(self) -> bytes:
        """The folder of the blobs' folders."""
        return os.fsencode(self.private / "blobs")

    def blob(self, file: File) -> bytes:
        """Where the pool holds a file's bytes."""
        digits = file.digest.hex.encode()
        suffix = b".x" if file.executable else b""
        return b"%b/%b/%b%b" % (self.pool, digits[:2], digits[2:], suffix)

    def object(self, path: StorePath) -> bytes:
        """Where an object lies."""
        return b"%b/%b" % (self.root_bytes, str(path).encode())

    def record(self, path: StorePath) -> Path:
        """Where an object's record lies."""
        return self.private / "records" / f"{path}.json"

    def realisation(self, key: Digest, record: Digest) -> Path:
        """Where the record of a realisation lies."""
        folder = self.private / "realisations" / key.hex[:2] / key.hex
        return folder / f"{record.hex}.json"

    def log(self, key: Digest) -> Path:
        """Where the log of a key's last build lies."""
        return self.private / "logs" / key.hex[:2] / f"{key.hex}.log.gz"

    def cache(self, name: str) -> Path:
        """A folder for what can be made anew."""
        return self.private / "cache" / name
