"""The folder of a tree in a transaction's staging folder."""

from __future__ import annotations

import os
from contextlib import suppress
from errno import ENAMETOOLONG
from pathlib import Path
from typing import TYPE_CHECKING

from fromager.store.errors import UnsupportedFile
from fromager.store.staging import FOLDER_MODE, MTIME
from fromager.store.tree import MAX_DEPTH, Directory, File, Link, encode

if TYPE_CHECKING:
    from fromager.store.staging import Staging


class Mirror:
    """The folder of a tree that is being staged.

    Files may be put there before it is known what the whole tree will be.
    """

    def __init__(self, staging: Staging, top: bytes | None = None) -> None:
        self._staging, self._top = staging, top
        self._made: set[str] = set()
        self._filled: set[str] = set()

    def fill(self, path: str) -> bytes:
        """Where the file at this relative path is to be written now."""
        parent = path.rpartition("/")[0]
        if parent not in self._made:
            self._make(parent)
        self._filled.add(path)
        return self._at(path)

    def prepare(self) -> None:
        """Choose the place, before processes are forked that fill it, too."""
        self._at("")

    def filled(self, path: str) -> bytes | None:
        """Where the file at this relative path was written; None if it was not."""
        return self._at(path) if path in self._filled else None

    def was_filled(self, path: str) -> None:
        """Note that another process made the file at this relative path."""
        self._filled.add(path)

    def complete(self, tree: Directory) -> bytes:
        """Make all that is missing of a tree, then its modes and times; its path.

        The topmost folder stays writable: only so can it be moved.
        """
        self._make("")
        try:
            for path, node in tree.nodes():
                match node:
                    case File() if path not in self._filled:
                        self._staging.link(node, self._at(path))
                    case Link(target):
                        self._link(target, self._at(path))
                    case Directory():
                        if path.count("/") >= MAX_DEPTH:
                            raise self._too_deep(path)
                        self._make(path)
        except OSError as error:
            if error.errno != ENAMETOOLONG:
                raise
            raise self._too_deep(path) from error
        for path, _ in reversed(tuple(tree.directories())):
            if path:
                os.chmod(self._at(path), FOLDER_MODE)
            os.utime(self._at(path), ns=MTIME)
        return self._at("")

    def _make(self, path: str) -> None:
        missing = []
        while path not in self._made:
            missing.append(path)
            self._made.add(path)
            path = path.rpartition("/")[0]
        for folder in reversed(missing):
            place = self._at(folder)
            self._staging.effect("make folder")
            with suppress(FileExistsError):  # by another process that fills it
                os.mkdir(place, 0o755)

    def _at(self, path: str) -> bytes:
        if self._top is None:
            self._top = self._staging.place()
        return b"%b/%b" % (self._top, encode(path)) if path else self._top

    def _link(self, target: str, path: bytes) -> None:
        self._staging.effect("make link")
        os.symlink(encode(target), path)
        os.utime(path, ns=MTIME, follow_symlinks=False)

    def _too_deep(self, path: str) -> UnsupportedFile:
        return UnsupportedFile(Path(path), "it lies too deep")
