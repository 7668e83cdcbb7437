"""Taking objects out of a cache: each file is checked by its digest as it comes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from fromager.derivations.errors import CacheRefused
from fromager.derivations.sharing import layout
from fromager.derivations.sharing.compression import decompress
from fromager.derivations.sharing.packing import HELD
from fromager.derivations.sharing.place import Span, read
from fromager.derivations.sharing.pushing import files_of
from fromager.store import Directory, File

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fromager.derivations.sharing.cache import Cache
    from fromager.derivations.sharing.layout import Pack, Push, Records
    from fromager.store import (
        Digest,
        LocalStore,
        ObjectRecord,
        StorePath,
        Transaction,
    )

CONNECTIONS: Final = 8
BATCH: Final = 64 << 20
"""Bytes that are taken in at once; what was taken in is not fetched again."""
GAP: Final = 128 << 10
"""Bytes that are rather read than asked around."""
LONGEST: Final = 8 << 20
"""Bytes that are asked for at once."""


@dataclass
class Fetcher:
    """Takes objects of one push out of a cache, into a store."""

    store: LocalStore
    cache: Cache
    push: Push
    fetched: int = field(default=0, init=False)
    """Bytes of files that were fetched, as they are in the store."""

    def __post_init__(self) -> None:
        self._where = dict(self.cache.manifest(self.push).objects)
        self._order = {path: number for number, path in enumerate(self._where)}

    def offers(self, path: StorePath) -> bool:
        """Whether the push lists an object."""
        return path in self._where

    def record(self, path: StorePath) -> ObjectRecord:
        """What an object holds.

        Raises:
            CacheRefused: the cache does not tell.
        """
        return self._records(path).objects[path]

    def closure(self, paths: Iterable[StorePath]) -> tuple[StorePath, ...]:
        """These and all that they refer to, none before what it refers to.

        Raises:
            CacheRefused: the cache does not have all of it.
        """
        found: set[StorePath] = set()
        queue = list(paths)
        while queue:
            path = queue.pop()
            if path not in found:
                found.add(path)
                queue.extend(self.record(path).references)
        ordered = sorted(found, key=lambda path: self._order[path])
        seen: set[StorePath] = set()
        for path in ordered:
            seen.add(path)
            if not seen.issuperset(self.record(path).references):
                reason = f"its list of objects has {path} before what it refers to"
                raise CacheRefused(self.cache.url, reason)
        return tuple(ordered)

    def take(self, paths: Sequence[StorePath]) -> int:
        """Take these objects in that order; how many were not there before.

        Raises:
            CacheRefused: something is missing, or is not what its digest says.
            NetworkError: the cache cannot be read.
            StoreError: the store cannot be written.
        """
        taken = 0
        with ThreadPoolExecutor(max_workers=CONNECTIONS) as threads:
            for batch in self._batches(paths):
                with self.store.transaction() as transaction:
                    self._fill(transaction, batch, threads)
                    for record in batch:
                        _add(self.store, transaction, record)
                taken += len(batch)
        return taken

    def _records(self, path: StorePath) -> Records:
        digest = self._where.get(path)
        if digest is not None:
            records = self.cache.records(digest)
            if path in records.objects:
                return records
        raise CacheRefused(self.cache.url, f"it does not tell what {path} holds")

    def _batches(self, paths: Sequence[StorePath]) -> Iterator[list[ObjectRecord]]:
        batch: list[ObjectRecord] = []
        size = 0
        for path in paths:
            record = self.record(path)
            info = self.store.info(path)
            if info is not None and set(record.references) <= set(info.references):
                continue
            batch.append(record)
            size += record.content.size
            if size >= BATCH:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _fill(
        self,
        transaction: Transaction,
        batch: Sequence[ObjectRecord],
        threads: ThreadPoolExecutor,
    ) -> None:
        """Have the transaction hold all files of these objects."""
        missing: dict[File, Records] = {}
        for record in batch:
            records = self._records(record.path)
            for file in files_of(record.content):
                if file not in missing and not transaction.holds(file):
                    missing[file] = records
        runs, alone = _plan(self.cache.url, missing)
        fetched = threads.map(lambda run: run.fetch(self.cache), runs)
        large = [each for each in alone if each[0].size <= HELD]
        whole = threads.map(lambda each: self._large(*each), large)
        for contents in fetched:
            for file, content in contents:
                self._put(transaction, file, content)
        for (file, _), content in zip(large, whole, strict=True):
            self._put(transaction, file, content)
        for file, packed in alone:
            if file.size > HELD:
                self._stream(transaction, file, packed)

    def _put(self, transaction: Transaction, file: File, content: bytes) -> None:
        self._check(file, transaction.put_blob(content, executable=file.executable))

    def _check(self, wanted: File, got: File) -> None:
        if got != wanted or got.size != wanted.size:
            reason = f"what it gives for {wanted.digest} is something else"
            raise CacheRefused(self.cache.url, reason)
        self.fetched += got.size

    def _large(self, file: File, packed: bool) -> bytes:
        name = layout.blob_name(file.digest, packed=packed)
        # What was compressed was worth it: the limit holds for both.
        content = read(self.cache.place, name, file.size)
        if content is None:
            raise CacheRefused(self.cache.url, f"{name} is listed, and not there")
        if not packed:
            return content
        try:
            return decompress(content, file.size)
        except ValueError as error:
            raise CacheRefused(self.cache.url, f"{name}: {error}") from error

    def _stream(self, transaction: Transaction, file: File, packed: bool) -> None:
        """Take a file that is too large to be held in memory."""
        name = layout.blob_name(file.digest, packed=packed)
        if packed:
            reason = f"{name} is too large to be compressed"
            raise CacheRefused(self.cache.url, reason)
        with self.store.scratch("fetch") as scratch:
            path = scratch.path / "file"
            with path.open("w+b") as stream:
                if not self.cache.place.copy(name, stream, file.size):
                    raise CacheRefused(
                        self.cache.url, f"{name} is listed, and not there"
                    )
                stream.seek(0)
                got = transaction.put_stream(stream, executable=file.executable)
        self._check(file, got)


@dataclass(frozen=True)
class _Run:
    """Frames of a pack that are fetched together, and the files in them."""

    pack: Pack
    first: int
    frames: tuple[int, ...]
    """Numbers of the frames that are needed, ascending."""
    files: tuple[tuple[File, int, int], ...]
    """File, frame, and offset in it."""

    def fetch(self, cache: Cache) -> list[tuple[File, bytes]]:
        """The bytes of the files; not checked."""
        sizes = self.pack.frames
        start, end = sum(sizes[: self.first]), sum(sizes[: self.frames[-1] + 1])
        name = layout.part_name("packs", self.pack.digest)
        span = Span(start, end - start)
        content = read(cache.place, name, span.length, span)
        if content is None:
            raise CacheRefused(cache.url, f"{name} is listed, and not there")
        unpacked = {}
        for frame in self.frames:
            at = sum(sizes[self.first : frame])
            try:
                unpacked[frame] = decompress(
                    content[at : at + sizes[frame]], layout.LARGEST_FRAME
                )
            except ValueError as error:
                raise CacheRefused(cache.url, f"{name}: {error}") from error
        return [
            (file, unpacked[frame][offset : offset + file.size])
            for file, frame, offset in self.files
        ]


def _plan(
    url: str, missing: dict[File, Records]
) -> tuple[list[_Run], list[tuple[File, bool]]]:
    """What to ask for, to have all these files: parts of packs, and large files."""
    by_pack: dict[Digest, tuple[Pack, list[tuple[File, int, int]]]] = {}
    alone = []
    for file, records in missing.items():
        place = records.small.get(file.digest)
        if place is not None:
            pack = records.packs[place.pack]
            if place.frame >= len(pack.frames):
                raise CacheRefused(url, f"its pack {pack.digest} has no such frame")
            rows = by_pack.setdefault(pack.digest, (pack, []))[1]
            rows.append((file, place.frame, place.offset))
        elif file.digest in records.large:
            alone.append((file, records.large[file.digest]))
        else:
            raise CacheRefused(url, f"it does not tell where {file.digest} is")
    runs = [run for pack, rows in by_pack.values() for run in _runs(pack, rows)]
    return runs, alone


def _runs(pack: Pack, rows: Iterable[tuple[File, int, int]]) -> Iterator[_Run]:
    """Parts of a pack that are each asked for at once."""
    by_frame: dict[int, list[tuple[File, int, int]]] = {}
    for row in rows:
        by_frame.setdefault(row[1], []).append(row)
    frames: list[int] = []
    for frame in sorted(by_frame):
        if frames:
            gap = sum(pack.frames[frames[-1] + 1 : frame])
            length = sum(pack.frames[frames[0] : frame + 1])
            if gap > GAP or length > LONGEST:
                yield _run(pack, frames, by_frame)
                frames = []
        frames.append(frame)
    if frames:
        yield _run(pack, frames, by_frame)


def _run(
    pack: Pack, frames: list[int], by_frame: dict[int, list[tuple[File, int, int]]]
) -> _Run:
    files = tuple(row for frame in frames for row in by_frame[frame])
    return _Run(pack, frames[0], tuple(frames), files)


def _add(store: LocalStore, transaction: Transaction, record: ObjectRecord) -> None:
    """Add an object whose files the transaction holds."""
    name, references = record.path.name, record.references
    content = record.content
    if isinstance(content, Directory):
        transaction.add_tree(content, name, references=references)
    else:
        transaction.add_held(content, name, references=references)
