"""Looking at one object: its row, its record, its files, and their bytes in the pool."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial
from stat import S_IFREG, S_ISDIR, S_ISLNK, S_ISREG, filemode
from typing import TYPE_CHECKING, Final

from blake3 import blake3

from fromager.store.damage import Damage, DamageKind
from fromager.store.errors import InvalidRecord
from fromager.store.records import ObjectRecord, load_record
from fromager.store.staging import FOLDER_MODE, MTIME, file_mode
from fromager.store.tree import Directory, File, Link, decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fromager.store.layout import StoreLayout
    from fromager.store.path import StorePath
    from fromager.store.tree import Node

_CHUNK: Final = 1 << 18
"""Bytes that are read at a time: they stay in the processor's own memory."""
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Row:
    """What the database says of an object."""

    path: StorePath
    digest: str
    """Hex digits."""
    kind: str
    size: int
    references: frozenset[str]
    verified: int = 0
    """When its bytes were read or written last, in seconds since the epoch."""
    withheld: bool = False
    """Whether it was found damaged."""

    @classmethod
    def of(cls, record: ObjectRecord) -> Row:
        """The row that a record should have."""
        return cls(
            record.path,
            record.digest.hex,
            record.kind,
            record.content.size,
            frozenset(str(path) for path in record.references),
        )


@dataclass
class Examiner:
    """Looks at objects; of files that share their bytes each is read once."""

    layout: StoreLayout
    claim: Callable[[int], bool] = lambda number: True
    """Whether the file with this number is to be read: nobody has claimed it yet."""
    contents: bool = True
    """Whether bytes are read at all."""
    files: int = 0
    """Whose bytes were read."""
    volume: int = 0
    """Bytes that were read."""
    _buffer: bytearray = field(default_factory=lambda: bytearray(_CHUNK))

    def object(self, row: Row) -> list[Damage]:
        """All that is wrong with an object; nothing if it is what it should be."""
        damages: list[Damage] = []
        try:
            record = self._record(row, damages)
            if record is not None:
                found = _Found(self, row.path, damages)
                found.compare(record.content)
        except OSError as error:
            detail = f"cannot be read: {error.strerror}"
            place = os.fsdecode(error.filename or self.layout.object(row.path))
            place = os.path.relpath(place, self.layout.root)
            damages.append(Damage(place, detail, DamageKind.UNREADABLE, row.path))
        return damages

    def digest_of(self, place: bytes) -> str:
        """The hex digits of the digest of a file's bytes."""
        descriptor = os.open(place, _READ)
        try:
            return self.read(descriptor)
        finally:
            os.close(descriptor)

    def read(self, descriptor: int) -> str:
        """As `digest_of`, for a file that was opened just now."""
        view = memoryview(self._buffer)
        count = os.readv(descriptor, [view])
        hasher = blake3(view[:count])
        self.volume += count
        while count == _CHUNK:
            count = os.readv(descriptor, [view])
            hasher.update(view[:count])
            self.volume += count
        self.files += 1
        return hasher.hexdigest()

    def _record(self, row: Row, damages: list[Damage]) -> ObjectRecord | None:
        place = self.layout.record(row.path)
        named = os.path.relpath(place, self.layout.root)

        def damaged(detail: str, kind: DamageKind) -> None:
            damages.append(Damage(named, detail, kind, row.path))

        try:
            record = load_record(place.read_bytes())
        except FileNotFoundError:
            damaged("the record is missing", DamageKind.RECORD)
            return None
        except InvalidRecord as error:
            damaged(f"the record cannot be read: {error.reason}", DamageKind.RECORD)
            return None
        if record.path != row.path:
            damaged(f"it is the record of {record.path}", DamageKind.RECORD)
            return None
        if (row.digest, row.kind, row.size) != (
            *(record.digest.hex, record.kind),
            record.content.size,
        ):
            damaged("the database says otherwise", DamageKind.ROW)
        # It may name more: those of a transaction that was cut off.
        for path in sorted(row.references - {str(path) for path in record.references}):
            damaged(f"it lacks the reference to {path}", DamageKind.RECORD)
        return record


