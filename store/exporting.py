"""Objects copied out of a store: as folders or files, and as archives.

What is written appears under its name whole, or not at all.
"""

from __future__ import annotations

import errno
import gzip
import io
import os
import shutil
import tarfile
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, cast

from blake3 import blake3

from fromager.store.digest import Digest
from fromager.store.errors import ObjectDamaged, ObjectMissing, StoreError
from fromager.store.materialise import copy_checked
from fromager.store.tree import Directory, File, Link

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from fromager.store.local import LocalStore
    from fromager.store.path import StorePath
    from fromager.store.tree import Node

TIME: Final = 315532800
"""Seconds since the epoch: the time of everything that is exported, the earliest that
all kinds of archives can hold."""


class ExportRefused(StoreError):
    """An object cannot be brought to a place."""

    def __init__(self, place: Path, reason: str, remedy: str) -> None:
        super().__init__(f"nothing is exported to {place}: {reason}")
        self.place, self.reason, self._remedy = place, reason, remedy

    @property
    def hint(self) -> str | None:
        return self._remedy


def export(store: LocalStore, path: StorePath, target: Path) -> None:
    """Copy an object to a place where nothing is yet; nothing is shared with the store.

    Files can be written (0644 or 0755), their contents were checked on the way.

    Raises:
        ExportRefused: something is there.
        ObjectMissing, ObjectDamaged: the object is not here, or not what it was.
    """
    content = store.tree(path)
    is_file = isinstance(content, File)
    with _beside(target, content_is_file=is_file) as draft:
        if isinstance(content, Directory):
            store.materialise(content, draft, mtime=TIME)
        else:
            with draft.open("xb") as out:
                _copy(store, content, out)
            os.utime(draft, (TIME, TIME))


def export_linked(store: LocalStore, path: StorePath, target: Path) -> None:
    """The same with hard links to the store's own files, which are read-only.

    It takes no space, and who writes into such a file all the same damages the store.

    Raises:
        ExportRefused: something is there, or it is on another file system.
        ObjectMissing: the object is not here.
    """
    content, place = store.tree(path), store.place(path)
    is_file = isinstance(content, File)
    with _beside(target, content_is_file=is_file) as draft:
        try:
            if isinstance(content, Directory):
                _link_tree(content, place, draft)
            else:
                draft.hardlink_to(place)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK):
                raise
            reason = f"it cannot be linked to from the store: {error.strerror}"
            remedy = "Copy it, or use a place on the file system of the store"
            raise ExportRefused(target, reason, remedy) from error


def export_archive(
    store: LocalStore, path: StorePath, target: Path, *, compressed: bool
) -> None:
    """Write an object as a tar archive, gzip-compressed or not, with one folder in it.

    The folder is called as the object; the same object gives the same bytes.

    Raises:
        ExportRefused: something is there.
        ObjectMissing, ObjectDamaged: the object is not here, or not what it was.
    """
    content = store.tree(path)
    with _beside(target, content_is_file=True) as draft, ExitStack() as held:
        out: IO[bytes] = held.enter_context(draft.open("xb"))
        if compressed:
            packed = gzip.GzipFile("", "wb", 6, out, mtime=0)
            out = cast("IO[bytes]", held.enter_context(packed))
        archive = held.enter_context(
            tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT)
        )
        _add(store, archive, path.name, content)
        if isinstance(content, Directory):
            for member, node in content.nodes():
                _add(store, archive, f"{path.name}/{member}", node)


def _add(store: LocalStore, archive: tarfile.TarFile, name: str, node: Node) -> None:
    row = tarfile.TarInfo(name)
    row.mtime, row.mode = TIME, 0o755
    match node:
        case Directory():
            row.type = tarfile.DIRTYPE
            archive.addfile(row)
        case Link(aim):
            row.type, row.linkname = tarfile.SYMTYPE, aim
            archive.addfile(row)
        case File():
            row.mode = 0o755 if node.executable else 0o644
            with _Checked(store, node) as content:
                row.size = content.size
                archive.addfile(row, content)


class _Checked(io.RawIOBase):
    """A file's bytes, which are refused in the end if they are not what they should be."""

    def __init__(self, store: LocalStore, file: File) -> None:
        found = store.open_blob(file)
        if found is None:
            raise ObjectMissing(str(file.digest))
        self._descriptor, self._blob = found
        self._file, self._hasher = file, blake3()
        self.size = os.fstat(self._descriptor).st_size

    def read(self, size: int = -1) -> bytes:
        content = os.read(self._descriptor, size if size >= 0 else self.size)
        self._hasher.update(content)
        return content

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)
        actual = Digest(self._hasher.digest())
        if error is None and actual != self._file.digest:
            place = Path(os.fsdecode(self._blob))
            raise ObjectDamaged(place, str(self._file.digest), str(actual))


def _copy(store: LocalStore, file: File, out: IO[bytes]) -> None:
    found = store.open_blob(file)
    if found is None:
        raise ObjectMissing(str(file.digest))
    source, blob = found
    try:
        copy_checked(source, out.fileno(), file, blob)
    finally:
        os.close(source)


def _link_tree(tree: Directory, place: Path, target: Path) -> None:
    target.mkdir()
    for path, node in tree.nodes():
        here = target / path
        match node:
            case Directory():
                here.mkdir()
            case Link(aim):
                here.symlink_to(aim)
            case File():
                here.hardlink_to(place / path)


@contextmanager
def _beside(target: Path, *, content_is_file: bool) -> Iterator[Path]:
    """A name beside a place; what is there in the end gets the place's own name."""
    usable = not content_is_file and not target.is_symlink() and _is_empty(target)
    if os.path.lexists(target) and not usable:
        raise ExportRefused(
            target, "something is there already", "Name a place where nothing is"
        )
    if not target.parent.is_dir():
        raise ExportRefused(
            target, f"there is no folder {target.parent}", "Make the folder first"
        )
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    draft = work / "object"
    try:
        yield draft
        draft.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _is_empty(target: Path) -> bool:
    return target.is_dir() and not any(target.iterdir())
