"""The store in a folder of this machine."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from fromager.store.beneath import NOTHING
from fromager.store.database import Database, batches, marks
from fromager.store.durability import held_in, storage_error
from fromager.store.errors import (
    ObjectDamaged,
    ObjectMissing,
    ObjectWithheld,
    ReferenceMissing,
)
from fromager.store.keeping import Keeping
from fromager.store.leases import Lease
from fromager.store.locks import removed_after
from fromager.store.path import StorePath, check_name
from fromager.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    from fromager.store.api import ObjectInfo, Transaction
    from fromager.store.beneath import Beneath
    from fromager.store.care import Care
    from fromager.store.digest import Digest
    from fromager.store.layout import StoreLayout
    from fromager.store.locks import Caller
    from fromager.store.opening import Access
    from fromager.store.publish import Publisher
    from fromager.store.scratch import Scratch
    from fromager.store.staging import Staging
    from fromager.store.tree import Directory, File
    from fromager.store.usage import Space

TREES_REMEMBERED: Final = 256
"""Objects whose content is kept in memory; a large environment takes about 1 MB."""


class LocalStore(Keeping):
    """Plays the role `Store`, and lends the folders that builds need.

    May be used by many threads at once; a transaction belongs to one of them. It is
    closed in the end, and does not survive a fork.
    """

    def __init__(
        self,
        layout: StoreLayout,
        access: Access,
        clock: Callable[[], float],
        effect: Callable[[str], None],
        caller: Caller,
        beneath: Beneath = NOTHING,
    ) -> None:
        self._clock, self._effect = clock, effect
        self._access, self._caller, self._beneath = access, caller, beneath
        self._writable = access.refusal is None
        database = Database(layout, writable=self._writable, along=access.along)
        super().__init__(layout, database)
        self._writer = Writer(layout, clock, caller, effect)
        self._lease = Lease(layout, clock, caller, effect)
        self._publisher: Publisher | None = None
        self._making = threading.Lock()
        self._trees: dict[StorePath, File | Directory] = {}

    @property
    def root(self) -> Path:
        """The folder in which the objects lie, absolute."""
        return self._layout.root

    @property
    def lower(self) -> tuple[LocalStore, ...]:
        """The stores beneath this one, which are only read."""
        return ()

    @property
    def roots(self) -> tuple[Path, ...]:
        """The folders in which objects lie that can be read here, its own first."""
        return (self.root, *(store.root for store in self.lower))

    def place(self, path: StorePath) -> Path:
        """Where a valid object lies.

        Raises:
            ObjectMissing: not a valid object.
        """
        self.require(path)
        return path.below(self.root)

    def places(self, paths: Sequence[StorePath]) -> list[Path]:
        """As `place`, for many, in their order."""
        own: set[str] = set()
        for part in batches([str(path) for path in paths]):
            query = f"SELECT path FROM sound WHERE path IN ({marks(part)})"
            own.update(row[0] for row in self._database.rows(query, part))
        return [
            path.below(self.root)
            if str(path) in own and self._is_there(path)
            else self.place(path)
            for path in paths
        ]

    def transaction(self, processes: int = 1) -> Transaction:
        """Begin to add objects; folders of many files are read by so many processes.

        StoreUnavailable is raised if this cannot be written.
        """
        # What only writers use is not imported by readers.
        from fromager.store.transaction import LocalTransaction

        publisher = self._publishing()
        ways = self._relied_on, self._clock, self._remember_tree
        return LocalTransaction(self._staging(), publisher, *ways, processes)

    def info(self, path: StorePath) -> ObjectInfo | None:
        """What is known of a valid object; None if it is not valid here."""
        return self._own_info(path)

    def require(self, path: StorePath) -> ObjectInfo:
        """What is known of a valid object.

        Raises:
            ObjectWithheld: it was found damaged.
            ObjectMissing: it is not valid.
        """
        found = self.info(path)
        if found is not None:
            return found
        from fromager.store.audit import reason_withheld

        reason = reason_withheld(self._database.rows, path)
        if reason is not None:
            raise ObjectWithheld(str(path), reason)
        raise ObjectMissing(str(path))

    def tree(self, path: StorePath) -> File | Directory:
        """What a valid object holds, from its record, without reading its files.

        Raises:
            ObjectMissing: not a valid object.
            ObjectDamaged: its record is not the one that was written.
        """
        from fromager.store.contents import read_content

        self.require(path)
        known = self._trees.get(path)
        if known is None:
            with self._present(path):
                known = read_content(self._layout, path)
            self._remember_tree(path, known)
        return known

    def closure(self, paths: Iterable[StorePath]) -> tuple[StorePath, ...]:
        """These objects and all that they reference, transitively, sorted.

        Raises:
            ObjectMissing: one of them is not valid.
        """
        reached, missing, lower = self.reach(paths)
        if missing:
            self.require(StorePath.parse(min(missing)))
        if lower:
            raise ReferenceMissing(min(lower))
        return tuple(StorePath.parse(text) for text in sorted(reached))

    def reach(self, paths: Iterable[StorePath]) -> tuple[set[str], set[str], set[str]]:
        """What these objects reach in this store; which of them are not in it; and
        what they refer to that lies in a store beneath it.
        """
        reached, missing = self._database.closure(paths)
        return reached, missing, self._database.lower_references(reached)

    @property
    def state(self) -> tuple[int, ...]:
        """Equal if nothing was added or deleted meanwhile; cheap to ask for."""
        database = self._layout.database
        log = database.with_name(f"{database.name}-wal")
        return (*_state(database), *_state(log))

    @property
    def space(self) -> Space:
        """How much space objects take."""
        from fromager.store.usage import Space

        return Space(self._layouts, self.tree)

    def build_lock(
        self, key: Digest, waiting: Callable[[str], None]
    ) -> AbstractContextManager[None]:
        """Hold the right to build a key; `waiting(holder)` is called if it must wait."""
        self._require_writable()
        holder = self._caller.describe(self._clock())
        place = self._layout.locks / key.hex
        lock = removed_after(place, holder, waiting, self._effect)
        return held_in(self.root, lock)

    def recall(self, namespace: str, key: str) -> bytes | None:
        """What was remembered. An index only: it can always be computed anew."""
        return self._database.recall(namespace, key)

    def remember(self, namespace: str, key: str, value: bytes) -> None:
        """Keep a value, replacing the one before. Failure to write is not an error."""
        if self._writable:
            self._writer.remember(namespace, key, value)

    def care(self) -> Care:
        """Verifying and repairing what is here; what may not be written is verified."""
        from fromager.store.care import Care

        return Care(
            layout=self._layout,
            query=self._database.rows,
            writer=self._writer if self._writable else None,
            publisher=self._publishing,
            staging=self._staging,
            clock=self._clock,
            effect=self._effect,
        )

    def scratch(self, name: str, *, in_memory: bool = False) -> Scratch:
        """A private folder for work, removed when its context is left.

        With `in_memory` it lies there if there is enough of it.
        """
        from fromager.store.scratch import Scratch

        self._require_writable()
        return Scratch(
            self._layout, self._lease, name, self._effect, in_memory=in_memory
        )

    def materialise(self, tree: Directory, target: Path, *, mtime: int) -> None:
        """Write a writable private copy of a tree; see `materialise`."""
        from fromager.store.materialise import materialise

        try:
            materialise(self._layouts, tree, target, mtime=mtime)
        except OSError as error:
            raise storage_error(self.root, error) from error

    def open_blob(self, file: File) -> tuple[int, bytes] | None:
        """A descriptor to read a file's bytes from, unchecked, and where they lie."""
        from fromager.store.materialise import open_blob

        return open_blob(self._layouts, file)

    def path_of_blob(self, file: File) -> Path:
        """Where the pool holds a file's bytes, read-only."""
        return Path(os.fsdecode(self._layout.blob(file)))

    def read_file(self, path: StorePath, member: str | None = None) -> bytes:
        """The bytes of a blob, or of a file in a tree; checked against the record.

        Raises:
            ObjectMissing: no such object, or no such file in it.
            ObjectDamaged: the bytes on disk are not those of the record.
            UnsupportedFile: it is a folder or a link.
        """
        from fromager.store.contents import read_member

        content = self.tree(path)
        with self._present(path):
            return read_member(self._layout, path, content, member)

    def save_log(self, key: Digest, source: Path) -> None:
        """Keep the log of a key's build, replacing the one before.

        It is on disk when the next transaction was committed; a power cut before that
        may leave none.
        """
        from fromager.store.logs import write_log

        self._require_writable()
        try:
            temporary = self._lease.place(self._layout.staging)
            write_log(source, temporary, self._layout.log(key), self._effect)
        except OSError as error:
            raise storage_error(self.root, error) from error

    def read_log(self, key: Digest) -> bytes | None:
        """The log of a key's last build, or None."""
        from fromager.store.logs import read_log

        return read_log(self._layout.log(key))

    def cache(self, name: str) -> Path:
        """A folder in the store for what can be fetched or computed anew; made."""
        self._require_writable()
        folder = self._layout.cache(check_name(name))
        try:
            if not folder.is_dir():
                self._effect("make folder")
                folder.mkdir(exist_ok=True)
        except OSError as error:
            raise storage_error(self.root, error) from error
        return folder

    def close(self) -> None:
        """Give up the database and the lease; nothing may be in use any more."""
        self.touch(self._lease.noted)
        self._database.close()
        self._writer.close()
        self._lease.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _publishing(self) -> Publisher:
        from fromager.store.publish import Publisher

        self._require_writable()
        with self._making:
            if self._publisher is None:
                self._publisher = Publisher(
                    self._layout, self._writer, self._effect, self._beneath
                )
            return self._publisher

    def _staging(self) -> Staging:
        from fromager.store.staging import Staging

        return Staging(self._layout, self._lease, self._effect, self._beneath)

    def _remember_tree(self, path: StorePath, content: File | Directory) -> None:
        """Keep what an object holds: it never changes, and reading it is slow."""
        with self._making:
            if len(self._trees) >= TREES_REMEMBERED:
                del self._trees[next(iter(self._trees))]
            self._trees[path] = content

    def _own_info(self, path: StorePath) -> ObjectInfo | None:
        found = self._database.info(path)
        return found if found is not None and self._is_there(path) else None

    @property
    def _layouts(self) -> tuple[StoreLayout, ...]:
        """Of the stores whose pools may be read, its own first."""
        return (self._layout,)

    def _relied_on(self, path: StorePath) -> ObjectInfo | None:
        # Nobody has to be kept from collecting what is not there.
        if self._database.info(path) is None:
            return None
        self.rely_on([path])
        return self._database.info(path)

    @contextmanager
    def _present(self, path: StorePath) -> Iterator[None]:
        """What cannot be read of an object that was just collected is not damaged."""
        try:
            yield
        except ObjectDamaged as error:
            if isinstance(error.__cause__, OSError) and self.info(path) is None:
                raise ObjectMissing(str(path)) from error
            raise

    def _require_writable(self) -> None:
        if self._access.refusal is not None:
            raise self._access.refusal


def _state(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns
