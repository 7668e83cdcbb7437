"""Bringing the bytes of files to a cache: small ones together, large ones alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from fromager.derivations.sharing.compression import FAST, compress
from fromager.derivations.sharing.layout import Pack, Place, blob_name, part_name
from fromager.store import ObjectDamaged, ObjectMissing, blob_digest, stream_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from fromager.derivations.sharing.place import CachePlace
    from fromager.store import Digest, File, LocalStore

SMALL: Final = 256 << 10
"""Files of fewer bytes go into packs."""
PACK: Final = 16 << 20
"""Bytes of files that one pack holds."""
FRAME: Final = 1 << 20
"""Bytes of files that are compressed together, and read together."""
HELD: Final = 64 << 20
"""Files of more bytes are never held in memory, nor compressed."""
SAMPLE: Final = 128 << 10
WORTHWHILE: Final = 0.9
"""A sample must shrink below this, else a file lies as it is: it is compressed."""
WORKERS: Final = 4


@dataclass
class Brought:
    """Where files are after they were brought to a cache."""

    packs: list[Pack] = field(default_factory=list)
    small: dict[Digest, Place] = field(default_factory=dict)
    large: dict[Digest, bool] = field(default_factory=dict)
    written: int = 0
    """Bytes that were sent."""
    files: int = 0
    objects: int = 0


def bring(store: LocalStore, place: CachePlace, files: Iterable[File]) -> Brought:
    """Write these files, each content once, checked on the way; what is there stays.

    Raises:
        ObjectDamaged: the store does not hold what it should.
        NetworkError: the place cannot be written.
    """
    unique = list({file.digest: file for file in files}.values())
    small = [file for file in unique if file.size < SMALL]
    large = [file for file in unique if file.size >= SMALL]
    brought = Brought(files=len(unique))
    bringer = _Bringer(store, place)
    with ThreadPoolExecutor(max_workers=WORKERS) as threads:
        packs = threads.map(bringer.pack, portions(small, PACK))
        alone = threads.map(bringer.alone, large)
        try:
            for number, (pack, places, written) in enumerate(packs):
                brought.packs.append(pack)
                brought.written += written
                for digest, (frame, offset) in places.items():
                    brought.small[digest] = Place(number, frame, offset)
            for file, (packed, written) in zip(large, alone, strict=True):
                brought.large[file.digest] = packed
                brought.written += written
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return brought


@dataclass(frozen=True)
class _Bringer:
    store: LocalStore
    place: CachePlace

    def pack(
        self, files: Sequence[File]
    ) -> tuple[Pack, dict[Digest, tuple[int, int]], int]:
        """A pack of these files, and the frame and the offset at which each is."""
        frames, places = [], {}
        for number, portion in enumerate(portions(files, FRAME)):
            content = bytearray()
            for file in portion:
                places[file.digest] = (number, len(content))
                content += self._read(file)
            frames.append(compress(bytes(content), FAST))
        whole = b"".join(frames)
        pack = Pack(blob_digest(whole), tuple(map(len, frames)))
        name = part_name("packs", pack.digest)
        return pack, places, self._write(name, whole)

    def alone(self, file: File) -> tuple[bool, int]:
        """Write a large file; whether it is compressed, and what was sent."""
        for packed in (False, True):
            if self.place.size(blob_name(file.digest, packed=packed)) is not None:
                return packed, 0
        if file.size > HELD:
            path = self._pooled(file)
            with path.open("rb") as stream:
                actual = stream_digest(iter(lambda: stream.read(1 << 20), b""))
            self._check(file, actual)
            self.place.write(blob_name(file.digest, packed=False), path)
            return False, file.size
        content = self._read(file)
        sample = content[:SAMPLE]
        packed = len(compress(sample, FAST)) < len(sample) * WORTHWHILE
        stored = compress(content, FAST) if packed else content
        self.place.write(blob_name(file.digest, packed=packed), stored)
        return packed, len(stored)

    def _write(self, name: str, content: bytes) -> int:
        if self.place.size(name) is not None:
            return 0
        self.place.write(name, content)
        return len(content)

    def _read(self, file: File) -> bytes:
        path = self._pooled(file)
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise ObjectMissing(str(file.digest)) from error
        self._check(file, blob_digest(content))
        return content

    def _pooled(self, file: File) -> Path:
        return self.store.path_of_blob(file)

    def _check(self, file: File, actual: Digest) -> None:
        if actual != file.digest:
            path = self._pooled(file)
            raise ObjectDamaged(path, str(file.digest), str(actual))


def portions(files: Iterable[File], limit: int) -> Iterator[list[File]]:
    """The files in order, in lists of about so many bytes."""
    portion: list[File] = []
    size = 0
    for file in files:
        if portion and size + file.size > limit:
            yield portion
            portion, size = [], 0
        portion.append(file)
        size += file.size
    if portion:
        yield portion
