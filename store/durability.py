"""What must have reached the disk before something is called valid."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack, contextmanager, suppress
from errno import EACCES, EDQUOT, ENOSPC, EROFS
from typing import TYPE_CHECKING, Final

from fromager.store.effects import no_effect
from fromager.store.errors import StoreError, StoreFull, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager
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


@contextmanager
def syncing_ahead(folder: bytes, pause: float = 0.25) -> Iterator[None]:
    """Bring what is written meanwhile to the disk, so that a sync then waits for less.

    There is a pause, in seconds, between two syncs.

    Raises:
        OSError: something cannot be written, of which no later sync may tell again.
    """
    ended = threading.Event()
    errors: list[OSError] = []

    def sync() -> None:
        while not (errors or ended.wait(pause)):
            try:
                sync_filesystem(folder)
            except OSError as error:
                errors.append(error)

    thread = threading.Thread(target=sync, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    if errors:
        raise errors[0]


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


def write_durably(
    path: Path, content: bytes, effect: Callable[[str], None] = no_effect
) -> None:
    """Make or replace a small file: on disk when this returns, whole or as before."""
    new = path.with_name(f".{os.urandom(8).hex()}")
    try:
        effect("write file")
        with new.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        effect("rename file")
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync_each([os.fsencode(path.parent)])


def replace_link_durably(
    link: Path, target: Path | str, effect: Callable[[str], None] = no_effect
) -> None:
    """Make or replace a symbolic link, as `write_durably` does a file."""
    new = link.with_name(f".{os.urandom(8).hex()}")
    effect("make link")
    new.symlink_to(target)
    try:
        effect("rename link")
        new.replace(link)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    # A folder may be written to by one who may not list it.
    with suppress(PermissionError):
        sync_each([os.fsencode(link.parent)])


def sync_to_the_top(folder: Path) -> None:
    """Wait until a folder cannot get lost with one that it lies in."""
    device = folder.stat().st_dev
    for each in (folder, *folder.parents):
        if each.stat().st_dev != device:
            return
        # Whoever may not list a folder did not make it.
        with suppress(PermissionError):
            sync_each([os.fsencode(each)])


@contextmanager
def held_in(root: Path, lock: AbstractContextManager[None]) -> Iterator[None]:
    """Hold a lock of a store; that it cannot be had is told as the store's error."""
    with ExitStack() as stack:
        try:
            stack.enter_context(lock)
        except OSError as error:
            raise storage_error(root, error) from error
        yield


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


def is_full(root: Path) -> bool:
    """Whether nothing can be written any more where a store lies."""
    try:
        found = os.statvfs(root)
    except OSError:
        return False
    return found.f_bavail == 0 or (found.f_files > 0 and found.f_favail == 0)
