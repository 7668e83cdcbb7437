"""The store in a folder of this machine."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from fromager.store.claims import Claims
from fromager.store.database import Database
from fromager.store.durability import held_in, storage_error
from fromager.store.effects import no_effect
from fromager.store.errors import (
    ObjectDamaged,
    ObjectMissing,
    ObjectWithheld,
    StoreUnavailable,
)
from fromager.store.layout import StoreLayout
from fromager.store.leases import Lease
from fromager.store.locks import describe_holder, removed_after, shared
from fromager.store.opening import ensure_store, require_store, require_writable
from fromager.store.path import StorePath, check_name
from fromager.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager
    from types import TracebackType

    from fromager.store.accounts import Accounts
    from fromager.store.api import ObjectInfo, Transaction
    from fromager.store.care import Care
    from fromager.store.collect import Collector
    from fromager.store.digest import Digest
    from fromager.store.generations import Generation, Generations, Member
    from fromager.store.publish import Publisher
    from fromager.store.scratch import Scratch
    from fromager.store.staging import Staging
    from fromager.store.tree import Directory, File

USE_GRAIN: Final = 3600
"""Seconds within which it makes no difference when an object was last used."""

TREES_REMEMBERED: Final = 256
"""Objects whose content is kept in memory; a large environment takes about 1 MB."""


def open_store(
    root: Path,
    *,
    create: bool = True,
    clock: Callable[[], float] = time.time,
    effect: Callable[[str], None] = no_effect,
) -> LocalStore:
    """The store in a folder; it is made if there is none and `create` is true.

    Without `create` nothing on disk is changed by opening it. `effect` is called
    with a name before each thing that the store does to the disk.

    Raises:
        StoreUnavailable: there is none, it cannot be written (with `create`), it was
            made by a newer fromager, or the place cannot hold a store.
        StoreFull: no space is left to make it.
    """
    layout = StoreLayout(root.absolute())
    if create:
        ensure_store(layout, effect)
    require_store(layout)
    if create:
        require_writable(layout)
    return LocalStore(layout, clock, effect)


class LocalStore(Claims):
    """Plays the role `Store`, and lends the folders that builds need.

    May be used by many threads at once; a transaction belongs to one of them. It is
    closed in the end, and does not survive a fork.
    """

    def __init__(
        self,
        layout: StoreLayout,
        clock: Callable[[], float],
        effect: Callable[[str], None],
    ) -> None:
        self._clock, self._effect = clock, effect
        owned = layout.private.stat().st_uid == os.geteuid()
        self._writable = owned and os.access(layout.private, os.W_OK)
        super().__init__(layout, Database(layout, writable=self._writable))
        self._writer = Writer(layout, clock, effect)
        self._lease = Lease(layout, clock, effect)
        self._publisher: Publisher | None = None
        self._making = threading.Lock()
        self._trees: dict[StorePath, File | Directory] = {}

    @property
    def root(self) -> Path:
        """The folder in which the objects lie, absolute."""
        return self._layout.root

    def transaction(self) -> Transaction:
        """Begin to add objects; StoreUnavailable is raised if this cannot be written."""
        # What only writers use is not imported by readers.
        from fromager.store.transaction import LocalTransaction

        publisher = self._publishing()
        return LocalTransaction(
            self._staging(),
            publisher,
            self._relied_on,
            self._clock,
            self._remember_tree,
        )

    def info(self, path: StorePath) -> ObjectInfo | None:
        """What is known of a valid object; None if it is not valid here."""
        found = self._database.info(path)
        return found if found is not None and self._is_there(path) else None

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
        from fromager.store.contents import read_tree

        self.require(path)
        known = self._trees.get(path)
        if known is None:
            with self._present(path):
                known = read_tree(self._layout, path)
            self._remember_tree(path, known)
        return known

    def find(self, prefix: str) -> tuple[ObjectInfo, ...]:
        """Objects whose path, name or digest (`blake3:…` or hex) begins with this."""
        return self._database.find(prefix)

    def objects(self) -> tuple[ObjectInfo, ...]:
        """All valid objects, sorted by path."""
        return self._database.objects()

    def closure(self, paths: Iterable[StorePath]) -> tuple[StorePath, ...]:
        """These objects and all that they reference, transitively, sorted.

        Raises:
            ObjectMissing: one of them is not valid.
        """
        reached, missing = self._database.closure(paths)
        if missing:
            self.require(StorePath.parse(min(missing)))
        return tuple(StorePath.parse(text) for text in sorted(reached))

    def build_lock(
        self, key: Digest, waiting: Callable[[str], None]
    ) -> AbstractContextManager[None]:
        """Hold the right to build a key; `waiting(holder)` is called if it must wait."""
        self._require_writable()
        holder = describe_holder(self._clock())
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

    def touch(self, paths: Iterable[StorePath]) -> None:
        """Note that these objects are in use now; as weak as `remember`.

        What was used less than an hour ago is not written again.
        """
        if self._writable:
            before = int(self._clock()) - USE_GRAIN
            if stale := self._database.unused_since(before, paths):
                self._writer.touch(stale)

    def rely_on(self, paths: Iterable[StorePath]) -> frozenset[StorePath]:
        """Those of these objects that are valid: they stay until this is closed."""
        wanted = list(paths)
        new = self._lease.unknown(wanted)
        if new and self._writable:
            try:
                with shared(self._layout.locks / "collect"):
                    self._lease.note(path for path in new if self.info(path))
            except OSError as error:
                raise storage_error(self.root, error) from error
        elif new:
            # Another user's: whoever collects there cannot be told.
            return frozenset(path for path in wanted if self.info(path))
        return self._lease.noted.intersection(wanted)

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
            materialise(self._layout, tree, target, mtime=mtime)
        except OSError as error:
            raise storage_error(self.root, error) from error

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
        from fromager.store.contents import read_file

        content = self.tree(path)
        with self._present(path):
            return read_file(self._layout, path, content, member)

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

    def link_root(self, link: Path, target: Path) -> None:
        """Make or replace a user's link to an object or into it; see `link_root`.

        Raises:
            ObjectMissing: the target does not lie in a valid object.
            LinkRefused: the link cannot be made.
        """
        from fromager.store.roots import link_root, object_at

        path = object_at(self._layout, target)
        self._require_valid([path])
        now = int(self._clock())
        link_root(self._layout, link, target, path, now, self._effect)

    def add_generation(self, root: str, members: Iterable[Member]) -> Generation:
        """Make the next generation of a named root; see `Generations.add`.

        Raises:
            ObjectMissing: a member is not valid.
            InvalidName: no such name can be.
        """
        held = tuple(members)
        self._require_valid([member.path for member in held])
        return self.generations().add(root, held, int(self._clock()))

    def generations(self) -> Generations:
        """The named roots."""
        from fromager.store.generations import Generations

        return Generations(self._layout, self._effect)

    def collector(self) -> Collector:
        """What collects garbage."""
        from fromager.store.collect import Collector

        parts = (self._layout, self._database, self._writer, self._lease)
        return Collector(*parts, self._clock, self._effect)

    def accounts(self) -> Accounts:
        """What tells of roots what they cost and keep alive."""
        from fromager.store.accounts import Accounts

        return Accounts(self._layout, self._database, self.collector().weigh)

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
                self._publisher = Publisher(self._layout, self._writer, self._effect)
            return self._publisher

    def _staging(self) -> Staging:
        from fromager.store.staging import Staging

        return Staging(self._layout, self._lease, self._effect)

    def _remember_tree(self, path: StorePath, content: File | Directory) -> None:
        """Keep what an object holds: it never changes, and reading it is slow."""
        with self._making:
            if len(self._trees) >= TREES_REMEMBERED:
                del self._trees[next(iter(self._trees))]
            self._trees[path] = content

    def _require_valid(self, paths: list[StorePath]) -> None:
        self._require_writable()
        for path in set(paths) - self.rely_on(paths):
            raise ObjectMissing(str(path))

    def _relied_on(self, path: StorePath) -> ObjectInfo | None:
        return self._database.info(path) if self.rely_on([path]) else None

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
        if not self._writable:
            require_writable(self._layout)
            raise StoreUnavailable(self.root, "it is read-only")
