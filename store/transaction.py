"""Transactions: objects and claims that become valid together."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Final, Self

from fromager.store.api import ObjectInfo, TreeBuilder
from fromager.store.digest import blob_digest
from fromager.store.durability import storage_error
from fromager.store.errors import InvalidRecord, StoreError
from fromager.store.ingest import take_file, take_tree
from fromager.store.mirror import Mirror
from fromager.store.path import StorePath, check_name
from fromager.store.publication import Batch, StagedObject
from fromager.store.realisation import dump_realisation
from fromager.store.records import ObjectRecord, dump_record
from fromager.store.tree import Directory, File

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from types import TracebackType

    from fromager.store.publish import Publisher
    from fromager.store.realisation import Realisation
    from fromager.store.staging import Staging
    from fromager.store.stat_cache import Lesson, Recollection, StatCache

_CHUNK: Final = 1 << 20


class LocalTransaction:
    """What one thread adds to a `LocalStore`; see `Transaction` for what holds."""

    def __init__(
        self,
        staging: Staging,
        publisher: Publisher,
        known: Callable[[StorePath], ObjectInfo | None],
        clock: Callable[[], float],
        published: Callable[[StorePath, File | Directory], None],
        processes: int = 1,
    ) -> None:
        self._staging, self._publisher = staging, publisher
        self._known, self._clock, self._published = known, clock, published
        self._beneath = staging.beneath.info
        self._contents: dict[StorePath, File | Directory] = {}
        self._batch = Batch(staging, processes=processes)
        self._memories: StatCache | None = None
        self._lessons: list[Lesson] = []
        self._processes = processes
        self._ended = False

    def add_directory(
        self,
        source: Path,
        name: str,
        *,
        consume: bool = False,
        remember: bool = False,
        references: Iterable[StorePath] = (),
    ) -> ObjectInfo:
        """Add a folder; with `consume`, what it holds afterwards is undefined.

        With `remember`, files that are as they were when they were added so are not
        read again.
        """
        check_name(name)
        with self._writing():
            recollection = self._recollect(source, "tree") if remember else None
            if known := self._unchanged(recollection, name, references):
                return known
            tree, mirror = take_tree(
                source,
                self._staging,
                consume=consume,
                recollection=recollection,
                processes=self._processes,
            )
            self._learnt(recollection, tree)
            return self._add(tree, name, references, lambda: mirror.complete(tree))

    def add_file(
        self,
        source: Path,
        name: str,
        *,
        consume: bool = False,
        remember: bool = False,
        references: Iterable[StorePath] = (),
    ) -> ObjectInfo:
        """Add one file as a blob, never executable; a link stands for its target."""
        check_name(name)
        with self._writing():
            recollection = self._recollect(source, "blob") if remember else None
            if known := self._unchanged(recollection, name, references):
                return known
            file = take_file(
                source, self._staging, consume=consume, recollection=recollection
            )
            self._learnt(recollection, file)
            return self._add(file, name, references, lambda: self._linked(file))

    def add_bytes(
        self, content: bytes, name: str, *, references: Iterable[StorePath] = ()
    ) -> ObjectInfo:
        """Add a blob with this content."""
        check_name(name)
        with self._writing():
            file = self._put(content, executable=False)
            return self._add(file, name, references, lambda: self._linked(file))

    def add_tree(
        self, tree: Directory, name: str, *, references: Iterable[StorePath] = ()
    ) -> ObjectInfo:
        """Add a tree of files that are held; sizes in it are taken as they are."""
        check_name(name)
        with self._writing():
            return self._add(
                tree, name, references, lambda: Mirror(self._staging).complete(tree)
            )

    def add_held(
        self, file: File, name: str, *, references: Iterable[StorePath] = ()
    ) -> ObjectInfo:
        """Add a blob whose bytes are held; its size is taken as it is."""
        check_name(name)
        with self._writing():
            return self._add(file, name, references, lambda: self._linked(file))

    def build_tree(
        self, name: str, *, references: Iterable[StorePath] = ()
    ) -> TreeBuilder:
        """Begin a tree whose files come one by one."""
        from fromager.store.tree_builder import LocalTreeBuilder

        check_name(name)

        def add(tree: Directory, mirror: Mirror) -> ObjectInfo:
            with self._writing():
                return self._add(tree, name, references, lambda: mirror.complete(tree))

        self._writing()
        return LocalTreeBuilder(self._staging, add)

    def put_blob(self, content: bytes, *, executable: bool = False) -> File:
        """Hold a file's bytes."""
        with self._writing():
            return self._put(content, executable=executable)

    def put_stream(self, content: IO[bytes], *, executable: bool = False) -> File:
        """Hold the bytes of a stream; it is hashed while it is written."""
        with self._writing():
            start = content.read(_CHUNK)
            place = self._staging.place()
            return self._staging.write_stream(start, content, executable, place)

    def holds(self, file: File) -> bool:
        """Whether a file's bytes need not be put."""
        with self._writing():
            return self._staging.holds(file)

    def register(self, realisation: Realisation) -> None:
        """Claim that a key gave an output.

        Raises:
            InvalidRecord: the output's path does not agree with its digest.
        """
        expected = StorePath.of(realisation.output_digest, realisation.output.name)
        if realisation.output != expected:
            raise InvalidRecord(
                f"realisation of {realisation.subject}",
                f"{realisation.output} does not have the digest claimed",
            )
        with self._writing():
            record = self._staging.write_record(dump_realisation(realisation))
            self._batch.realisations.append((realisation, record))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended = True
        try:
            if error is None and not self._batch.empty:
                self._publisher.publish(self._batch)
                for path, content in self._contents.items():
                    self._published(path, content)
            if error is None and self._memories is not None:
                self._memories.keep(self._lessons, self._staging)
        finally:
            # What cannot be removed now is swept when this process has ended.
            with suppress(OSError):
                self._staging.discard()

    def _add(
        self,
        node: File | Directory,
        name: str,
        references: Iterable[StorePath],
        make: Callable[[], bytes],
    ) -> ObjectInfo:
        path = StorePath.of(node.digest, name)
        wanted = set(references)
        staged = self._batch.objects.get(path)
        known = staged.info if staged else self._known(path)
        # Who deletes an object's files does not make it another one.
        there = known is not None and (staged is not None or self._is_there(path))
        if known is not None and there and wanted <= set(known.references):
            return known
        if known is not None:
            wanted.update(known.references)
        below = None if staged else self._beneath(path)
        if below is not None and wanted <= set(below.references):
            return below
        if below is not None:
            wanted.update(below.references)
        record = ObjectRecord(path, tuple(sorted(wanted)), node)
        info = ObjectInfo(
            path=path,
            digest=node.digest,
            kind=record.kind,
            size=node.size,
            references=record.references,
            registered=known.registered if known else int(self._clock()),
        )
        place = staged.place if staged else None if there else make()
        written = self._staging.write_record(dump_record(record))
        self._batch.objects[path] = StagedObject(info, written, place)
        self._contents[path] = node
        return info

    def _is_there(self, path: StorePath) -> bool:
        return os.path.lexists(self._staging.layout.object(path))

    def _recollect(self, source: Path, kind: str) -> Recollection | None:
        from fromager.store.stat_cache import WORTH, StatCache

        if kind == "blob" and _size(source) < WORTH:
            return None
        if self._memories is None:
            folder = self._staging.layout.cache("stat")
            self._memories = StatCache(folder, self._clock)
        return self._memories.recollect(source, kind)

    def _unchanged(
        self,
        recollection: Recollection | None,
        name: str,
        references: Iterable[StorePath],
    ) -> ObjectInfo | None:
        """The object that nothing has to be read for, if it is valid."""
        if recollection is None or recollection.digest is None:
            return None
        path = StorePath.of(recollection.digest, name)
        known = self._known(path)
        if known is None or not self._is_there(path):
            return None
        return known if set(references) <= set(known.references) else None

    def _learnt(
        self, recollection: Recollection | None, node: File | Directory
    ) -> None:
        if recollection is not None:
            self._lessons.append((recollection, node))

    def _put(self, content: bytes, *, executable: bool) -> File:
        file = File(blob_digest(content), executable, len(content))
        if not self._staging.holds(file):
            self._staging.write_blob(content, file, self._staging.place())
        return file

    def _linked(self, file: File) -> bytes:
        place = self._staging.place()
        self._staging.link(file, place)
        return place

    def _writing(self) -> _Writing:
        if self._ended:
            raise StoreError("this transaction has ended")
        return _Writing(self._staging.layout.root)


def _size(source: Path) -> int:
    """The bytes of a file; none of one that cannot be had, which reading will tell."""
    try:
        return source.stat().st_size
    except OSError:
        return 0


class _Writing:
    """Turns what the system says of a failed write into the store's error."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __enter__(self) -> None:
        return

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, OSError):
            raise storage_error(self._root, error) from error
