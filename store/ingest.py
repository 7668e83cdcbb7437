"""Taking in files and folders: each file is hashed once, and kept only if it is new."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EACCES, EXDEV
from functools import partial
from pathlib import Path
from stat import S_ISGID, S_ISREG, S_ISUID, S_IXUSR
from time import time_ns
from typing import TYPE_CHECKING, Final

from blake3 import blake3

from fromager.store.digest import Digest
from fromager.store.errors import InvalidRecord, UnsupportedFile
from fromager.store.staging import Mirror
from fromager.store.tree import MAX_DEPTH, Directory, File, Link, decode, from_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fromager.store.staging import Staging
    from fromager.store.tree import Node

SMALL: Final = 1 << 20
"""Files up to this size, in bytes, are read whole: what is hashed is what is kept."""

_RACY_NS: Final = 2_000_000_000
"""A file changed more recently than this may change again unseen, because clocks of
file systems tick; as in git's index."""


def take_tree(
    source: Path, staging: Staging, *, consume: bool
) -> tuple[Directory, Mirror]:
    """The tree that a folder holds; files that are new are staged on the way.

    Raises:
        UnsupportedFile: something that no tree can hold, or that cannot be read.
    """
    mirror = Mirror(staging)
    intake = _Intake(staging, consume=consume)
    try:
        return from_paths(intake.walk(os.fsencode(source), mirror)), mirror
    except InvalidRecord as error:
        raise UnsupportedFile(source, error.reason) from error


def take_file(source: Path, staging: Staging, *, consume: bool) -> File:
    """A file's bytes as a blob, staged if they are new; links are followed.

    Raises:
        UnsupportedFile: not a regular file, or it cannot be read.
    """
    named = os.fsencode(source)
    with _reading(named):
        path = os.path.realpath(named, strict=True)
        if not S_ISREG(os.stat(path).st_mode):
            raise _irregular(named)
    intake = _Intake(staging, consume=consume, keeps_mode=False)
    return intake.file(path, staging.place)


@dataclass(frozen=True, slots=True)
class _Opened:
    """A regular file that is being read."""

    path: bytes
    descriptor: int
    status: os.stat_result
    executable: bool


