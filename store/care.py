"""Verifying and repairing a store that is open."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fromager.store.audit import withheld
from fromager.store.damage import Repairs
from fromager.store.durability import storage_error
from fromager.store.verify import Scope, Verifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fromager.store.audit import Query
    from fromager.store.damage import Verification
    from fromager.store.layout import StoreLayout
    from fromager.store.path import StorePath
    from fromager.store.publish import Publisher
    from fromager.store.repair import Restorer
    from fromager.store.staging import Staging
    from fromager.store.writer import Writer

EVERYTHING: Final = Scope()
"""All objects, the pool and the claims, however lately they were verified."""


def _silent(number: int, total: int) -> None:
    return


@dataclass(frozen=True, kw_only=True)
class Care:
    """What keeps a store sound; `LocalStore.care` gives it."""

    layout: StoreLayout
    query: Query
    writer: Writer | None
    """None where this user may not write: damage is told, and nothing is withheld."""
    publisher: Callable[[], Publisher]
    staging: Callable[[], Staging]
    clock: Callable[[], float]
    effect: Callable[[str], None]

    def verify(
        self,
        scope: Scope = EVERYTHING,
        *,
        processes: int = 1,
        progress: Callable[[int, int], None] = _silent,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> Verification:
        """Look whether objects are what they were; what is damaged is withheld.

        `progress(number, total)` is called before each object that this process
        looks at.

        Raises:
            ObjectMissing: the scope names a path that the database does not know.
        """
        return Verifier(
            layout=self.layout,
            query=self.query,
            writer=self.writer,
            clock=self.clock,
            monotonic=monotonic,
            effect=self.effect,
            processes=processes,
            progress=progress,
        ).run(scope)

    def repair(
        self,
        paths: Iterable[StorePath] | None = None,
        restorers: Sequence[Restorer] = (),
    ) -> Repairs:
        """Make whole what is withheld, and claims; or verify and repair these objects.

        Raises:
            ObjectMissing: a path that the database does not know.
            StoreFull, StoreUnavailable: this store cannot be written.
        """
        try:
            return self._repair(paths, restorers)
        except OSError as error:
            raise storage_error(self.layout.root, error) from error

    def withheld(self) -> tuple[StorePath, ...]:
        """The objects that were found damaged, sorted."""
        return tuple(withheld(self.query))

    def _repair(
        self, paths: Iterable[StorePath] | None, restorers: Sequence[Restorer]
    ) -> Repairs:
        from fromager.store.claim_repair import repair_claims
        from fromager.store.repair import Repairer

        publisher = self.publisher()
        wanted = None if paths is None else frozenset(paths)
        if wanted is not None:
            self.verify(Scope(wanted))
        repaired = Repairer(
            layout=self.layout,
            publisher=publisher,
            verify=lambda path: self.verify(Scope(frozenset({path}))).damages,
            staging=self.staging,
            effect=self.effect,
            clock=self.clock,
            restorers=restorers,
        ).run([path for path in self.withheld() if wanted is None or path in wanted])
        if wanted is not None or self.writer is None:
            return repaired
        claims = repair_claims(self.layout, self.writer, self.staging, self.effect)
        return Repairs(
            (*repaired.repaired, *claims.repaired),
            (*repaired.irreparable, *claims.irreparable),
        )
