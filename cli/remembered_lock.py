"""Locks that were made before, found again while nothing they rest on has changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from fromager.derivations import Grounds, Memo, format_lock, parse_lock, plan_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.cli.realiser import Means
    from fromager.derivations import Event, HostBase, Lock, LockedRequest


@dataclass
class RememberedLock:
    """What one interpreter's lock came to.

    A lock that was made with a remark is made again, so that the remark is.
    """

    means: Means
    said: LockedRequest
    """What the lock says of its request."""
    before: Lock | None
    """What is kept where it fits."""
    given_up: frozenset[str]
    """Projects for which it is not."""
    grounds: Grounds | None = field(default=None, init=False)
    """What the lock rests on, once it was recalled or remembered."""
    _remarks: bool = field(default=False, init=False)

    def recall(self) -> Lock | None:
        """The lock, if making it would give the same and have nothing to tell."""
        means = self.means
        base = means.wiring.known_base(means.store, means.interpreter)
        if base is None or not self._may_hold:
            return None
        value = self._memo.recall_value(self._key(base), self._day)
        if not isinstance(value, str):
            return None
        from fromager.derivations import InvalidLock

        try:
            lock = parse_lock(value)
        except InvalidLock:
            return None
        self.grounds = self._memo.grounds(self._key(base))
        return lock

    def hear(self, event: Event) -> None:
        """Take note of what happens while the lock is made."""
        from fromager.derivations import Noted

        self._remarks = self._remarks or isinstance(event, Noted)

    def remember(self, lock: Lock, pages: Mapping[str, str]) -> None:
        """Keep a lock that was made, with the stamps of the pages that were read."""
        means, custom = self.means, self.means.customisation
        if self._remarks or custom.may_change or not self._may_hold:
            return
        base = means.wiring.base(means.store, means.interpreter, thorough=False)
        watched = custom.watched() | means.wiring.rust.watched
        day = self._day if custom.depends_on_the_day else ""
        grounds = Grounds(pages, watched, day, exact=True)
        self._memo.remember_value(self._key(base), format_lock(lock), grounds)
        self.grounds = grounds

    @property
    def _may_hold(self) -> bool:
        return self.means.request.is_fixed and not self.means.wiring.console.verbose

    @property
    def _day(self) -> str:
        return str(self.means.request.cutoffs.today or "")

    @cached_property
    def _memo(self) -> Memo:
        return Memo(self.means.store, self.means.client)

    def _key(self, base: HostBase) -> str:
        means = self.means
        before = "" if self.before is None else format_lock(self.before)
        more = ("lock", repr(self.said), before, *sorted(self.given_up))
        return plan_key(
            means.request, means.wiring.basis(base, means.customisation), more
        )
