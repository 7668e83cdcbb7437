"""Patches written: a unified diff of two trees, the same bytes every time.

With git's headers where a file comes, goes or changes its mode. What `apply_patch`
makes of the old tree with it is the new one.
"""

from __future__ import annotations

import difflib
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fromager.derivations.errors import SourceError
from fromager.derivations.sources.unified_diff import NOWHERE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

CONTEXT: Final = 3
_NO_NEWLINE: Final = "\\ No newline at end of file\n"


@dataclass(frozen=True, slots=True)
class FileState:
    """A plain file of a tree."""

    content: bytes
    executable: bool = False


class NoDiff(SourceError):
    """A change that a unified diff cannot hold."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(
            f"{file}: {reason}, which a patch cannot hold",
            hint="Use an edit of the settings for it, with the action `file` or `remove`",
        )
        self.file, self.reason = file, reason


def diff_trees(
    before: Mapping[str, FileState], after: Mapping[str, FileState]
) -> bytes:
    """The patch that leads from one tree to the other; files sorted by name.

    Raises:
        NoDiff: a change of a binary file.
    """
    return b"".join(
        _file(name, before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys(), key=os.fsencode)
        if before.get(name) != after.get(name)
    )


def read_tree(folder: Path, without: Collection[str] = ()) -> dict[str, FileState]:
    """The plain files of a folder by name, those of some names at its top left out.

    Symbolic links are passed over.
    """
    found = {}
    for path, folders, names in os.walk(folder):
        if Path(path) == folder:
            folders[:] = [name for name in folders if name not in without]
            names = [name for name in names if name not in without]
        for name in names:
            place = Path(path, name)
            if place.is_file() and not place.is_symlink():
                executable = bool(place.stat().st_mode & 0o100)
                inner = place.relative_to(folder).as_posix()
                found[inner] = FileState(place.read_bytes(), executable)
    return found


def _file(name: str, old: FileState | None, new: FileState | None) -> bytes:
    if any(state is not None and b"\0" in state.content for state in (old, new)):
        raise NoDiff(name, "it is a binary file")
    before, after = _quoted(f"a/{name}"), _quoted(f"b/{name}")
    head = [f"diff --git {before} {after}\n"]
    if old is None and new is not None:
        head.append(f"new file mode {_mode(new)}\n")
        before = NOWHERE
    elif new is None and old is not None:
        head.append(f"deleted file mode {_mode(old)}\n")
        after = NOWHERE
    elif old is not None and new is not None and old.executable != new.executable:
        head += [f"old mode {_mode(old)}\n", f"new mode {_mode(new)}\n"]
    hunks = list(_hunks(old.content if old else b"", new.content if new else b""))
    if hunks:
        head += [f"--- {before}\n", f"+++ {after}\n"]
    return "".join([*head, *hunks]).encode("latin-1")


def _hunks(old: bytes, new: bytes) -> Iterator[str]:
    lines = difflib.unified_diff(_lines(old), _lines(new), n=CONTEXT, lineterm="\n")
    for number, line in enumerate(lines):
        if number >= 2:
            yield line if line.endswith("\n") else f"{line}\n{_NO_NEWLINE}"


def _lines(content: bytes) -> list[str]:
    return [line.decode("latin-1") for line in io.BytesIO(content).readlines()]


def _mode(state: FileState) -> str:
    return "100755" if state.executable else "100644"


def _quoted(name: str) -> str:
    """A name as git writes it: quoted where it holds more than plain characters."""
    raw = os.fsencode(name)
    if all(32 <= byte < 127 and byte not in b'"\\' for byte in raw):
        return name
    parts = []
    for byte in raw:
        if byte in b'"\\':
            parts.append(f"\\{chr(byte)}")
        elif 32 <= byte < 127:
            parts.append(chr(byte))
        else:
            parts.append(f"\\{byte:03o}")
    return f'"{"".join(parts)}"'
