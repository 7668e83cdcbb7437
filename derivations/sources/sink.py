"""Where the members of an archive go: to a folder, or straight into the store."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from fromager.store import TreeBuilder

_CHUNK: Final = 1 << 20
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Sink(Protocol):
    """Takes what was found to be safe.

    Paths begin with the top-level folder. A folder comes before what is in it, and
    nothing comes twice.
    """

    def folder(self, path: str) -> None:
        """Make a folder."""
        ...

    def file(self, path: str, content: IO[bytes], *, executable: bool) -> int:
        """Make a file; how many bytes it has."""
        ...

    def same(self, path: str, other: str) -> None:
        """Make a file like another one."""
        ...

    def link(self, path: str, target: str) -> None:
        """Make a symbolic link."""
        ...


class FolderSink:
    """Writes below a folder that nobody else writes to, so that no link is followed."""

    def __init__(self, target: Path) -> None:
        # A text, not a path: for many small files these are most of the work.
        self._target = str(target)
        self._executable: set[str] = set()

    def folder(self, path: str) -> None:
        """Make a folder of mode 0755."""
        place = f"{self._target}/{path}"
        os.mkdir(place)
        os.chmod(place, 0o755)

    def file(self, path: str, content: IO[bytes], *, executable: bool) -> int:
        """Make a file of mode 0644 or 0755."""
        mode = 0o755 if executable else 0o644
        size = 0
        descriptor = os.open(f"{self._target}/{path}", _CREATE, mode)
        try:
            os.fchmod(descriptor, mode)
            while chunk := content.read(_CHUNK):
                size += len(chunk)
                written = os.write(descriptor, chunk)
                while written < len(chunk):
                    written += os.write(descriptor, chunk[written:])
        finally:
            os.close(descriptor)
        if executable:
            self._executable.add(path)
        return size

    def same(self, path: str, other: str) -> None:
        """Make a copy."""
        with open(f"{self._target}/{other}", "rb") as content:
            self.file(path, content, executable=other in self._executable)

    def link(self, path: str, target: str) -> None:
        """Make a symbolic link."""
        os.symlink(target, f"{self._target}/{path}")


class TreeSink:
    """Makes a tree of the store, of what lies in the top-level folder.

    What lies beside it is left out: an archive with more than one is refused anyway.
    """

    def __init__(self, builder: TreeBuilder) -> None:
        self._builder = builder
        self._top: str | None = None

    def folder(self, path: str) -> None:
        """Make a folder."""
        if below := self._below(path):
            self._builder.folder(below)

    def file(self, path: str, content: IO[bytes], *, executable: bool) -> int:
        """Make a file."""
        if below := self._below(path):
            return self._builder.file(below, content, executable=executable).size
        return 0

    def same(self, path: str, other: str) -> None:
        """Make the same file once more."""
        below = self._below(path)
        if below and (source := self._below(other)):
            self._builder.same(below, source)

    def link(self, path: str, target: str) -> None:
        """Make a symbolic link."""
        if below := self._below(path):
            self._builder.link(below, target)

    def _below(self, path: str) -> str:
        top, _, below = path.partition("/")
        if self._top is None:
            self._top = top
        return below if top == self._top else ""
