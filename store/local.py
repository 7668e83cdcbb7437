"""The store in a folder of this machine."""

from __future__ import annotations

import os
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from fromager.store.database import Database
from fromager.store.digest import Digest, blob_digest
from fromager.store.durability import no_effect, storage_error
from fromager.store.errors import (
    InvalidRecord,
    ObjectDamaged,
    ObjectMissing,
    ObjectWithheld,
    StoreUnavailable,
    UnsupportedFile,
)
from fromager.store.layout import StoreLayout
from fromager.store.leases import Lease
from fromager.store.locks import describe_holder, removed_after
from fromager.store.opening import ensure_store, require_store, require_writable
from fromager.store.path import StorePath, check_name
from fromager.store.realisation import load_realisation
from fromager.store.tree import Directory, File, encode
from fromager.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from fromager.store.api import ObjectInfo, Transaction
    from fromager.store.care import Care
    from fromager.store.publish import Publisher
    from fromager.store.realisation import Realisation
    from fromager.store.scratch import Scratch
    from fromager.store.staging import Staging
    from fromager.store.tree import Node


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


class LocalStore:
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
        self._layout, self._clock, self._effect = layout, clock, effect
        owned = layout.private.stat().st_uid == os.geteuid()
        self._writable = owned and os.access(layout.private, os.W_OK)
        self._database = Database(layout, writable=self._writable)
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
        """Begin to add objects.

        Raises:
            StoreUnavailable: this store cannot be written.
        """
        # What only writers use is not imported by readers.
        from fromager.store.transaction import LocalTransaction

        publisher = self._publishing()
        return LocalTransaction(
            *(self._staging(), publisher, self._database.info),
            *(self._clock, self._remember_tree),
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
        from fromager.store.records import load_record

        self.require(path)
        known = self._trees.get(path)
        if known is not None:
            return known
        place = self._layout.record(path)
        try:
            record = load_record(place.read_bytes())
        except (OSError, InvalidRecord) as error:
            raise ObjectDamaged(place, "the object's record", str(error)) from error
        if record.path != path:
            raise ObjectDamaged(place, str(path), str(record.path))
        self._remember_tree(path, record.content)
        return record.content

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

    def realisations(self, key: Digest) -> tuple[Realisation, ...]:
        """All claims for a key, newest first, whose outputs are valid here.

        What checks found comes after what builds gave.
        """
        found = self._claims("key = ? AND output IN (SELECT path FROM sound)", str(key))
        return tuple(claim for claim in found if self._is_there(claim.output))

    def history(self, kind: str, subject: str) -> tuple[Realisation, ...]:
        """All claims of a kind for a subject, newest first, valid or not."""
        return self._claims("kind = ? AND subject = ?", kind, subject)

    def producers(self, output: StorePath) -> tuple[Realisation, ...]:
        """All claims that gave this object, newest first."""
        return self._claims("output = ?", str(output))

    def realised(self, derivation: StorePath) -> tuple[Realisation, ...]:
        """All claims of the derivation that this object holds, newest first."""
        return self._claims("derivation = ?", str(derivation))

    def subjects(self, kind: str) -> tuple[str, ...]:
        """What claims of a kind are for, the newest first."""
        return self._database.subjects(kind)

    @contextmanager
    def build_lock(self, key: Digest, waiting: Callable[[str], None]) -> Iterator[None]:
        """Hold the right to build a key; `waiting(holder)` is called if it must wait."""
        self._require_writable()
        holder = describe_holder(self._clock())
        place = self._layout.locks / key.hex
        with ExitStack() as held:
            try:
                held.enter_context(removed_after(place, holder, waiting, self._effect))
            except OSError as error:
                raise storage_error(self.root, error) from error
            yield

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
        """Note that these objects are in use now; as cheap and weak as `remember`."""
        if self._writable:
            self._writer.touch(paths)

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
        node: Node | None = self.tree(path)
        if member is not None:
            node = node.get(member) if isinstance(node, Directory) else None
        named = str(path) if member is None else f"{path}/{member}"
        if node is None:
            raise ObjectMissing(named)
        if not isinstance(node, File):
            raise UnsupportedFile(Path(named), "it is no file")
        place = Path(os.fsdecode(self._layout.object(path)))
        if member is not None:
            place = Path(os.fsdecode(os.fsencode(place) + b"/" + encode(member)))
        try:
            content = place.read_bytes()
        except OSError as error:
            raise ObjectDamaged(place, str(node.digest), str(error)) from error
        if (actual := blob_digest(content)) != node.digest:
            raise ObjectDamaged(place, str(node.digest), str(actual))
        return content

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
        """Make or replace a user's link into the store; see `link_root`."""
        from fromager.store.roots import link_root

        self._require_writable()
        link_root(self._layout, link, target, self._effect)

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

    def _is_there(self, path: StorePath) -> bool:
        return os.path.lexists(self._layout.object(path))

    def _claims(self, where: str, *values: str) -> tuple[Realisation, ...]:
        found = [load_realisation(c) for c in self._database.claims(where, values)]
        # Stable: whoever takes the first takes the newest that is no mere evidence.
        return tuple(sorted(found, key=lambda claim: claim.is_evidence))

    def _require_writable(self) -> None:
        if not self._writable:
            require_writable(self._layout)
            raise StoreUnavailable(self.root, "it is read-only")
