"""Reading what lies in a folder as a tree, without keeping anything of it."""

from __future__ import annotations

import os
from pathlib import Path
from stat import S_ISREG, S_IXUSR
from typing import TYPE_CHECKING, Final

from blake3 import blake3

from fromager.store.digest import Digest
from fromager.store.errors import UnsupportedFile
from fromager.store.tree import Directory, File, Link, decode, from_paths

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fromager.store.tree import Node

_CHUNK: Final = 1 << 20


def read_tree(folder: Path) -> Directory:
    """The tree that a folder would be if it were added to a store now.

    Raises:
        UnsupportedFile: something that no tree can hold, or that cannot be read.
    """
    try:
        return from_paths(_walk(os.fsencode(folder)))
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        raise UnsupportedFile(Path(os.fsdecode(error.filename)), reason) from error


def _walk(top: bytes) -> Iterator[tuple[str, Node]]:
    pending = [(top, "")]
    while pending:
        folder, prefix = pending.pop()
        with os.scandir(folder) as found:
            entries = list(found)
        if not entries and prefix:
            yield prefix[:-1], Directory(())
        for entry in entries:
            path = f"{prefix}{decode(entry.name)}"
            if entry.is_symlink():
                yield path, Link(decode(os.readlink(entry.path)))
            elif entry.is_dir():
                pending.append((entry.path, f"{path}/"))
            else:
                yield path, _file(entry.path)


def _file(path: bytes) -> File:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not S_ISREG(status.st_mode):
            place = Path(os.fsdecode(path))
            raise UnsupportedFile(place, "it is no regular file, folder or link")
        hasher, size = blake3(), 0
        while chunk := os.read(descriptor, _CHUNK):
            hasher.update(chunk)
            size += len(chunk)
    finally:
        os.close(descriptor)
    return File(Digest(hasher.digest()), bool(status.st_mode & S_IXUSR), size)
