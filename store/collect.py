"""Collecting garbage: what no root keeps alive is made invalid, and then deleted.

A collection may be killed at any time. Rows go first, in one durable transaction for
each chunk: from then on the objects are not valid. Then they are moved out of the way,
so that others may add them again, and deleted at leisure; at last goes what they leave
in the pool. A mark says that a collection is under way. If it was cut off, the mark is
still there, and the next collection looks at the whole store for what is left over.

Others work at the same time. Each chunk is looked at again right before it goes, while
nobody can come to rely on objects (`leases` says why that is enough) or make any valid:
whether a process relies on it, a new root holds it, or a new object refers to it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from fromager.store.discard import Discard
from fromager.store.durability import held_in, storage_error
from fromager.store.garbage import Order, expired, order, recent
from fromager.store.generations import Generations
from fromager.store.leftovers import Leftovers
from fromager.store.links import Links
from fromager.store.liveness import reach, spread
from fromager.store.locks import exclusive, removed_after
from fromager.store.opening import reserve_space
from fromager.store.pool import (
    NOTHING,
    Amount,
    Ledger,
    Pool,
    blob_names,
    pinned_for_all,
)
from fromager.store.roots import forget_links
from fromager.store.survey import find_roots, take_census
from fromager.store.sweeping import find_abandoned, find_litter, remove_litter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fromager.store.database import Database
    from fromager.store.garbage import Policy
    from fromager.store.generations import Generation
    from fromager.store.layout import StoreLayout
    from fromager.store.leases import Lease
    from fromager.store.locks import Caller
    from fromager.store.survey import Census, Roots
    from fromager.store.sweeping import Litter
    from fromager.store.writer import Registry, Writer

CHUNK: Final = 1000
"""Objects that are made invalid at once, while others wait."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection did, or would do."""

    objects: int = 0
    freed: Amount = NOTHING
    """Blobs that went, and the bytes of the disk that they took."""
    generations: tuple[tuple[str, int], ...] = ()
    """Names and numbers of generations that went."""
    links: int = 0
    """Links that were listed and are gone."""
    litter: tuple[tuple[str, Amount], ...] = ()
    """What else went, by kind."""
    postponed: int = 0
    """Blobs, of those that went, that wait for transactions of others to end."""
    short: int = 0
    """Bytes more that would have to go for the size or the space that was wanted."""


@dataclass(frozen=True)
class Plan:
    """What is to go, as it was decided at one time."""

    census: Census
    alive: bytearray
    """By node; a node that turns out to be needed becomes alive later."""
    order: Order
    expired: tuple[Generation, ...]
    roots: Roots
    goal: int | None = None
    """How many bytes are to go; None for all that can."""


class _RootsChanged(Exception):
    """Roots hold something that the plan does not know of."""

    def __init__(self, roots: Roots) -> None:
        super().__init__()
        self.roots = roots


