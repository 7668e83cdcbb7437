"""Folders that belong to a living process, and the sweeping of those that do not.

A process that writes holds one locked file in `leases/` as long as it lives. Its
folders in `staging/` and `scratch/` bear the name of that file: `<lease>.<number>`.
A folder whose lease is not held was left by a process that died.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from fromager.store.locks import Caller, acquire, write_holder
from fromager.store.memory import memory_scratch
from fromager.store.removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fromager.store.layout import StoreLayout


class Lease:
    """This process's claim to its folders; taken when the first one is made."""

    def __init__(
        self, layout: StoreLayout, clock: Callable[[], float], caller: Caller
    ) -> None:
        self._layout, self._clock, self._caller = layout, clock, caller
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._name = ""
        self._count = 0

    def place(self, parent: Path) -> Path:
        """A new path in `staging/` or `scratch/`, for nobody else; nothing is there."""
        with self._lock:
            if self._descriptor is None:
                self._take()
            self._count += 1
            return parent / f"{self._name}.{self._count}"

    def close(self) -> None:
        """Give the lease up; its folders must be gone."""
        with self._lock:
            if self._descriptor is None:
                return
            with suppress(FileNotFoundError):
                (self._layout.leases / self._name).unlink()
            os.close(self._descriptor)
            self._descriptor = None

    def _take(self) -> None:
        sweep(self._layout)
        self._name = os.urandom(8).hex()
        self._descriptor = acquire(self._layout.leases / self._name)
        assert self._descriptor is not None
        write_holder(self._descriptor, self._caller.describe(self._clock()))


def sweep(layout: StoreLayout) -> None:
    """Remove what dead processes left in `staging/`, `scratch/` and `leases/`."""
    parents = (layout.staging, layout.scratch, memory_scratch(layout))
    left = [p for parent in parents if parent.is_dir() for p in parent.iterdir()]
    leases = {place.stem for place in left}
    leases.update(place.name for place in layout.leases.iterdir())
    if not leases:
        return
    lock = acquire(layout.locks / "sweep", blocking=False)
    if lock is None:  # another process is at it
        return
    try:
        for lease in leases:
            with _buried(layout.leases / lease) as dead:
                if dead:
                    for place in left:
                        if place.stem == lease:
                            remove_tree(place)
    finally:
        os.close(lock)


@contextmanager
def _buried(lease: Path) -> Iterator[bool]:
    """Whether a lease is a dead process's; if so its file is removed at the end."""
    # The file is made and locked before any folder, and removed after the last one.
    try:
        descriptor = acquire(lease, blocking=False, create=False)
    except FileNotFoundError:
        yield True
        return
    if descriptor is None:
        yield False
        return
    try:
        yield True
        # Held until it is gone: its process may be about to lock what it just made.
        lease.unlink()
    finally:
        os.close(descriptor)
