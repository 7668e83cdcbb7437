"""Unified diffs as values, and their strict application to a file's bytes.

Everything is bytes: no encoding is assumed and line ends are part of a line. Context is
never ignored; a hunk may lie elsewhere than it says if it fits at one place only.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unidiff.patch import Hunk as ParsedHunk
    from unidiff.patch import PatchedFile

NOWHERE: Final = "/dev/null"
"""What stands for the name of a file that is not there before or after."""

_ESCAPE: Final = re.compile(r'\\([0-7]{1,3}|[abfnrtv"\\])')
_ESCAPES: Final = dict(zip('abfnrtv"\\', '\a\b\f\n\r\t\v"\\', strict=True))
_INFO: Final = re.compile(
    r"(old mode|new mode|new file mode|deleted file mode|rename from|rename to"
    r"|copy from|copy to|index) (.+)"
)
_EPOCH: Final = ("1970-01-01", "1969-12-31")


class InvalidDiff(ValueError):
    """Text that is no unified diff; its message says why."""


class HunkMismatch(ValueError):
    """A hunk that does not fit a file."""

    def __init__(self, number: int, hunk: Hunk, reason: str, found: bytes) -> None:
        super().__init__(reason)
        self.number, self.hunk, self.reason, self.found = number, hunk, reason, found


@dataclass(frozen=True, slots=True)
class Hunk:
    """Some lines of a file before and after a change."""

    start: int
    """Number of lines of the old file before it."""
    new_start: int
    """Number of lines of the new file before it."""
    old: tuple[bytes, ...]
    new: tuple[bytes, ...]
    text: str
    """As the diff has it, for people."""


@dataclass(frozen=True, slots=True)
class FileChange:
    """What a diff does to one file; names have their prefix still."""

    old_name: str
    new_name: str
    hunks: tuple[Hunk, ...]
    creates: bool = False
    deletes: bool = False
    copies: bool = False
    moves: bool = False
    """Whether the names are those of a rename or copy, without a prefix."""
    executable: bool | None = None
    """None if the bit stays as it is."""
    unsupported: str = ""
    """What of it cannot be applied: `a binary change`."""


def parse_diff(content: bytes) -> tuple[FileChange, ...]:
    """The changes of a diff, in order; text around them is passed over.

    Raises:
        InvalidDiff: a hunk that is malformed, or no change at all.
    """
    from unidiff.errors import UnidiffParseError
    from unidiff.patch import PatchSet

    # Latin 1 maps every byte to one character and back.
    text = content.decode("latin-1")
    try:
        files = PatchSet(io.StringIO(text, newline="\n"))
    except UnidiffParseError as error:
        raise InvalidDiff(str(error).strip()) from error
    # The parser takes a hunk whose header is damaged for a remark.
    headers = len(re.findall(r"^@@", text, re.MULTILINE))
    if headers != sum(len(file) for file in files):
        raise InvalidDiff("the header of a hunk is malformed")
    if not files:
        raise InvalidDiff("it holds no changes")
    return tuple(map(_change, files))


def apply_hunks(content: bytes, hunks: Sequence[Hunk]) -> bytes:
    """A file's bytes with all hunks applied.

    Raises:
        HunkMismatch: a hunk that fits nowhere, or at more than one place.
    """
    lines = _lines(content)
    done: list[bytes] = []
    position = 0
    for number, hunk in enumerate(hunks, start=1):
        place = _place(lines, hunk, position, number)
        done += lines[position:place]
        done += hunk.new
        position = place + len(hunk.old)
    return b"".join([*done, *lines[position:]])


def reverse(hunks: Sequence[Hunk]) -> tuple[Hunk, ...]:
    """The hunks that undo these."""
    return tuple(
        Hunk(hunk.new_start, hunk.start, hunk.new, hunk.old, hunk.text)
        for hunk in hunks
    )


def strip_prefix(name: str, level: int) -> str:
    """A name without its first `level` folders, as `patch -p` does it."""
    return name.split("/", level)[-1] if level else name


def _lines(content: bytes) -> list[bytes]:
    # bytes.splitlines() would also cut at a carriage return alone.
    return io.BytesIO(content).readlines()


def _place(lines: list[bytes], hunk: Hunk, position: int, number: int) -> int:
    old = list(hunk.old)
    here = lines[hunk.start : hunk.start + len(old)]
    if position <= hunk.start <= len(lines) and here == old:
        return hunk.start
    found = [
        place
        for place in range(position, len(lines) - len(old) + 1)
        if old and lines[place] == old[0] and lines[place : place + len(old)] == old
    ]
    if len(found) == 1:
        return found[0]
    if found:
        where = ", ".join(str(place + 1) for place in found[:5])
        reason = f"it fits at several places, at the lines {where}"
    elif here and [_bare(line) for line in here] == [_bare(line) for line in old]:
        reason = "its line ends (CRLF or LF) are not those of the file"
    else:
        reason = f"it does not fit at line {hunk.start + 1}, nor anywhere else"
    raise HunkMismatch(number, hunk, reason, b"".join(here))


def _bare(line: bytes) -> bytes:
    return line.rstrip(b"\r\n")


def _change(file: PatchedFile) -> FileChange:
    info = [line.rstrip("\r\n") for line in file.patch_info or ()]
    said: dict[str, str] = {}
    for line in info:
        if match := _INFO.fullmatch(line):
            said[match[1]] = match[2]
    old, new = _name(file.source_file), _name(file.target_file)
    moves = False
    for verb in ("rename", "copy"):
        if f"{verb} from" in said and f"{verb} to" in said:
            old, new = _name(said[f"{verb} from"]), _name(said[f"{verb} to"])
            moves = True
    mode = said.get("new file mode") or said.get("new mode")
    hunks = tuple(map(_hunk, file))
    lone = hunks[0] if len(hunks) == 1 else None
    return FileChange(
        old,
        new,
        hunks,
        creates=old == NOWHERE
        or (lone is not None and not lone.old and _is_epoch(file.source_timestamp)),
        deletes=new == NOWHERE
        or (lone is not None and not lone.new and _is_epoch(file.target_timestamp)),
        copies="copy to" in said,
        moves=moves,
        executable=None if mode is None else mode.endswith("755"),
        unsupported=_unsupported(file, said),
    )


def _unsupported(file: PatchedFile, said: dict[str, str]) -> str:
    if file.is_binary_file:
        return "a binary change"
    modes = [said.get(name, "") for name in said if name.endswith("mode")]
    modes.append(said.get("index", "").rpartition(" ")[2])
    if any(mode.startswith(("120", "160")) for mode in modes if len(mode) == 6):
        return "a change of a symbolic link or submodule"
    return ""


def _hunk(parsed: ParsedHunk) -> Hunk:
    old: list[bytes] = []
    new: list[bytes] = []
    last: list[list[bytes]] = []
    for line in parsed:
        match line.line_type:
            case " ":
                last = [old, new]
            case "-":
                last = [old]
            case "+":
                last = [new]
            case "\\":
                # "No newline at end of file" is said of the line before.
                for lines in last:
                    lines[-1] = lines[-1].removesuffix(b"\n")
                continue
            case _:
                continue
        value = line.value if line.value.endswith("\n") else f"{line.value}\n"
        for lines in last:
            lines.append(value.encode("latin-1"))
    text = str(parsed).encode("latin-1").decode("utf-8", "replace")
    # Where there are no lines, the line before is named.
    return Hunk(
        parsed.source_start - (1 if old else 0),
        parsed.target_start - (1 if new else 0),
        tuple(old),
        tuple(new),
        text,
    )


def _name(text: str) -> str:
    text = text.rstrip("\r")
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = _ESCAPE.sub(_unescape, text[1:-1])
    return text.encode("latin-1").decode("utf-8", "surrogateescape")


def _unescape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[1]) or chr(int(match[1], 8) & 0xFF)


def _is_epoch(timestamp: str | None) -> bool:
    return timestamp is not None and timestamp.startswith(_EPOCH)
