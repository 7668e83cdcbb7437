"""What keeps objects: roots, use, and who collects the rest."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Final

from fromager.store.claims import Claims
from fromager.store.durability import storage_error
from fromager.store.errors import ObjectMissing
from fromager.store.locks import shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from fromager.store.accounts import Accounts
    from fromager.store.api import ObjectInfo
    from fromager.store.collect import Collector
    from fromager.store.generations import Generation, Generations, Member
    from fromager.store.leases import Lease
    from fromager.store.locks import Caller
    from fromager.store.path import StorePath
    from fromager.store.writer import Writer

USE_GRAIN: Final = 3600
"""Seconds within which it makes no difference when an object was last used."""


class Keeping(Claims):
    """The part of a store that says what stays, and takes away what does not."""

    _writable: bool
    _writer: Writer
    _lease: Lease
    _clock: Callable[[], float]
    _effect: Callable[[str], None]
    _caller: Caller

    @abstractmethod
    def info(self, path: StorePath) -> ObjectInfo | None:
        """What is known of a valid object; None if it is not valid here."""

    @abstractmethod
    def _require_writable(self) -> None:
        """Refuse what would change a store that may only be read."""

    def touch(self, paths: Iterable[StorePath]) -> None:
        """Note that these objects are in use now; as weak as `remember`.

        What was used less than an hour ago is not written again.
        """
        if self._writable:
            before = int(self._clock()) - USE_GRAIN
            if stale := self._database.unused_since(before, paths):
                self._writer.touch(stale)

    def rely_on(self, paths: Iterable[StorePath]) -> frozenset[StorePath]:
        """Those of these objects that are valid: they stay until this is closed."""
        wanted = list(paths)
        new = self._lease.unknown(wanted)
        if new and self._writable:
            try:
                with shared(self._layout.locks / "collect", self._effect):
                    found = [path for path in new if self.info(path)]
                    self._lease.note(found)
            except OSError as error:
                raise storage_error(self._layout.root, error) from error
        else:
            # If there are any it is another user's: who collects there cannot be told.
            found = [path for path in new if self.info(path)]
        return frozenset(wanted).difference(new).union(found)

    def link_root(self, link: Path, target: Path) -> None:
        """Make or replace a user's link to an object or into it; see `link_root`.

        Raises:
            ObjectMissing: the target does not lie in a valid object.
            LinkRefused: the link cannot be made.
        """
        from fromager.store.links import object_at
        from fromager.store.roots import link_root

        path = object_at(self._layout, target)
        self._require_valid([path])
        now = int(self._clock())
        link_root(self._layout, link, target, path, now, self._effect)

    def add_generation(self, root: str, members: Iterable[Member]) -> Generation:
        """Make the next generation of a named root; see `Generations.add`.

        Raises:
            ObjectMissing: a member is not valid.
            InvalidName: no such name can be.
        """
        held = tuple(members)
        self._require_valid([member.path for member in held])
        return self.generations().add(root, held, int(self._clock()))

    def generations(self) -> Generations:
        """The named roots."""
        from fromager.store.generations import Generations

        return Generations(self._layout, self._effect, self._require_writable)

    def collector(self) -> Collector:
        """What collects garbage."""
        from fromager.store.collect import Collector

        parts = (self._layout, self._database, self._writer, self._lease)
        return Collector(
            *parts, self._clock, self._effect, self._caller, self._require_writable
        )

    def accounts(self) -> Accounts:
        """What tells of roots what they cost and keep alive."""
        from fromager.store.accounts import Accounts

        return Accounts(self._layout, self._database, self.collector().weigh)

    def _require_valid(self, paths: list[StorePath]) -> None:
        self._require_writable()
        for path in set(paths) - self.rely_on(paths):
            raise ObjectMissing(str(path))