class Collector:
    """Collects the garbage of a store."""

    def __init__(
        self,
        layout: StoreLayout,
        database: Database,
        writer: Writer,
        lease: Lease,
        clock: Callable[[], float],
        effect: Callable[[str], None],
        caller: Caller,
        require_writable: Callable[[], None],
    ) -> None:
        self._layout, self._database, self._writer = layout, database, writer
        self._lease, self._clock, self._effect = lease, clock, effect
        self._caller, self._require_writable = caller, require_writable
        self._pool = Pool(layout, effect)
        self._generations = Generations(layout, effect)
        self._links = Links(layout)

    def preview(self, policy: Policy) -> Collected:
        """What `collect` would do now; nothing is changed.

        Raises:
            InvalidRecord: a root that cannot be read: what it keeps is not known.
        """
        roots = find_roots(self._layout, self._generations, self._links)
        plan = self._plan(policy, NOTHING, roots)
        doomed = list(plan.order.nodes)
        freed = gone = self.weigh(plan.census, doomed)
        names = {plan.census.graph.names[node] for node in doomed}
        litter = [*find_abandoned(self._layout), *self._litter(policy, names)]
        kinds = _by_kind(litter)
        if policy.thorough or self._cut_off:
            left = self._leftovers().find()
            freed += self._size_of(left.blobs)
            kinds = _with(kinds, "leftover", Amount(left.count))
        if not policy.keep_records:
            kinds = _with(kinds, "record", Amount(self._claims_without(names)))
        return Collected(
            len(doomed),
            freed,
            tuple((each.root, each.number) for each in plan.expired),
            len(plan.roots.broken),
            kinds,
            short=_short(policy, plan, gone, NOTHING),
        )

    def weigh(self, census: Census, objects: Iterable[int]) -> Amount:
        """What would go from the pool with these objects."""
        ledger = self._ledger()
        return sum((self._weigh(census, ledger, node) for node in objects), NOTHING)

    def collect(self, policy: Policy, waiting: Callable[[str], None]) -> Collected:
        """Delete what the policy does not keep; `waiting` is told who else collects.

        Raises:
            InvalidRecord: a root that cannot be read; nothing was deleted.
            StoreUnavailable: something cannot be deleted; the store stays valid.
        """
        self._require_writable()
        holder = self._caller.describe(self._clock())
        lock = removed_after(self._layout.locks / "gc", holder, waiting, self._effect)
        with held_in(self._layout.root, lock):
            try:
                return self._collect(policy)
            except OSError as error:
                raise storage_error(self._layout.root, error) from error

    def _collect(self, policy: Policy) -> Collected:
        self._effect("watch links")
        self._links.watch()
        # A root that cannot be read is found before anything is changed.
        roots = find_roots(self._layout, self._generations, self._links)
        self._effect("give up reserve")
        self._layout.reserve.unlink(missing_ok=True)
        abandoned = list(find_abandoned(self._layout))
        # Taking a lease sweeps what dead processes left, and marks that there was some.
        self._lease.note(())
        thorough = self._begin() or policy.thorough
        discard = Discard(self._layout, self._lease, self._pool, self._effect)
        try:
            done = self._delete(policy, discard, roots)
            litter = abandoned + self._removed(self._litter(policy, frozenset()))
            kinds = _by_kind(litter)
            if not policy.keep_records:
                kinds = _with(kinds, "record", Amount(self._forget_claims()))
            freed = done.freed
            if thorough:
                left, more = self._clear_leftovers(discard)
                freed += more
                kinds = _with(kinds, "leftover", Amount(left))
        finally:
            discard.close()
        postponed = self._pool.settle()
        reserve_space(self._layout, self._effect)
        self._effect("end collection")
        self._layout.collecting.unlink(missing_ok=True)
        return replace(done, freed=freed, litter=kinds, postponed=postponed)

    def _plan(self, policy: Policy, freed: Amount, roots: Roots) -> Plan:
        now = int(self._clock())
        gone = expired(roots.generations, policy, now)
        census = take_census(self._database, policy)
        graph = census.graph
        held = census.nodes_of(roots.held(gone))
        if policy.keep_recent is not None:
            held += recent(graph, now - policy.keep_recent)
        alive = reach(graph, held)
        plan = Plan(census, alive, order(graph, alive), gone, roots)
        if not policy.limited:
            return plan
        size = self._pool.size() if policy.max_size is not None else 0
        disk = os.statvfs(self._layout.root)
        goal = policy.goal(size, disk.f_bavail * disk.f_frsize)
        if goal is None:
            return plan
        if policy.max_freed is not None:
            goal = min(goal, max(0, policy.max_freed - freed.bytes))
        ledger = self._ledger()
        some = plan.order.until(goal, lambda n: self._weigh(census, ledger, n).bytes)
        return Plan(census, alive, some, gone, roots, goal)

    def _delete(self, policy: Policy, discard: Discard, roots: Roots) -> Collected:
        """Delete generations and objects, planned anew whenever a root was made."""
        total = Collected()
        while True:
            before = total.freed
            plan = self._plan(policy, before, roots)
            total = self._drop_roots(plan, total)
            try:
                for chunk in plan.order.chunks(CHUNK):
                    count = self._condemn(plan, chunk, discard)
                    freed = total.freed + discard.empty()
                    total = replace(total, objects=total.objects + count, freed=freed)
                return replace(total, short=_short(policy, plan, total.freed, before))
            except _RootsChanged as changed:
                roots = changed.roots

    def _drop_roots(self, plan: Plan, total: Collected) -> Collected:
        gone = list(total.generations)
        for each in plan.expired:
            numbers = self._generations.expire(each.root, [each.number])
            gone += ((each.root, number) for number in numbers)
        links = forget_links(self._layout, plan.roots.broken, self._effect)
        return replace(total, generations=tuple(gone), links=total.links + links)

    def _condemn(self, plan: Plan, chunk: Sequence[int], discard: Discard) -> int:
        """Make those objects of a chunk invalid that still are of no use; how many."""
        with (
            exclusive(self._layout.locks / "collect"),
            self._writer.held() as registry,
        ):
            names = self._still_dead(plan, chunk, registry)
            digests = registry.digests(names)
            self._effect("forget objects")
            registry.forget(list(digests))
            discard.take(digests)
        return len(digests)

    def _still_dead(
        self, plan: Plan, chunk: Sequence[int], registry: Registry
    ) -> list[str]:
        graph, objects, alive = plan.census.graph, plan.census.objects, plan.alive
        roots = find_roots(self._layout, self._generations, self._links)
        if roots.has_more_than(plan.roots):
            raise _RootsChanged(roots)
        noted = (str(path) for paths in roots.processes.values() for path in paths)
        spread(graph, alive, [objects[path] for path in noted if path in objects])
        while True:
            names = [graph.names[node] for node in chunk if not alive[node]]
            here = set(names)
            held = {
                reference
                for referrer, reference in registry.referrers(names)
                if referrer not in here
            }
            if not held:
                return names
            spread(graph, alive, [objects[path] for path in held])

    def _begin(self) -> bool:
        """Mark that garbage is collected; whether something was left before."""
        before = self._cut_off
        self._effect("begin collection")
        with suppress(FileNotFoundError):
            # What is marked from now on is for the next collection.
            self._layout.leftovers.replace(self._layout.collecting)
        self._effect("mark collection")
        self._layout.collecting.touch()
        return before

    @property
    def _cut_off(self) -> bool:
        marks = (self._layout.leftovers, self._layout.collecting)
        return any(mark.exists() for mark in marks)

    def _clear_leftovers(self, discard: Discard) -> tuple[int, Amount]:
        leftovers = self._leftovers()
        with (
            exclusive(self._layout.locks / "collect"),
            self._writer.held(),
        ):
            count = leftovers.take_objects(discard)
        freed = discard.empty()
        count += leftovers.remove_claims() + leftovers.remove_pins()
        return count, freed + self._pool.release(leftovers.orphans())

    def _forget_claims(self) -> int:
        with self._writer.held() as registry:
            self._effect("forget claims")
            rows = registry.forget_claims()
            for key, record in rows:
                digits = key.removeprefix("blake3:")
                folder = self._layout.private / "realisations" / digits[:2] / digits
                self._effect("delete claim")
                (folder / f"{record}.json").unlink(missing_ok=True)
                with suppress(OSError):
                    folder.rmdir()
        return len(rows)

    def _claims_without(self, doomed: set[str]) -> int:
        query = "SELECT output, output IN (SELECT path FROM objects) FROM realisations"
        with self._database.snapshot() as run:
            return sum(not valid or path in doomed for path, valid in run(query))

    def _litter(
        self, policy: Policy, doomed: set[str] | frozenset[str]
    ) -> list[Litter]:
        query = "SELECT key, output FROM realisations JOIN objects ON path = output"
        with self._database.snapshot() as run:
            known = {
                key.removeprefix("blake3:")
                for key, output in run(query)
                if output not in doomed
            }
        now = int(self._clock())
        return list(find_litter(self._layout, known, now - policy.failed_after, now))

    def _removed(self, litter: Iterable[Litter]) -> list[Litter]:
        return [each for each in litter if remove_litter(each, self._effect)]

    def _ledger(self) -> Ledger:
        pinned = pinned_for_all(self._pool.pins())
        return Ledger(lambda name: None if name in pinned else self._pool.links(name))

    def _weigh(self, census: Census, ledger: Ledger, node: int) -> Amount:
        """What goes from the pool with one more object."""
        blob = census.blobs.get(node)
        if blob is not None:
            return ledger.remove([blob])
        name = census.graph.names[node]
        try:
            record = (self._layout.records / f"{name}.json").read_bytes()
        except FileNotFoundError:
            return NOTHING
        return ledger.remove(blob_names(record))

    def _size_of(self, blobs: Iterable[bytes]) -> Amount:
        found = [self._pool.links(name) for name in blobs]
        sizes = [each[1] for each in found if each is not None]
        return Amount(len(sizes), sum(sizes))

    def _leftovers(self) -> Leftovers:
        return Leftovers(self._layout, self._database, self._pool, self._effect)


def _short(policy: Policy, plan: Plan, freed: Amount, before: Amount) -> int:
    """What is missing of a goal, where it was not only a limit on what may go."""
    if plan.goal is None or policy.max_freed is not None:
        return 0
    return max(0, plan.goal - (freed.bytes - before.bytes))


def _by_kind(litter: Iterable[Litter]) -> tuple[tuple[str, Amount], ...]:
    found: dict[str, Amount] = {}
    for each in litter:
        found[each.kind] = found.get(each.kind, NOTHING) + Amount(1, each.bytes)
    return tuple(sorted(found.items()))


def _with(
    kinds: tuple[tuple[str, Amount], ...], kind: str, amount: Amount
) -> tuple[tuple[str, Amount], ...]:
    return tuple(sorted((*kinds, (kind, amount)))) if amount.count else kinds
