"""What belongs to a living process: its folders, and the objects that it relies on.

A process that writes holds one locked file in `leases/` as long as it lives. Its
folders in `staging/` and `scratch/` bear the name of that file: `<lease>.<number>`.
A folder whose lease is not held was left by a process that died.

The first line of the file says who holds it; each further line is the path of an
object that its process found or made, and will use. Such objects are not collected.
Why none can go between being found and being used:

- Who finds an object looks at its row and writes the line while it shares the lock
  `collect`. Who makes one writes the line before the commit, under the writer's lock.
- Who deletes objects holds `collect` and the writer's lock alone, from before it
  reads the lines until the rows are gone. So each line is either read before, or
  written after the row was seen to be gone: then nothing was found.
- The kernel gives up the lock of a process that dies, however it does. Its lines
  then mean nothing, and a line that is cut off was not relied on yet.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from fromager.store.effects import no_effect
from fromager.store.errors import InvalidName
from fromager.store.locks import Caller, acquire, is_held, write_holder
from fromager.store.memory import memory_scratch
from fromager.store.path import StorePath
from fromager.store.removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from fromager.store.layout import StoreLayout


class Lease:
    """This process's claim to its folders and objects; taken with the first one."""

    def __init__(
        self,
        layout: StoreLayout,
        clock: Callable[[], float],
        caller: Caller,
        effect: Callable[[str], None] = no_effect,
    ) -> None:
        self._layout, self._clock, self._caller = layout, clock, caller
        self._effect = effect
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._name = ""
        self._count = 0
        self._end = 0
        self._noted: set[StorePath] = set()

    @property
    def noted(self) -> frozenset[StorePath]:
        """The objects that this process relies on."""
        with self._lock:
            return frozenset(self._noted)

    def place(self, parent: Path) -> Path:
        """A new path in `staging/` or `scratch/`, for nobody else; nothing is there."""
        with self._lock:
            self._take()
            self._count += 1
            return parent / f"{self._name}.{self._count}"

    def owns(self, name: str) -> bool:
        """Whether a folder in `staging/` or `scratch/` is this process's."""
        return self._descriptor is not None and name.startswith(f"{self._name}.")

    def unknown(self, paths: Iterable[StorePath]) -> list[StorePath]:
        """Those of the paths that are not noted yet."""
        with self._lock:
            return [path for path in paths if path not in self._noted]

    def note(self, paths: Iterable[StorePath]) -> None:
        """Keep these objects from being collected; see above for the locks to hold."""
        with self._lock:
            self._take()
            new = [path for path in paths if path not in self._noted]
            assert self._descriptor is not None
            if not new:
                return
            lines = "".join(f"{path}\n" for path in new).encode()
            written = 0
            while written < len(lines):
                at = self._end + written
                written += os.pwrite(self._descriptor, lines[written:], at)
            self._end += written
            self._noted.update(new)

    def close(self) -> None:
        """Give the lease up; its folders must be gone."""
        with self._lock:
            if self._descriptor is None:
                return
            # What cannot be removed now, the next process sweeps.
            with suppress(OSError):
                self._effect("remove lease")
                (self._layout.leases / self._name).unlink()
            os.close(self._descriptor)
            self._descriptor = None
            self._noted.clear()

    def _take(self) -> None:
        if self._descriptor is not None:
            return
        sweep(self._layout, self._effect)
        self._name = os.urandom(8).hex()
        self._descriptor = acquire(
            self._layout.leases / self._name, effect=self._effect
        )
        assert self._descriptor is not None
        holder = f"{self._caller.describe(self._clock())}\n"
        write_holder(self._descriptor, holder)
        self._end = len(holder.encode())


def reliances(layout: StoreLayout) -> dict[str, frozenset[StorePath]]:
    """What living processes rely on, by who they are; nothing is changed."""
    found: dict[str, frozenset[StorePath]] = {}
    for place in sorted(layout.leases.iterdir()):
        try:
            if not is_held(place):
                continue
            holder, *lines = place.read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            continue
        # What follows the last line feed is not written to its end.
        paths = frozenset(_paths(lines[:-1]))
        found[holder] = paths | found.get(holder, frozenset())
    return found


def _paths(lines: list[str]) -> Iterator[StorePath]:
    for line in lines:
        with suppress(InvalidName):
            yield StorePath.parse(line)


def folders(layout: StoreLayout) -> Iterator[Path]:
    """All folders of processes, living or dead."""
    for parent in (layout.staging, layout.scratch, memory_scratch(layout)):
        # One in memory is removed by whoever leaves it empty.
        with suppress(FileNotFoundError):
            yield from parent.iterdir()


def sweep(layout: StoreLayout, effect: Callable[[str], None] = no_effect) -> None:
    """Remove what dead processes left in `staging/`, `scratch/` and `leases/`.

    They may have left more in other places: that is marked, for the next collection.
    """
    left = list(folders(layout))
    leases = {place.stem for place in left}
    leases.update(place.name for place in layout.leases.iterdir())
    if not leases:
        return
    lock = acquire(layout.locks / "sweep", blocking=False, effect=effect)
    if lock is None:  # another process is at it
        return
    try:
        for lease in leases:
            with _buried(layout.leases / lease, effect) as dead:
                if dead:
                    effect("mark leftovers")
                    layout.leftovers.touch()
                    for place in left:
                        if place.stem == lease:
                            # What cannot be removed is no reason to stop working.
                            with suppress(OSError):
                                remove_tree(place, effect)
    finally:
        os.close(lock)


@contextmanager
def _buried(lease: Path, effect: Callable[[str], None]) -> Iterator[bool]:
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
        effect("remove lease")
        lease.unlink()
    finally:
        os.close(descriptor)
