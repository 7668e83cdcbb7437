"""What must have reached the disk before something is called valid."""

from __future__ import annotations

import os
from errno import EACCES, EDQUOT, ENOSPC, EROFS
from typing import TYPE_CHECKING, Final

from fromager.store.errors import StoreError, StoreFull, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


_WRITE: Final = 2
"""`SYNC_FILE_RANGE_WRITE` of sync_file_range(2)."""


def sync_filesystem(folder: bytes) -> None:
    """Wait until all that was written to the file system of a folder is on disk."""
    import ctypes  # costs too much for commands that write nothing

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
        if syncfs is None:
            os.sync()
        elif syncfs(descriptor) != 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), folder)
    finally:
        os.close(descriptor)


def start_writing(descriptor: int, offset: int, length: int) -> None:
    """Let the system begin to bring a part of a file to the disk, without waiting.

    It says nothing about what is on disk: that is for `sync_filesystem`, which then has
    less to wait for.
    """
    import ctypes  # costs too much for commands that write nothing

    call = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if call is not None:
        ends = ctypes.c_int64(offset), ctypes.c_int64(length)
        call(ctypes.c_int(descriptor), *ends, ctypes.c_uint(_WRITE))


def sync_each(paths: Iterable[bytes]) -> None:
    """Wait until the entries of these folders, or bytes of these files, are on disk."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_durably(path: Path, content: bytes) -> None:
    """Make or replace a small file: on disk when this returns, whole or as before."""
    new = path.with_name(f".{os.urandom(8).hex()}")
    try:
        with new.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync_each([os.fsencode(path.parent)])


def replace_link_durably(link: Path, target: str) -> None:
    """Make or replace a symbolic link, as `write_durably` does a file."""
    new = link.with_name(f".{os.urandom(8).hex()}")
    new.symlink_to(target)
    try:
        new.replace(link)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync_each([os.fsencode(link.parent)])


def storage_error(root: Path, error: OSError) -> StoreError:
    """What a failed write to the store means to its user."""
    if error.errno in (ENOSPC, EDQUOT):
        return StoreFull(root)
    if error.errno == EROFS:
        return StoreUnavailable(root, "its file system is read-only")
    reason = error.strerror or str(error)
    if error.filename is not None:
        reason = f"{os.fsdecode(error.filename)}: {reason}"
    remedy = None
    if error.errno == EACCES:
        remedy = "Ask its owner for the right to read it, or use another store"
    return StoreUnavailable(root, reason, remedy)
