"""What open files hold, as digests; large ones are read while they are hashed."""

from __future__ import annotations

import os
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from blake3 import blake3

from fromager.store.digest import Digest
from fromager.store.tree import File

if TYPE_CHECKING:
    from collections.abc import Iterator

READ_AHEAD: Final = 1 << 26
"""Bytes from which on it pays to have a thread that reads ahead."""
_CHUNK: Final = 1 << 20
_BUFFERS: Final = 3


def hashed(descriptor: int, size: int, *, executable: bool) -> File:
    """What an open file holds that has about so many bytes; its position stays.

    Raises:
        OSError: it cannot be read.
    """
    chunks = _ahead(descriptor) if size >= READ_AHEAD else _one_by_one(descriptor)
    hasher, count = blake3(), 0
    for chunk in chunks:
        hasher.update(chunk)
        count += len(chunk)
    return File(Digest(hasher.digest()), executable, count)


def _one_by_one(descriptor: int, offset: int = 0) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(_CHUNK))
    while count := os.preadv(descriptor, [buffer], offset):
        yield buffer[:count]
        offset += count


def _ahead(descriptor: int) -> Iterator[memoryview]:
    """The same, each piece read while the one before is dealt with."""
    free: SimpleQueue[memoryview | None] = SimpleQueue()
    full: SimpleQueue[memoryview | OSError] = SimpleQueue()
    for _ in range(_BUFFERS):
        free.put(memoryview(bytearray(_CHUNK)))

    def read() -> None:
        offset = 0
        try:
            while (buffer := free.get()) is not None:
                count = os.preadv(descriptor, [buffer], offset)
                full.put(buffer[:count])
                offset += count
        except OSError as error:
            full.put(error)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        while chunk := full.get():
            if isinstance(chunk, OSError):
                raise chunk
            yield chunk
            free.put(memoryview(chunk.obj))
    finally:
        free.put(None)
        reader.join()
