"""Private folders for work in progress, removed when it is done."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

from fromager.store.durability import storage_error
from fromager.store.path import check_name
from fromager.store.removal import remove_tree

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from fromager.store.layout import StoreLayout
    from fromager.store.leases import Lease


class Scratch:
    """A folder that only this user can enter, on the file system of the store.

    Used as a context manager: it is removed in the end, unless it was kept. If this
    process dies, the next one that writes to the store removes it.
    """

    def __init__(self, layout: StoreLayout, lease: Lease, name: str) -> None:
        self._layout, self._lease, self._name = layout, lease, check_name(name)
        self._path: Path | None = None

    @property
    def path(self) -> Path:
        """The folder."""
        assert self._path is not None, "a scratch folder is there inside `with` only"
        return self._path

    def keep(self) -> Path:
        """Move the folder to where failed builds are kept; where it lies then."""
        number = 1
        while True:
            kept = self._layout.failed / f"{self._name}-{number}"
            try:
                kept.mkdir()
                break
            except FileExistsError:
                number += 1
        # Renaming replaces the empty folder that was just claimed.
        self._path = self.path.rename(kept)
        return kept

    def __enter__(self) -> Self:
        try:
            folder = self._lease.place(self._layout.scratch)
            folder.mkdir(mode=0o700)
        except OSError as error:
            raise storage_error(self._layout.root, error) from error
        self._path = folder
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.path.parent == self._layout.scratch:
            remove_tree(os.fsencode(self.path))
