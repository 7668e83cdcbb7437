"""Private folders for work in progress, removed when it is done."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from errno import EXDEV
from typing import TYPE_CHECKING, Self

from fromager.store.durability import storage_error
from fromager.store.effects import no_effect
from fromager.store.memory import LEAST_ROOM, make_memory_scratch, memory_room
from fromager.store.path import check_name
from fromager.store.removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from fromager.store.layout import StoreLayout
    from fromager.store.leases import Lease


class Scratch:
    """A folder that only this user can enter, on the file system of the store or,
    if that was asked for and can be had, in memory.

    Used as a context manager: it is removed in the end, unless it was kept. If this
    process dies, the next one that writes to the store removes it.
    """

    def __init__(
        self,
        layout: StoreLayout,
        lease: Lease,
        name: str,
        effect: Callable[[str], None] = no_effect,
        *,
        in_memory: bool = False,
    ) -> None:
        self._layout, self._lease, self._name = layout, lease, check_name(name)
        self._effect = effect
        self._memory = make_memory_scratch(layout) if in_memory else None
        self._path: Path | None = None

    @property
    def path(self) -> Path:
        """The folder."""
        assert self._path is not None, "a scratch folder is there inside `with` only"
        return self._path

    @property
    def in_memory(self) -> bool:
        """Whether it lies in memory."""
        return self._memory is not None

    @property
    def is_short(self) -> bool:
        """Whether it lies in memory, and that is used up but for a little."""
        return self._memory is not None and memory_room(self._memory) < LEAST_ROOM // 2

    def keep(self) -> Path:
        """Move the folder to where failed builds are kept; where it lies then."""
        try:
            return self._keep()
        except OSError as error:
            raise storage_error(self._layout.root, error) from error

    def __enter__(self) -> Self:
        folder = self._in_memory() or self._on_disk()
        self._path = folder
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.path.parent != self._layout.failed:
            # What cannot be removed now is swept when this process has ended.
            with suppress(OSError):
                remove_tree(os.fsencode(self.path), self._effect)
        if self._memory is not None:
            with suppress(OSError):
                self._memory.rmdir()

    def _in_memory(self) -> Path | None:
        if self._memory is None:
            return None
        try:
            folder = self._lease.place(self._memory)
            folder.mkdir(mode=0o700)
        except OSError:
            # Another process may have removed the empty folder that it lies in.
            self._memory = None
            return None
        return folder

    def _on_disk(self) -> Path:
        try:
            folder = self._lease.place(self._layout.scratch)
            self._effect("make scratch")
            folder.mkdir(mode=0o700)
        except OSError as error:
            raise storage_error(self._layout.root, error) from error
        return folder

    def _keep(self) -> Path:
        number = 1
        while True:
            kept = self._layout.failed / f"{self._name}-{number}"
            try:
                self._effect("make folder")
                kept.mkdir()
                break
            except FileExistsError:
                number += 1
        try:
            # Renaming replaces the empty folder that was just claimed.
            self._effect("rename folder")
            self._path = self.path.rename(kept)
        except OSError as error:
            if error.errno != EXDEV:
                raise
            shutil.copytree(self.path, kept, symlinks=True, dirs_exist_ok=True)
            remove_tree(os.fsencode(self.path), self._effect)
            self._path = kept
        return kept