class _Intake:
    """Reads files and stages those that the store does not have."""

    def __init__(
        self, staging: Staging, *, consume: bool, keeps_mode: bool = True
    ) -> None:
        self._staging, self._consume, self._keeps_mode = staging, consume, keeps_mode

    def walk(self, top: bytes, mirror: Mirror) -> Iterator[tuple[str, Node]]:
        """All nodes below, at their relative paths; of folders the empty ones only."""
        pending = [(top, "")]
        while pending:
            folder, prefix = pending.pop()
            entries = self._entries(folder)
            if not entries and prefix:
                yield prefix[:-1], Directory(())
            for entry in entries:
                path = f"{prefix}{decode(entry.name)}"
                if entry.is_symlink():
                    with _reading(entry.path):
                        target = os.readlink(entry.path)
                    yield path, Link(decode(target))
                elif entry.is_file():
                    yield path, self.file(entry.path, partial(mirror.fill, path))
                elif not entry.is_dir():
                    raise _irregular(entry.path)
                elif path.count("/") >= MAX_DEPTH:
                    raise UnsupportedFile(_shown(entry.path), "folders nest too deep")
                else:
                    pending.append((entry.path, f"{path}/"))

    def file(self, path: bytes, target: Callable[[], bytes]) -> File:
        """The file at a path; if it is new, it is staged at `target()`."""
        content = b""
        with _reading(path):
            descriptor = self._open(path)
        try:
            with _reading(path):
                opened = self._examine(path, descriptor)
                small = opened.status.st_size <= SMALL
                if small:
                    content = _read(opened)
            return (
                self._small(opened, content, target)
                if small
                else self._large(opened, target)
            )
        finally:
            os.close(descriptor)

    def _entries(self, folder: bytes) -> list[os.DirEntry[bytes]]:
        with _reading(folder):
            if self._consume:
                # Moving files out of a folder needs the right to write to it, too.
                os.chmod(folder, 0o700)
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)

    def _open(self, path: bytes) -> int:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            return os.open(path, flags)
        except PermissionError:
            if not self._consume:
                raise
            os.chmod(path, os.lstat(path).st_mode | 0o400)
            return os.open(path, flags)

    def _examine(self, path: bytes, descriptor: int) -> _Opened:
        status = os.fstat(descriptor)
        if not S_ISREG(status.st_mode):
            raise _irregular(path)
        if status.st_mode & (S_ISUID | S_ISGID):
            raise UnsupportedFile(_shown(path), "it is a setuid or setgid file")
        executable = self._keeps_mode and bool(status.st_mode & S_IXUSR)
        return _Opened(path, descriptor, status, executable)

    def _small(
        self, opened: _Opened, content: bytes, target: Callable[[], bytes]
    ) -> File:
        digest = Digest(blake3(content).digest())
        file = File(digest, opened.executable, len(content))
        if not self._staging.holds(file):
            place = target()
            if not self._move(opened, file, place):
                self._staging.write_blob(content, file, place)
        return file

    def _large(self, opened: _Opened, target: Callable[[], bytes]) -> File:
        began = time_ns()
        file = _hashed(opened)
        if self._staging.holds(file):
            return file
        place = target()
        if self._move(opened, file, place):
            return file
        self._staging.copy_blob(opened.descriptor, file, place)
        if not _unchanged(opened, began):
            # The copy is ours alone: what it holds is what was added.
            copy = os.open(place, os.O_RDONLY)
            try:
                status = os.fstat(copy)
                file = _hashed(_Opened(place, copy, status, opened.executable))
            finally:
                os.close(copy)
            if self._staging.holds(file):
                return file
        self._staging.adopt(file, place)
        return file

    def _move(self, opened: _Opened, file: File, target: bytes) -> bool:
        """Whether the file could be moved to the target, and was."""
        if (
            not self._consume
            or opened.status.st_nlink > 1
            or opened.status.st_size != file.size
            or _has_attributes(opened.descriptor)
        ):
            return False
        try:
            self._staging.move_blob(opened.path, file, target)
        except OSError as error:
            if error.errno in (EXDEV, EACCES):
                return False
            raise
        return True


def _read(opened: _Opened) -> bytes:
    content = os.read(opened.descriptor, opened.status.st_size + 1)
    if len(content) != opened.status.st_size:  # it changes while it is read
        while more := os.read(opened.descriptor, SMALL):
            content += more
    return content


def _hashed(opened: _Opened) -> File:
    hasher, size, buffer = blake3(), 0, bytearray(SMALL)
    view = memoryview(buffer)
    with _reading(opened.path):
        while count := os.preadv(opened.descriptor, [buffer], size):
            hasher.update(view[:count])
            size += count
    return File(Digest(hasher.digest()), opened.executable, size)


def _unchanged(opened: _Opened, began: int) -> bool:
    before, after = opened.status, os.fstat(opened.descriptor)
    return before.st_ctime_ns < began - _RACY_NS and (
        (before.st_size, before.st_mtime_ns, before.st_ctime_ns)
        == (after.st_size, after.st_mtime_ns, after.st_ctime_ns)
    )


def _has_attributes(descriptor: int) -> bool:
    """Whether a file carries what a moved file would keep and a copy would not."""
    try:
        return any(name != "security.selinux" for name in os.listxattr(descriptor))
    except OSError:
        return False


@contextmanager
def _reading(path: bytes) -> Iterator[None]:
    """What cannot be read of a source is its fault, not the store's."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise UnsupportedFile(_shown(path), f"cannot be read: {reason}") from error


def _irregular(path: bytes) -> UnsupportedFile:
    return UnsupportedFile(_shown(path), "it is no regular file, folder or link")


def _shown(path: bytes) -> Path:
    return Path(os.fsdecode(path))