class _Found:
    """What lies at an object's place, compared with its record."""

    def __init__(
        self, examiner: Examiner, path: StorePath, damages: list[Damage]
    ) -> None:
        self._examiner, self._path, self._damages = examiner, path, damages
        self._top = examiner.layout.object(path)

    def compare(self, content: File | Directory) -> None:
        """Note whatever differs."""
        if not os.path.lexists(self._top):
            self._note("", DamageKind.MISSING, "it is missing")
        elif self._node("", self._top, content) and isinstance(content, Directory):
            self._below(content)

    def _below(self, content: Directory) -> None:
        unusable: set[str] = set()
        for path, directory in content.directories():
            if path in unusable:
                unusable.update(_children(path, directory))
                continue
            folder = b"%b/%b" % (self._top, encode(path)) if path else self._top
            names = set(os.listdir(folder))
            for name, node in directory.entries:
                raw = encode(name)
                named = f"{path}/{name}" if path else name
                if raw not in names:
                    self._note(named, DamageKind.MISSING, "it is missing")
                    unusable.add(named)
                    continue
                names.discard(raw)
                place = b"%b/%b" % (folder, raw)
                if isinstance(node, File) and self._is_usual(named, place, node):
                    continue
                if not self._node(named, place, node):
                    unusable.add(named)
            for raw in sorted(names):
                named = f"{path}/{decode(raw)}" if path else decode(raw)
                self._note(named, DamageKind.EXTRA, "it was not recorded")

    def _is_usual(self, named: str, place: bytes, file: File) -> bool:
        """Whether a file is the pool's own, as nearly all are; its bytes are read then.

        Otherwise nothing is noted: it is to be looked at closely.
        """
        examiner = self._examiner
        if not examiner.contents:
            return self._is_pooled(os.lstat(place), file)
        try:
            descriptor = os.open(place, _READ)
        except OSError:
            return False
        # To ask what is open for its status takes a third of asking for it by its name.
        try:
            status = os.fstat(descriptor)
            if not self._is_pooled(status, file):
                return False
            if examiner.claim(number_of(status.st_ino, _start(file))):
                read = partial(examiner.read, descriptor)
                self._bytes(named, read, file, DamageKind.CONTENT)
            return True
        finally:
            os.close(descriptor)

    def _is_pooled(self, status: os.stat_result, file: File) -> bool:
        if (
            status.st_size != file.size
            or status.st_mtime_ns != MTIME[1]
            or status.st_mode != S_IFREG | file_mode(file)
        ):
            return False
        try:
            held = os.lstat(self._examiner.layout.blob(file))
        except FileNotFoundError:
            return False
        return held.st_ino == status.st_ino and held.st_dev == status.st_dev

    def _node(self, named: str, place: bytes, node: Node) -> bool:
        """Whether it is of the right kind; whatever else differs is noted."""
        status = os.lstat(place)
        mode: int | None = None
        match node:
            case File():
                wanted, mode = S_ISREG, file_mode(node)
            case Link():
                wanted = S_ISLNK
            case Directory():
                wanted, mode = S_ISDIR, FOLDER_MODE
        if not wanted(status.st_mode):
            detail = f"it is of another kind ({filemode(status.st_mode)})"
            self._note(named, DamageKind.KIND, detail)
            return False
        self._attributes(named, status, mode)
        if isinstance(node, File):
            self._content(named, place, status, node)
        elif isinstance(node, Link):
            actual = decode(os.readlink(place))
            if actual != node.target:
                detail = f"it leads to {actual!r} instead of {node.target!r}"
                self._note(named, DamageKind.TARGET, detail)
        return True

    def _attributes(self, named: str, status: os.stat_result, mode: int | None) -> None:
        if mode is not None and status.st_mode & 0o7777 != mode:
            detail = f"its mode is {status.st_mode & 0o7777:04o} instead of {mode:04o}"
            self._note(named, DamageKind.MODE, detail)
        if status.st_mtime_ns != MTIME[1]:
            self._note(named, DamageKind.TIME, "it was changed, or its time was")

    def _content(
        self, named: str, place: bytes, status: os.stat_result, file: File
    ) -> None:
        examiner = self._examiner
        blob = examiner.layout.blob(file)
        try:
            held = os.lstat(blob)
        except FileNotFoundError:
            self._note(named, DamageKind.BLOB, "the pool lacks it", file)
            held = None
        same = held is not None and os.path.samestat(held, status)
        if status.st_size != file.size:
            detail = f"it has {status.st_size} bytes instead of {file.size}"
            self._note(named, DamageKind.CONTENT, detail, file)
        elif not same:
            read = partial(examiner.digest_of, place)
            self._bytes(named, read, file, DamageKind.CONTENT)
        if held is None or (same and status.st_size != file.size):
            return
        fit = (held.st_size, held.st_mode) == (file.size, S_IFREG | file_mode(file))
        if not (same or fit):
            detail = "the pool holds something else for it"
            self._note(named, DamageKind.BLOB, detail, file)
        elif examiner.claim(number_of(held.st_ino, _start(file))):
            kind = DamageKind.CONTENT if same else DamageKind.BLOB
            self._bytes(named, partial(examiner.digest_of, blob), file, kind)

    def _bytes(
        self, named: str, read: Callable[[], str], file: File, kind: DamageKind
    ) -> None:
        if not self._examiner.contents:
            return
        try:
            actual = read()
        except OSError as error:
            detail = f"its bytes cannot be read: {error.strerror}"
            self._note(named, DamageKind.UNREADABLE, detail, file)
            return
        if actual != file.digest.hex:
            where = "the pool's copy has" if kind is DamageKind.BLOB else "it has"
            detail = f"{where} other bytes: expected {file.digest.hex}, found {actual}"
            self._note(named, kind, detail, file)

    def _note(
        self, named: str, kind: DamageKind, detail: str, file: File | None = None
    ) -> None:
        place = f"{self._path}/{named}" if named else str(self._path)
        self._damages.append(Damage(place, detail, kind, self._path, file))


def number_of(inode: int, start: int) -> int:
    """What stands for a file that should have some bytes, whichever objects it is in.

    `start` is the first 64 bits of the digest, the first one the most significant.
    """
    return inode ^ start


def _start(file: File) -> int:
    return int.from_bytes(file.digest.raw[:8])


def _children(path: str, directory: Directory) -> Iterator[str]:
    """The folders in a folder, by their paths in the object."""
    for name, node in directory.entries:
        if isinstance(node, Directory):
            yield f"{path}/{name}" if path else name
