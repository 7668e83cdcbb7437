"""What a transaction wrote, in a folder of its own, before anyone can see it."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from errno import EMLINK, ENXIO
from stat import S_IMODE
from typing import IO, TYPE_CHECKING, Final

from blake3 import blake3

from fromager.store.digest import Digest
from fromager.store.durability import start_writing
from fromager.store.errors import ObjectMissing
from fromager.store.layout import blob_name
from fromager.store.locks import shared
from fromager.store.materialise import copy_checked
from fromager.store.removal import remove_tree
from fromager.store.tree import File

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from fromager.store.beneath import Beneath
    from fromager.store.layout import StoreLayout
    from fromager.store.leases import Lease
    from fromager.store.path import StorePath

MTIME: Final = (1_000_000_000, 1_000_000_000)
"""Access and modification time of all in a store: one second after the epoch."""

FOLDER_MODE: Final = 0o555

_CHUNK: Final = 1 << 20
_PIECE: Final = 1 << 25


def file_mode(file: File) -> int:
    """The mode of a file in a store."""
    return 0o555 if file.executable else 0o444


@dataclass(frozen=True, slots=True)
class StagedBlob:
    """Where a transaction has the bytes of a file that the pool is to get."""

    path: bytes
    replaces: bool = False
    """The pool's own file cannot be used any more: it is to be replaced."""


