"""The bytes of a zip file between and around its members.

`zipfile` reads what the central directory names and passes over the rest. A file that
two readers may read differently is refused here: bytes that belong to no member, and
local headers that say something else than the directory does (APPNOTE 4.3).
"""

from __future__ import annotations

import struct
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zipfile import ZipInfo

_END: Final = struct.Struct("<4s4H2LH")
_END64: Final = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_SIZE: Final = 20
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_DESCRIPTOR: Final = 0x8
_UNKNOWN: Final = 0xFFFFFFFF
"""Where a size of 32 bits is too small, this stands, and the extra field tells."""


def structure_fault(file: IO[bytes], members: Sequence[ZipInfo]) -> str | None:
    """What makes a zip file ambiguous, in a few words, or None if nothing does.

    `members` are those of its central directory.
    """
    directory = _directory_offset(file)
    if directory is None:
        return "it has a comment, or bytes after its directory"
    end = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        if member.header_offset < end:
            return f"its member {member.filename!r} overlaps another"
        if member.header_offset > end:
            return f"it has bytes before {member.filename!r} that belong to no member"
        following = _end_of_member(file, member)
        if following is None:
            return f"its two headers of {member.filename!r} say different things"
        end = following
    if end != directory:
        return "it has bytes before its directory that belong to no member"
    return None


def _directory_offset(file: IO[bytes]) -> int | None:
    """Where the central directory begins, if it and its end records close the file."""
    size = file.seek(0, 2)
    end = size - _END.size
    if end < 0:
        return None
    file.seek(end)
    magic, _, _, _, _, length, offset, comment = _END.unpack(file.read(_END.size))
    if magic != b"PK\5\6" or comment:
        return None
    if _UNKNOWN in (length, offset):
        end -= _LOCATOR_SIZE + _END64.size
        if end < 0:
            return None
        file.seek(end)
        magic, *_, length, offset = _END64.unpack(file.read(_END64.size))
        if magic != b"PK\6\6":
            return None
    elif _has_end64(file, end):
        end -= _LOCATOR_SIZE + _END64.size
    return int(offset) if offset + length == end else None


def _has_end64(file: IO[bytes], end: int) -> bool:
    # Written for many members also where all sizes fit 32 bits.
    if end < _LOCATOR_SIZE + _END64.size:
        return False
    file.seek(end - _LOCATOR_SIZE)
    return file.read(4) == b"PK\6\7"


def _end_of_member(file: IO[bytes], member: ZipInfo) -> int | None:
    """Where a member's bytes end, or None if its local header is another's."""
    file.seek(member.header_offset)
    head = file.read(_LOCAL.size)
    if len(head) < _LOCAL.size:
        return None
    magic, _, flags, method, _, _, crc, packed, size, name, extra = _LOCAL.unpack(head)
    if magic != b"PK\3\4" or (flags, method) != (
        member.flag_bits,
        member.compress_type,
    ):
        return None
    encoding = "utf-8" if flags & 0x800 else "cp437"
    if file.read(name).decode(encoding, "replace") != member.orig_filename:
        return None
    content = member.header_offset + _LOCAL.size + int(name) + int(extra)
    end = content + member.compress_size
    if flags & _DESCRIPTOR:
        file.seek(end)
        return _end_of_descriptor(file, member, end)
    if crc != member.CRC:
        return None
    for said, known in ((packed, member.compress_size), (size, member.file_size)):
        if said not in (known, _UNKNOWN):
            return None
    return end


def _end_of_descriptor(file: IO[bytes], member: ZipInfo, end: int) -> int | None:
    """The end of the data descriptor, of which four forms are in use."""
    content = file.read(24)
    for form in ("<4sLLL", "<4sLQQ", "<LLL", "<LQQ"):
        length = struct.calcsize(form)
        if len(content) < length:
            continue
        *magic, crc, packed, size = struct.unpack(form, content[:length])
        if magic in ([], [b"PK\7\x08"]) and (crc, packed, size) == (
            member.CRC,
            member.compress_size,
            member.file_size,
        ):
            return end + length
    return None
