"""Reading files one by one: each is hashed, and staged if the store does not have it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from errno import EACCES, EXDEV
from pathlib import Path
from stat import S_ISGID, S_ISREG, S_ISUID, S_IXUSR
from time import time_ns
from typing import TYPE_CHECKING, Final, NamedTuple

from blake3 import blake3

from fromager.store.digest import Digest
from fromager.store.errors import UnsupportedFile
from fromager.store.file_status import RACY_NS, status_of
from fromager.store.hashing import hashed
from fromager.store.tree import File

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fromager.store.staging import Staging

SMALL: Final = 1 << 20
"""Files up to this size, in bytes, are read whole: what is hashed is what is kept."""

_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Taken(NamedTuple):
    """What reading a file gave."""

    file: File
    status: bytes
    """That of the file when reading began, if it is noted; see `status_of`."""


class _Opened(NamedTuple):
    """A regular file that is being read."""

    path: bytes
    descriptor: int
    status: os.stat_result
    executable: bool


class Intake:
    """Reads files and stages those that the store does not have."""

    def __init__(
        self,
        staging: Staging,
        *,
        consume: bool,
        keeps_mode: bool = True,
        notes: bool = False,
    ) -> None:
        self.staging, self.consume, self.notes = staging, consume, notes
        self._keeps_mode = keeps_mode

    def file(self, path: bytes, target: Callable[[], bytes]) -> Taken:
        """The file at a path; if it is new, it is staged at `target()`.

        Raises:
            UnsupportedFile: it cannot be read, or is no regular file.
        """
        try:
            descriptor = self._open(path)
        except OSError as error:
            raise unreadable(path, error) from error
        try:
            try:
                status = os.fstat(descriptor)
                opened = self._examine(path, descriptor, status)
                content = _read(opened) if status.st_size <= SMALL else None
            except OSError as error:
                raise unreadable(path, error) from error
            file = (
                self._large(opened, target)
                if content is None
                else self._small(opened, content, target)
            )
            return Taken(file, status_of(status) if self.notes else b"")
        finally:
            os.close(descriptor)

    def _open(self, path: bytes) -> int:
        try:
            return os.open(path, _FLAGS)
        except PermissionError:
            if not self.consume:
                raise
            os.chmod(path, os.lstat(path).st_mode | 0o400)
            return os.open(path, _FLAGS)

    def _examine(self, path: bytes, descriptor: int, status: os.stat_result) -> _Opened:
        mode = status.st_mode
        if not S_ISREG(mode):
            raise irregular(path)
        if mode & (S_ISUID | S_ISGID):
            remedy = "Take these bits from it, or leave it out"
            raise UnsupportedFile(shown(path), "it is a setuid or setgid file", remedy)
        executable = self._keeps_mode and bool(mode & S_IXUSR)
        return _Opened(path, descriptor, status, executable)

    def _small(
        self, opened: _Opened, content: bytes, target: Callable[[], bytes]
    ) -> File:
        digest = Digest(blake3(content).digest())
        file = File(digest, opened.executable, len(content))
        if not self.staging.holds(file):
            place = target()
            if not self._move(opened, file, place):
                self.staging.write_blob(content, file, place)
        return file

    def _large(self, opened: _Opened, target: Callable[[], bytes]) -> File:
        began = time_ns()
        with reading(opened.path):
            file = _hashed(opened)
        if self.staging.holds(file):
            return file
        place = target()
        if self._move(opened, file, place):
            return file
        self.staging.copy_blob(opened.descriptor, file, place)
        if not _unchanged(opened, began):
            # The copy is ours alone: what it holds is what was added.
            copy = os.open(place, os.O_RDONLY)
            try:
                status = os.fstat(copy)
                file = _hashed(_Opened(place, copy, status, opened.executable))
            finally:
                os.close(copy)
            if self.staging.holds(file):
                return file
        self.staging.adopt(file, place)
        return file

    def _move(self, opened: _Opened, file: File, target: bytes) -> bool:
        """Whether the file could be moved to the target, and was."""
        if (
            not self.consume
            or opened.status.st_nlink > 1
            or opened.status.st_size != file.size
            or _has_attributes(opened.descriptor)
        ):
            return False
        try:
            self.staging.move_blob(opened.path, file, target)
        except OSError as error:
            if error.errno in (EXDEV, EACCES):
                return False
            raise
        return True


@contextmanager
def reading(path: bytes) -> Iterator[None]:
    """What cannot be read of a source is its fault, not the store's."""
    try:
        yield
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: bytes, error: OSError) -> UnsupportedFile:
    """What it means that a source cannot be read."""
    reason = f"cannot be read: {error.strerror or str(error)}"
    remedy = "Get the right to read it, or leave it out"
    return UnsupportedFile(
        shown(path), reason, remedy if error.errno == EACCES else None
    )


def irregular(path: bytes) -> UnsupportedFile:
    """What it means that something is of a kind that no tree holds."""
    return UnsupportedFile(shown(path), "it is no regular file, folder or link")


def shown(path: bytes) -> Path:
    """A path as it is told to people."""
    return Path(os.fsdecode(path))


def _read(opened: _Opened) -> bytes:
    content = os.read(opened.descriptor, opened.status.st_size + 1)
    if len(content) != opened.status.st_size:  # it changes while it is read
        while more := os.read(opened.descriptor, SMALL):
            content += more
    return content


def _hashed(opened: _Opened) -> File:
    size = opened.status.st_size
    return hashed(opened.descriptor, size, executable=opened.executable)


def _unchanged(opened: _Opened, began: int) -> bool:
    before, after = opened.status, os.fstat(opened.descriptor)
    return before.st_ctime_ns < began - RACY_NS and (
        (before.st_size, before.st_mtime_ns, before.st_ctime_ns)
        == (after.st_size, after.st_mtime_ns, after.st_ctime_ns)
    )


def _has_attributes(descriptor: int) -> bool:
    """Whether a file carries what a moved file would keep and a copy would not."""
    try:
        return any(name != "security.selinux" for name in os.listxattr(descriptor))
    except OSError:
        return False
