"""Named roots: each has numbered generations, and one of them is current.

A generation is a small file that never changes once it is there:
`roots/generations/<name>/<number>.json`. The link `current` beside it names the one in
force. Files are the truth; no database is needed to know what they keep alive.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from fromager.store.digest import Digest
from fromager.store.durability import (
    replace_link_durably,
    storage_error,
    sync_each,
    write_durably,
)
from fromager.store.effects import no_effect
from fromager.store.errors import InvalidRecord, RootMissing
from fromager.store.layout import present
from fromager.store.locks import exclusive
from fromager.store.path import StorePath, check_name
from fromager.store.realisation import NOT_A_RECORD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from fromager.store.layout import StoreLayout

RECORD_VERSION: Final = 1
_CURRENT: Final = "current"


@dataclass(frozen=True, slots=True)
class Member:
    """An object that a generation holds."""

    label: str
    """What it is, as people name it."""
    path: StorePath
    key: Digest | None = None
    """The build that it came of, which is kept along with it; None: the newest."""


@dataclass(frozen=True, slots=True)
class Generation:
    """A numbered state of a named root."""

    root: str
    number: int
    created: int
    """Seconds since the epoch, UTC."""
    members: tuple[Member, ...]
    """Sorted by label."""
    current: bool


class Generations:
    """The named roots of a store."""

    def __init__(
        self,
        layout: StoreLayout,
        effect: Callable[[str], None] = no_effect,
        require_writable: Callable[[], None] = lambda: None,
    ) -> None:
        self._layout, self._effect = layout, effect
        self._require_writable = require_writable
        self._read: dict[Path, tuple[tuple[int, int], Generation]] = {}

    def names(self) -> tuple[str, ...]:
        """All named roots that have a generation, sorted."""
        folders = self._layout.generations
        found = (each.name for each in folders.iterdir()) if folders.is_dir() else ()
        return tuple(name for name in sorted(found) if self._numbers(name))

    def of(self, name: str) -> tuple[Generation, ...]:
        """The generations of a root, oldest first.

        Raises:
            RootMissing: there is no such root.
            InvalidRecord: a generation cannot be read.
        """
        current = self._current(name)
        found = [
            replace(generation, current=number == current)
            for number in self._numbers(name)
            if (generation := self._load(name, number)) is not None
        ]
        if not found:
            raise RootMissing(name)
        return tuple(found)

    def all(self) -> tuple[Generation, ...]:
        """The generations of all roots."""
        found: list[Generation] = []
        for name in self.names():
            with suppress(RootMissing):  # removed in between
                found += self.of(name)
        return tuple(found)

    def add(self, name: str, members: Iterable[Member], now: int) -> Generation:
        """Make the next generation, which is then current; on disk when this returns.

        If the current one has the same members, it is the result. The caller keeps
        the objects from being collected until then.
        """
        wanted = tuple(sorted(set(members), key=lambda each: (each.label, each.path)))
        folder = self._folder(name)
        with self._changing():
            numbers = self._numbers(name)
            if numbers:
                (last,) = (each for each in self.of(name) if each.current)
                if last.members == wanted:
                    return last
            number = max(numbers, default=0) + 1
            made = Generation(name, number, now, wanted, current=True)
            self._make(folder)
            write_durably(folder / f"{number}.json", _dump(made), self._effect)
            self._point(name, number)
        return made

    def switch(self, name: str, number: int | None = None) -> Generation:
        """Make a generation current; None means the one before the current one.

        Raises:
            RootMissing: no such root or generation, or there is none before.
        """
        with self._changing():
            found = self.of(name)
            (now,) = (each.number for each in found if each.current)
            if number is None:
                chosen = [each for each in found if each.number < now][-1:]
                missing = f"before generation {now}"
            else:
                chosen = [each for each in found if each.number == number]
                missing = str(number)
            if not chosen:
                raise RootMissing(name, missing)
            self._point(name, chosen[0].number)
        return Generation(
            name, chosen[0].number, chosen[0].created, chosen[0].members, current=True
        )

    def delete(
        self, name: str, numbers: Iterable[int] | None = None
    ) -> tuple[int, ...]:
        """Delete generations, or with None the root; the numbers of those deleted.

        What they kept alive goes with the next collection of garbage. If the current
        one goes, the newest that is left becomes current.

        Raises:
            RootMissing: no such root or generation; nothing was deleted.
        """
        folder = self._folder(name)
        with self._changing():
            there = self._numbers(name)
            if not there:
                raise RootMissing(name)
            wanted = there if numbers is None else sorted(set(numbers))
            for number in wanted:
                if number not in there:
                    raise RootMissing(name, str(number))
            rest = [number for number in there if number not in wanted]
            # The link goes first, so that it never names what is not there.
            if rest and self._current(name) in wanted:
                self._point(name, rest[-1])
            for number in wanted:
                self._effect("delete generation")
                (folder / f"{number}.json").unlink(missing_ok=True)
            if not rest:
                self._effect("delete root")
                (folder / _CURRENT).unlink(missing_ok=True)
                self._effect("delete root")
                with suppress(OSError):
                    folder.rmdir()
        return tuple(wanted)

    def expire(self, name: str, numbers: Iterable[int]) -> tuple[int, ...]:
        """Delete generations, but for what is gone, or current by now."""
        with self._changing():
            there, current = self._numbers(name), self._current(name)
            gone = [each for each in numbers if each in there and each != current]
            for number in gone:
                self._effect("delete generation")
                (self._folder(name) / f"{number}.json").unlink(missing_ok=True)
        return tuple(gone)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock of roots; what the system refuses is the store's error."""
        self._require_writable()
        try:
            with exclusive(self._layout.locks / "roots", self._effect):
                yield
        except OSError as error:
            raise storage_error(self._layout.root, error) from error

    def _make(self, folder: Path) -> None:
        """Make a root's folder, if it is not there; it is on disk in any case."""
        above = (self._layout.generations, self._layout.generations.parent)
        for each in (*reversed(above), folder):
            if not each.is_dir():
                self._effect("make folder")
                each.mkdir(exist_ok=True)
        # One who died may have made it, and not have come to the sync.
        sync_each(os.fsencode(each) for each in above)

    def _folder(self, name: str) -> Path:
        return self._layout.generations / check_name(name)

    def _numbers(self, name: str) -> list[int]:
        files = present(self._folder(name), "*.json")
        return sorted(int(file.stem) for file in files if file.stem.isdecimal())

    def _current(self, name: str) -> int:
        """The current generation; the newest if that is not said."""
        numbers = self._numbers(name)
        with suppress(OSError, ValueError):
            number = int((self._folder(name) / _CURRENT).readlink().stem)
            if number in numbers:
                return number
        return max(numbers, default=0)

    def _load(self, name: str, number: int) -> Generation | None:
        """A generation that is there; what was read and is the same is not read again."""
        path = self._folder(name) / f"{number}.json"
        try:
            status = path.stat()
            stamp = (status.st_ino, status.st_mtime_ns)
            known = self._read.get(path)
            if known is None or known[0] != stamp:
                known = stamp, _parse(name, number, path.read_bytes())
                self._read[path] = known
        except FileNotFoundError:
            return None
        return known[1]

    def _point(self, name: str, number: int) -> None:
        replace_link_durably(
            self._folder(name) / _CURRENT, f"{number}.json", self._effect
        )


def _dump(generation: Generation) -> bytes:
    return json.dumps(
        {
            "version": RECORD_VERSION,
            "created": generation.created,
            "members": [
                {
                    "label": member.label,
                    "path": str(member.path),
                    "key": None if member.key is None else str(member.key),
                }
                for member in generation.members
            ],
        },
        sort_keys=True,
        separators=(",", ":"),
    ).encode("ascii")


def _parse(name: str, number: int, content: bytes) -> Generation:
    try:
        value = json.loads(content)
        if value["version"] != RECORD_VERSION:
            raise InvalidRecord(
                f"generation {number} of {name}",
                f"version {value['version']} is unknown",
            )
        members = tuple(
            Member(
                str(row["label"]),
                StorePath.parse(row["path"]),
                None if row["key"] is None else Digest.parse(row["key"]),
            )
            for row in value["members"]
        )
        return Generation(name, number, int(value["created"]), members, False)
    except NOT_A_RECORD as error:
        raise InvalidRecord(
            f"generation {number} of {name}", f"not a generation: {error}"
        ) from error
