"""Zstandard (RFC 8878), of the standard library where it has it."""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from typing import Any, Final

LEVEL: Final = 3
FAST: Final = 1
"""For the bytes of files: quicker than most disks, and a tenth larger than `LEVEL`."""


def compress(content: bytes, level: int = LEVEL) -> bytes:
    """One frame that tells its size; `decompress` reads it back."""
    packed: bytes = _zstd().compress(content, level)
    return packed


def decompress(content: bytes, limit: int) -> bytes:
    """What a frame holds.

    Raises:
        ValueError: it is no frame, is cut off, or holds more than `limit` bytes.
    """
    decompressor = _zstd().ZstdDecompressor()
    try:
        unpacked: bytes = decompressor.decompress(content, max_length=limit + 1)
        # Whether the end was reached is known only when one asks for more.
        if not decompressor.eof and len(unpacked) <= limit:
            unpacked += decompressor.decompress(b"", max_length=1)
    except (_zstd().ZstdError, EOFError) as error:
        raise ValueError(f"not to be decompressed: {error}") from error
    if len(unpacked) > limit:
        raise ValueError(f"it holds more than {limit} bytes")
    if not decompressor.eof or decompressor.unused_data:
        raise ValueError("it does not end where it should")
    return unpacked


@cache
def _zstd() -> Any:
    if sys.version_info >= (3, 14):
        return import_module("compression.zstd")
    return import_module("backports.zstd")
