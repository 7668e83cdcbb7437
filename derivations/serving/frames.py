"""Frames of Zstandard (RFC 8878) that hold bytes as they are.

Their length follows from the sizes of the files in them, so that it can be told where
each is before anyone has read them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCK: Final = 128 << 10
"""Bytes that a block may hold."""
_MAGIC: Final = (0xFD2FB528).to_bytes(4, "little")
# One segment, whose size stands in four bytes; no checksum, no dictionary.
_DESCRIPTOR: Final = b"\xa0"
_HEAD: Final = 9
_BLOCK_HEAD: Final = 3


def frame_length(size: int) -> int:
    """The bytes of the frame that holds so many bytes."""
    return _HEAD + size + _BLOCK_HEAD * _blocks(size)


def frame(contents: Sequence[bytes]) -> bytes:
    """The frame that holds these, one after another."""
    content = b"".join(contents)
    size = len(content)
    parts = [_MAGIC, _DESCRIPTOR, size.to_bytes(4, "little")]
    last = _blocks(size) - 1
    for number in range(last + 1):
        block = content[number * BLOCK : (number + 1) * BLOCK]
        parts += [(len(block) << 3 | (number == last)).to_bytes(3, "little"), block]
    return b"".join(parts)


def _blocks(size: int) -> int:
    return max(1, -(-size // BLOCK))
