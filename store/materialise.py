"""Writable private copies of trees."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from blake3 import blake3

from fromager.store.digest import Digest
from fromager.store.errors import ObjectDamaged, ObjectMissing
from fromager.store.tree import Directory, File, Link, encode

if TYPE_CHECKING:
    from fromager.store.layout import StoreLayout

_CHUNK: Final = 1 << 20


def materialise(
    layout: StoreLayout, tree: Directory, target: Path, *, mtime: int
) -> None:
    """Copy a tree to a folder, which is made; nothing of it is shared with the store.

    Files have mode 0644 or 0755, folders 0755; `mtime`, in seconds since the epoch,
    is the time of all of them.

    Raises:
        ObjectMissing: the pool does not hold a file of it.
        ObjectDamaged: what the pool holds is not what it should be.
    """
    top = os.fsencode(target)
    times = (mtime * 1_000_000_000, mtime * 1_000_000_000)
    os.makedirs(top, exist_ok=True)
    for path, node in tree.nodes():
        place = b"%b/%b" % (top, encode(path))
        match node:
            case File():
                _copy(layout, node, place, times)
            case Link(aim):
                os.symlink(encode(aim), place)
                os.utime(place, ns=times, follow_symlinks=False)
            case Directory():
                os.mkdir(place)
    # Last, and deepest first: whatever is made in a folder changes its time.
    for path, _ in reversed(tuple(tree.directories())):
        place = b"%b/%b" % (top, encode(path)) if path else top
        os.chmod(place, 0o755)
        os.utime(place, ns=times)


def _copy(
    layout: StoreLayout, file: File, target: bytes, times: tuple[int, int]
) -> None:
    try:
        source = os.open(layout.blob(file), os.O_RDONLY)
    except FileNotFoundError as error:
        raise ObjectMissing(str(file.digest)) from error
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        descriptor = os.open(target, flags, 0o600)
        try:
            _write_checked(source, descriptor, file, layout.blob(file))
            os.fchmod(descriptor, 0o755 if file.executable else 0o644)
            os.utime(descriptor, ns=times)
        finally:
            os.close(descriptor)
    finally:
        os.close(source)


def _write_checked(source: int, target: int, file: File, blob: bytes) -> None:
    """Copy what is in the pool, and see to it that nothing damaged is built with."""
    hasher = blake3()
    while chunk := os.read(source, _CHUNK):
        hasher.update(chunk)
        written = os.write(target, chunk)
        while written < len(chunk):
            written += os.write(target, chunk[written:])
    actual = Digest(hasher.digest())
    if actual != file.digest:
        raise ObjectDamaged(Path(os.fsdecode(blob)), str(file.digest), str(actual))
