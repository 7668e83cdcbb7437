"""Whether a store announces each thing that it does to the disk.

What is written by Python code is heard of by an audit hook (PEP 578). Each file made,
renamed, linked or removed must follow a call of the store's `effect`, one for each.
Changes of modes and times belong to the effect before.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CHANGES: Final = {
    "os.rename": 2,
    "os.link": 2,
    "os.mkdir": 1,
    "os.remove": 1,
    "os.rmdir": 1,
    "os.symlink": 2,
    "os.truncate": 1,
}
"""Events that change folders or files, and how many paths come first in each."""
_WRITES: Final = os.O_CREAT | os.O_TRUNC


@dataclass
class EffectWatch:
    """Counts what was announced against what happens below a folder."""

    top: str | None = None
    free: tuple[str, ...] = ()
    announced: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    unannounced: list[str] = field(default_factory=list)

    def effect(self, name: str) -> None:
        """What the store calls."""
        self.names.append(name)
        # Whatever was announced before has happened, or was not needed.
        self.announced = [name]

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """The audit hook; such a hook cannot be taken away, so it is turned off."""
        if self.top is None:
            return
        if event in _CHANGES:
            paths = arguments[: _CHANGES[event]]
        elif event == "open" and self._makes_file(*arguments):
            paths = arguments[:1]
        else:
            return
        found = [self._below(path) for path in paths]
        if not any(found):
            return
        if self.announced:
            self.announced.pop()
        else:
            self.unannounced.append(f"{event} {[path for path in found if path]}")

    def _makes_file(self, path: object, mode: object, flags: object) -> bool:
        return (
            isinstance(path, str | bytes | os.PathLike)
            and isinstance(flags, int)
            and bool(flags & _WRITES)
            # A lock that is there already is opened, and nothing is changed.
            and not (os.path.exists(path) and not flags & os.O_TRUNC)
        )

    def _below(self, path: object) -> str | None:
        if self.top is None or not isinstance(path, str | bytes | os.PathLike):
            return None
        text = os.path.abspath(os.fsdecode(path))
        if not text.startswith(f"{self.top}/") and text != self.top:
            return None
        name = text[len(self.top) + 1 :]
        return None if name.startswith(self.free) else name or "."


WATCH: Final = EffectWatch()
sys.addaudithook(WATCH)


@contextmanager
def watched(top: Path, *free: str) -> Iterator[EffectWatch]:
    """Hear of all that happens below a folder, but for what begins with `free`."""
    WATCH.announced, WATCH.names, WATCH.unannounced = [], [], []
    WATCH.top, WATCH.free = str(top), free
    try:
        yield WATCH
    finally:
        WATCH.top = None
