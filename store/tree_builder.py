"""Trees made file by file, by who has their content at hand and not in a folder."""

from __future__ import annotations

from errno import EILSEQ, EINVAL, ENAMETOOLONG
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Self

from fromager.store.digest import blob_digest
from fromager.store.durability import storage_error
from fromager.store.errors import InvalidRecord, UnsupportedFile
from fromager.store.mirror import Mirror
from fromager.store.tree import Directory, File, Link, encode, from_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from fromager.store.api import ObjectInfo
    from fromager.store.staging import Staging
    from fromager.store.tree import Node

_SMALL: Final = 1 << 20
"""Files up to this size, in bytes, are held in memory: those known are not written."""


class LocalTreeBuilder:
    """A tree of a `LocalTransaction`; see `TreeBuilder` for what holds.

    Each file is hashed as it comes, and written only if it is new.
    """

    def __init__(
        self, staging: Staging, add: Callable[[Directory, Mirror], ObjectInfo]
    ) -> None:
        self._staging, self._finish = staging, add
        self._mirror = Mirror(staging)
        self._nodes: dict[str, Node] = {}

    def file(self, path: str, content: IO[bytes], *, executable: bool = False) -> File:
        """Put a file there; the content is read to its end."""
        with _Naming(self._staging, path):
            start = content.read(_SMALL + 1)
            if len(start) <= _SMALL:
                file = File(blob_digest(start), executable, len(start))
                if not self._staging.holds(file):
                    self._staging.write_blob(start, file, self._mirror.fill(path))
            else:
                place = self._mirror.fill(path)
                file = self._staging.write_stream(start, content, executable, place)
        self._nodes[path] = file
        return file

    def same(self, path: str, other: str) -> None:
        """Put the file that is at another path there, too."""
        self._nodes[path] = self._nodes[other]

    def link(self, path: str, target: str) -> None:
        """Put a symbolic link there."""
        self._nodes[path] = Link(target)

    def folder(self, path: str) -> None:
        """Put an empty folder there, for the case that nothing comes into it."""
        self._nodes[path] = Directory(())

    def add(self) -> ObjectInfo:
        """Add the tree to the transaction, when all is there."""
        implied = _above(self._nodes)
        try:
            tree = from_paths(
                (path, node)
                for path, node in self._nodes.items()
                if not (isinstance(node, Directory) and path in implied)
            )
        except InvalidRecord as error:
            raise UnsupportedFile(Path(error.what), error.reason) from error
        return self._finish(tree, self._mirror)


class _Naming:
    """Tells a name that cannot be from a disk that cannot be written."""

    def __init__(self, staging: Staging, path: str) -> None:
        self._staging, self._path = staging, path

    def __enter__(self) -> Self:
        # Before anything is made there: it must not lie outside of the tree.
        parts = self._path.split("/")
        if not {"", ".", ".."}.isdisjoint(parts) or not _is_encodable(self._path):
            raise UnsupportedFile(Path(repr(self._path)), "no file's name")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not isinstance(error, OSError) or error.errno is None:
            return
        if error.errno in (ENAMETOOLONG, EILSEQ, EINVAL):
            raise UnsupportedFile(Path(self._path), "no file's name") from error
        raise storage_error(self._staging.layout.root, error) from error


def _is_encodable(path: str) -> bool:
    try:
        return b"\0" not in encode(path)
    except UnicodeEncodeError:
        return False


def _above(paths: Iterable[str]) -> set[str]:
    """All folders that lie on the way to these paths."""
    found: set[str] = set()
    for path in paths:
        parent = path.rpartition("/")[0]
        while parent and parent not in found:
            found.add(parent)
            parent = parent.rpartition("/")[0]
    return found