class Staging:
    """A transaction's private folder, made when the first file is written.

    From the first look into the pool to its end a transaction shares the lock `pool`,
    and so says that it may count on blobs that it saw there. Who collects garbage tries
    for that lock after taking blobs out of the pool. So a blob either is not seen here,
    or is kept in the trash as long as this one is under way: from there it is linked,
    and gets into the pool again.
    """

    def __init__(
        self,
        layout: StoreLayout,
        lease: Lease,
        effect: Callable[[str], None],
        beneath: Beneath,
    ) -> None:
        self.layout, self.effect, self.beneath = layout, effect, beneath
        self.blobs: dict[File, StagedBlob] = {}
        """Files that the pool is to get."""
        self.linked: dict[File, bytes] = {}
        """A link to each file that was taken from the pool."""
        self._lease = lease
        self._folder: bytes | None = None
        self._count = 0
        self._held: set[File] = set()
        self._unfit: set[File] = set()
        self._masked: bool | None = None
        self._pool_lock: ExitStack | None = None
        self._pool_folders: set[bytes] = set()

    def place(self) -> bytes:
        """A new path in the folder; nothing is there."""
        if self._folder is None:
            folder = os.fsencode(self._lease.place(self.layout.staging))
            self.effect("make staging")
            os.mkdir(folder, 0o700)
            self._folder = folder
        self._count += 1
        return b"%b/%d" % (self._folder, self._count)

    def prepare(self) -> None:
        """Count on the pool from now on, before processes are forked that do so, too.

        What they see there, they see in this one's name, which goes on when they end.
        """
        self._count_on_pool()

    def discard(self) -> None:
        """Remove the folder and what is left in it; the end of the transaction."""
        if self._folder is not None:
            remove_tree(self._folder, self.effect)
            self._folder = None
        if self._pool_lock is not None:
            self._pool_lock.close()
            self._pool_lock = None

    def rely(self, paths: Iterable[StorePath]) -> None:
        """Keep objects that are about to become valid from being collected."""
        self._lease.note(paths)

    def holds(self, file: File) -> bool:
        """Whether the pool or this transaction has a file's bytes.

        A file of the pool that has another size is unfit, and will be replaced.
        """
        if file in self._held or file in self.blobs:
            return True
        self._count_on_pool()
        if b"%02x" % file.digest.raw[0] not in self._pool_folders:
            return False
        try:
            size = os.stat(self.layout.blob(file)).st_size
        except FileNotFoundError:
            return False
        held = self._held if size == file.size else self._unfit
        held.add(file)
        return held is self._held

    def write_blob(self, content: bytes, file: File, target: bytes) -> None:
        """Stage a file's bytes as a new file at `target`."""
        self.effect("write blob")
        descriptor = self._create(target, file)
        try:
            write_all(descriptor, content)
            self._settle(descriptor, file)
        finally:
            os.close(descriptor)
        self.adopt(file, target)

    def move_blob(self, source: bytes, file: File, target: bytes) -> None:
        """Stage a file by moving it; it must be on the store's file system."""
        self.effect("move blob")
        os.rename(source, target)
        os.chmod(target, file_mode(file))
        os.utime(target, ns=MTIME)
        self.adopt(file, target)

    def copy_blob(self, source: int, file: File, target: bytes) -> None:
        """Stage what an open file holds as a new file at `target`, not yet adopted."""
        self.effect("copy blob")
        descriptor = self._create(target, file)
        try:
            copy_content(source, descriptor)
            self._settle(descriptor, file)
        finally:
            os.close(descriptor)

    def write_stream(
        self, start: bytes, rest: IO[bytes], executable: bool, target: bytes
    ) -> File:
        """Have a file of these bytes at `target`, hashed while it is written."""
        self.effect("write blob")
        hasher, size, chunk = blake3(), 0, start
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        descriptor = os.open(target, flags, 0o600)
        try:
            while chunk:
                hasher.update(chunk)
                size += len(chunk)
                write_all(descriptor, chunk)
                chunk = rest.read(_CHUNK)
            file = File(Digest(hasher.digest()), executable, size)
            os.fchmod(descriptor, file_mode(file))
            os.utime(descriptor, ns=MTIME)
        finally:
            os.close(descriptor)
        if self.holds(file):
            self.effect("remove file")
            os.unlink(target)
            self.link(file, target)
        else:
            self.adopt(file, target)
        return file

    def adopt(self, file: File, path: bytes) -> None:
        """Let a staged file stand for these bytes, which were not held before."""
        self.blobs[file] = StagedBlob(path, replaces=file in self._unfit)

    def take_over(self, file: File, path: bytes, *, replaces: bool) -> None:
        """Adopt what another process staged; of two equal files one is kept."""
        if file not in self.blobs:
            self.blobs[file] = StagedBlob(path, replaces)
            return
        self.effect("remove copy")
        os.unlink(path)
        self.link(file, path)

    def link(self, file: File, target: bytes) -> None:
        """Put a file that is held at `target`, as one more link to its bytes.

        Raises:
            ObjectMissing: it is not held.
        """
        self._count_on_pool()
        staged = self.blobs.get(file)
        source = self.layout.blob(file) if staged is None else staged.path
        try:
            self.effect("link")
            os.link(source, target, follow_symlinks=False)
            if staged is None:
                self.linked.setdefault(file, target)
        except FileNotFoundError as error:
            found = self._link_from_trash(file, target)
            if not (found or self._copy_from_beneath(file, target)):
                raise ObjectMissing(str(file.digest)) from error
        except OSError as error:
            if error.errno != EMLINK:
                raise
            self._copy_afresh(source, file, target, pooled=staged is None)

    def is_unused(self, staged: StagedBlob) -> bool:
        """Whether a staged file got into no object, so that nobody would count it."""
        alone = os.path.dirname(staged.path) == self._folder
        return alone and os.stat(staged.path).st_nlink == 1

    def write_record(self, content: bytes) -> bytes:
        """Stage a record; the path at which it lies."""
        path = self.place()
        self.effect("write record")
        # There may be as many as files: a stream of Python's takes its time.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            write_all(descriptor, content)
            os.fchmod(descriptor, 0o444)
        finally:
            os.close(descriptor)
        return path

    def _count_on_pool(self) -> None:
        if self._pool_lock is None:
            self._pool_lock = ExitStack()
            self._pool_lock.enter_context(
                shared(self.layout.locks / "pool", self.effect)
            )
            with suppress(FileNotFoundError):
                self._pool_folders.update(os.listdir(self.layout.pool))

    def _link_from_trash(self, file: File, target: bytes) -> bool:
        trashed, pooled = self.layout.trashed(blob_name(file)), self.layout.blob(file)
        for source in (trashed, pooled, trashed, pooled):
            with suppress(FileNotFoundError):
                os.link(source, target, follow_symlinks=False)
                self.adopt(file, target)
                return True
        return False

    def _copy_from_beneath(self, file: File, target: bytes) -> bool:
        """Stage a file at `target` that only a store beneath this one has."""
        found = self.beneath.open_blob(file)
        if found is None:
            return False
        source, blob = found
        try:
            self.effect("copy blob")
            descriptor = self._create(target, file)
            try:
                copy_checked(source, descriptor, file, blob)
                self._settle(descriptor, file)
            finally:
                os.close(descriptor)
        finally:
            os.close(source)
        self.adopt(file, target)
        return True

    def put_aside(self, content: bytes, target: Path) -> None:
        """Write a file that may be lost in a power cut, replacing the one before."""
        path = self.place()
        self.effect("write aside")
        with open(path, "xb") as stream:
            stream.write(content)
        if not target.parent.is_dir():
            self.effect("make folder")
            target.parent.mkdir(exist_ok=True)
        self.effect("rename aside")
        os.rename(path, target)

    def _copy_afresh(
        self, source: bytes, file: File, target: bytes, *, pooled: bool
    ) -> None:
        """Go on with a new file where one has as many links as it may have."""
        replaces = pooled or self.blobs[file].replaces
        descriptor = os.open(source, os.O_RDONLY)
        try:
            self.copy_blob(descriptor, file, target)
        finally:
            os.close(descriptor)
        self.blobs[file] = StagedBlob(target, replaces)

    def _create(self, target: bytes, file: File) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        return os.open(target, flags, file_mode(file))

    def _settle(self, descriptor: int, file: File) -> None:
        if self._masked is None:
            mode = S_IMODE(os.fstat(descriptor).st_mode)
            self._masked = mode != file_mode(file)
        if self._masked or file.executable:
            os.fchmod(descriptor, file_mode(file))
        os.utime(descriptor, ns=MTIME)


