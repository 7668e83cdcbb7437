"""Writable private copies of trees."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from blake3 import blake3

from fromager.store.digest import Digest
from fromager.store.errors import ObjectDamaged, ObjectMissing
from fromager.store.tree import Directory, File, Link, encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fromager.store.layout import StoreLayout

_CHUNK: Final = 1 << 20


def materialise(
    layouts: Sequence[StoreLayout], tree: Directory, target: Path, *, mtime: int
) -> None:
    """Copy a tree to a folder, which is made; nothing of it is shared with the stores.

    Each file comes from the first of the stores that has it.

    Files have mode 0644 or 0755, folders 0755; `mtime`, in seconds since the epoch,
    is the time of all of them.

    Raises:
        ObjectMissing: no pool holds a file of it.
        ObjectDamaged: what the pool holds is not what it should be.
    """
    top = os.fsencode(target)
    times = (mtime * 1_000_000_000, mtime * 1_000_000_000)
    os.makedirs(top, exist_ok=True)
    for path, node in tree.nodes():
        place = b"%b/%b" % (top, encode(path))
        match node:
            case File():
                _copy(layouts, node, place, times)
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
    layouts: Sequence[StoreLayout],
    file: File,
    target: bytes,
    times: tuple[int, int],
) -> None:
    found = open_blob(layouts, file)
    if found is None:
        raise ObjectMissing(str(file.digest))
    source, blob = found
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        descriptor = os.open(target, flags, 0o600)
        try:
            copy_checked(source, descriptor, file, blob)
            os.fchmod(descriptor, 0o755 if file.executable else 0o644)
            os.utime(descriptor, ns=times)
        finally:
            os.close(descriptor)
    finally:
        os.close(source)


def open_blob(layouts: Sequence[StoreLayout], file: File) -> tuple[int, bytes] | None:
    """A descriptor of a file in the first pool that has it, and where it lies."""
    for layout in layouts:
        with suppress(FileNotFoundError):
            blob = layout.blob(file)
            return os.open(blob, os.O_RDONLY), blob
    return None


def copy_checked(source: int, target: int, file: File, blob: bytes) -> None:
    """Copy what an open file of a pool holds, which lies at `blob`.

    Raises:
        ObjectDamaged: it is not what it should be, so that nobody builds with it.
    """
    hasher = blake3()
    while chunk := os.read(source, _CHUNK):
        hasher.update(chunk)
        written = os.write(target, chunk)
        while written < len(chunk):
            written += os.write(target, chunk[written:])
    actual = Digest(hasher.digest())
    if actual != file.digest:
        raise ObjectDamaged(Path(os.fsdecode(blob)), str(file.digest), str(actual))
