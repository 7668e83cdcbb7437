"""Why two binary files differ: a look at their formats, and at the strings in them."""

from __future__ import annotations

import io
import re
import zlib
from typing import TYPE_CHECKING, Final

from fromager.derivations.comparing.causes import Cause
from fromager.derivations.comparing.report import Finding
from fromager.derivations.comparing.texts import compare_strings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.derivations.comparing.tokens import Clues

STRINGS: Final = re.compile(rb"[\x20-\x7e\t]{6,4096}")
STRINGS_LIMIT: Final = 32 << 20
"""Bytes of a file in which strings are looked for."""
PYC_HEADER: Final = 16
"""Magic number, flags, and time and size of the source, or its hash (PEP 552)."""

_DEBUG: Final = re.compile(r"\.(z?debug_.*|gnu_debug.*|stab.*|symtab|strtab|shstrtab)")
_BUILD_ID: Final = ".note.gnu.build-id"
_COMMENT: Final = ".comment"


def kind_of(path: str, content: bytes) -> str:
    """What a file is, by its first bytes and its name."""
    if content.startswith(b"\x7fELF"):
        return "ELF"
    if path.endswith(".pyc"):
        return "bytecode"
    if content.startswith(b"PK\3\4"):
        return "zip"
    if content.startswith(b"\x1f\x8b"):
        return "gzip"
    if content.startswith(b"!<arch>\n"):
        return "static library"
    if content[257:262] == b"ustar":
        return "tar"
    return "binary"


def compare_binaries(
    kind: str, first: bytes, second: bytes, clues: Clues
) -> tuple[Finding, ...]:
    """What differs in two binary files of one kind, and why."""
    match kind:
        case "ELF":
            found = _elf(first, second, clues)
        case "bytecode":
            found = _bytecode(first, second, clues)
        case "gzip":
            found = _gzip(first, second)
        case "static library":
            found = _static_library(first, second)
        case _:
            found = compare_strings(strings(first), strings(second), clues)
    return found or (Finding(Cause.BINARY, first_difference(first, second)),)


def strings(content: bytes) -> list[str]:
    """The runs of printable characters in bytes."""
    found = STRINGS.findall(content[:STRINGS_LIMIT])
    return [text.decode("ascii") for text in found]


def first_difference(first: bytes, second: bytes) -> str:
    """Where two files begin to differ."""
    if len(first) != len(second):
        sizes = f"{len(first)} and {len(second)} bytes"
    else:
        sizes = f"{len(first)} bytes each"
    low, high = 0, min(len(first), len(second))
    # The first place up to which they are alike, by halves: comparing is fast.
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return f"{sizes}, alike up to byte {low}"


def _elf(first: bytes, second: bytes, clues: Clues) -> tuple[Finding, ...]:
    old, new = _sections(first), _sections(second)
    if not old or not new:
        return ()
    names = [n for n in {**old, **new} if old.get(n) != new.get(n)]
    if not names:
        return (Finding(Cause.BINARY, "the headers of the ELF file differ"),)
    found: list[Finding] = []
    rest = [n for n in names if n != _BUILD_ID and not _DEBUG.fullmatch(n)]
    debug = [n for n in names if _DEBUG.fullmatch(n)]
    strings_of = rest or debug
    if strings_of:
        found += compare_strings(
            [text for name in strings_of for text in strings(old.get(name, b""))],
            [text for name in strings_of for text in strings(new.get(name, b""))],
            clues,
        )
    if debug and not rest:
        detail = f"only sections for debuggers differ: {', '.join(debug)}"
        found.append(Finding(Cause.DEBUG_INFO, detail))
    elif rest == [_COMMENT]:
        before, after = (
            side.get(_COMMENT, b"").strip(b"\0").decode("ascii", "replace")
            for side in (old, new)
        )
        detail = "the compiler names itself"
        found.append(Finding(Cause.TOOL_VERSION, detail, before, after))
    elif not rest:
        found.append(Finding(Cause.BUILD_ID, f"only {_BUILD_ID} differs"))
    else:
        detail = f"sections differ: {', '.join(rest)}"
        if found:
            found[0] = Finding(found[0].cause, detail, found[0].first, found[0].second)
        else:
            found.append(Finding(Cause.BINARY, detail))
    return tuple(found)


def _sections(content: bytes) -> Mapping[str, bytes]:
    """The contents of an ELF file's sections, by name; nothing if it is damaged."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        elf = ELFFile(io.BytesIO(content))
        found: dict[str, bytes] = {}
        for section in elf.iter_sections():
            kind, start = section["sh_type"], section["sh_offset"]
            data = (
                b"" if kind == "SHT_NOBITS" else content[start:][: section["sh_size"]]
            )
            found[section.name] = found.get(section.name, b"") + data
    except (ELFError, ValueError, KeyError, IndexError, UnicodeError, OverflowError):
        return {}
    return found


def _bytecode(first: bytes, second: bytes, clues: Clues) -> tuple[Finding, ...]:
    if first[:4] != second[:4]:
        return (Finding(Cause.TOOL_VERSION, "made by different versions of Python"),)
    if first[PYC_HEADER:] == second[PYC_HEADER:]:
        flags = int.from_bytes(first[4:8], "little")
        detail = "its header holds another hash of the source"
        if not flags & 1:
            detail = "its header holds another time or size of the source"
        return (Finding(Cause.BYTECODE, detail),)
    causes = compare_strings(
        strings(first[PYC_HEADER:]), strings(second[PYC_HEADER:]), clues
    )
    return (*causes, Finding(Cause.BYTECODE, "the code differs"))


def _gzip(first: bytes, second: bytes) -> tuple[Finding, ...]:
    try:
        old, new = zlib.decompress(first, 31), zlib.decompress(second, 31)
    except zlib.error:
        return ()
    if old != new:
        return ()
    if first[4:8] != second[4:8]:
        before, after = (
            str(int.from_bytes(side[4:8], "little")) for side in (first, second)
        )
        detail = "the header holds the time"
        return (Finding(Cause.TIMESTAMP, detail, before, after),)
    return (Finding(Cause.COMPRESSION, "the same content, compressed otherwise"),)


def _static_library(first: bytes, second: bytes) -> tuple[Finding, ...]:
    old, new = _archive_members(first), _archive_members(second)
    if [content for _, content in old] == [content for _, content in new]:
        detail = "members have other times, owners or modes"
        return (Finding(Cause.TIMESTAMP, detail),)
    if sorted(content for _, content in old) == sorted(c for _, c in new):
        return (Finding(Cause.FILE_ORDER, "the same members in another order"),)
    return ()


def _archive_members(content: bytes) -> list[tuple[bytes, bytes]]:
    """Header and content of each member of an `ar` archive."""
    found, place = [], 8
    while place + 60 <= len(content):
        header = content[place : place + 60]
        try:
            size = int(header[48:58])
        except ValueError:
            break
        if size < 0:
            break
        found.append((header, content[place + 60 : place + 60 + size]))
        place += 60 + size + size % 2
    return found