def copy_content(source: int, target: int) -> None:
    """Copy all that an open file holds, from its beginning, where possible by the kernel.

    Where it has holes the copy has them, too. The disk is busy with one piece while the
    next is copied.
    """
    offset = 0
    while (extent := _data_from(source, offset)) is not None:
        start, end = extent
        os.lseek(target, start, os.SEEK_SET)
        offset = _copy_range(source, target, start, end)
        if offset < end:  # it has become shorter meanwhile
            break
    os.ftruncate(target, max(offset, os.lseek(source, 0, os.SEEK_END)))


def _data_from(source: int, offset: int) -> tuple[int, int] | None:
    """Where the next bytes of an open file begin that are no hole, and where they end."""
    try:
        start = os.lseek(source, offset, os.SEEK_DATA)
        return start, os.lseek(source, start, os.SEEK_HOLE)
    except OSError as error:
        size = os.lseek(source, 0, os.SEEK_END)
        # Not every file system knows of holes.
        return None if error.errno == ENXIO or offset >= size else (offset, size)


def _copy_range(source: int, target: int, offset: int, end: int) -> int:
    """Copy what is there up to `end` to where the target is; where it ended."""
    try:
        while offset < end:
            piece = min(_PIECE, end - offset)
            count = os.copy_file_range(source, target, piece, offset)
            if count == 0:
                return offset
            if count == _PIECE:
                start_writing(target, offset, count)
            offset += count
    except OSError:
        # Not between these file systems, or not by this kernel.
        while content := os.pread(source, min(_CHUNK, end - offset), offset):
            offset += len(content)
            write_all(target, content)
    return offset


def write_all(descriptor: int, content: bytes) -> None:
    """Write all of it, however little is taken at once."""
    written = os.write(descriptor, content)
    while written < len(content):
        written += os.write(descriptor, memoryview(content)[written:])
