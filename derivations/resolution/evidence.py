"""What a failed search leaves: the facts of its proof, and what they come to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from fromager.derivations.resolution.facts import Constrained, Fact, Given, Needed
from fromager.derivations.resolution.refusal import Refusal, RefusalKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from packaging.version import Version

    from fromager.derivations.resolution.demand import Demand
    from fromager.derivations.resolution.search import Search
    from fromager.derivations.resolution.solver import Nogood


@dataclass(frozen=True)
class Deadlock:
    """Requirements for one project that no version fits, or none that can be used."""

    name: str
    demands: tuple[Demand, ...]
    refusals: tuple[Refusal, ...]
    """The versions that would fit, and why they cannot be used; newest first."""


class Evidence:
    """The facts that prove that a request has no answer, in telling order."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self.facts = _in_order(_facts(search.solver.proof))

    @cached_property
    def demands(self) -> dict[str, list[Demand]]:
        """What is required of each project, without repetition."""
        found: dict[str, dict[str, Demand]] = {}
        for fact in self.facts:
            if isinstance(fact, (Given, Constrained, Needed)):
                demand = fact.demand
                found.setdefault(demand.name, {}).setdefault(demand.text, demand)
        return {name: list(by_text.values()) for name, by_text in found.items()}

    @cached_property
    def _owners(self) -> dict[str, set[str]]:
        """Who requires something of each project; the request has no name."""
        found: dict[str, set[str]] = {}
        for fact in self.facts:
            if isinstance(fact, Needed):
                found.setdefault(fact.demand.name, set()).add(fact.name)
            elif isinstance(fact, (Given, Constrained)):
                found.setdefault(fact.demand.name, set()).add("")
        return found

    @cached_property
    def unknown(self) -> list[str]:
        """The projects that no index has."""
        return [name for name in self.demands if self.search.known(name) is None]

    @cached_property
    def deadlocks(self) -> list[Deadlock]:
        """Where no version is left: for one requirement, or else for all together."""
        found: list[Deadlock] = []
        among_alternatives: list[Deadlock] = []
        for name, demands in self.demands.items():
            if self.search.known(name) is None:
                continue
            own = [
                demand for demand in demands if not self.search.choices(name, [demand])
            ]
            if own:
                found += [self._deadlock(name, [demand]) for demand in own]
            elif not self.search.choices(name, demands):
                # What versions of one project require is never required together.
                is_joint = len(self._owners[name]) > 1
                place = found if is_joint else among_alternatives
                place.append(self._deadlock(name, demands))
        return found or among_alternatives

    @cached_property
    def newer(self) -> dict[str, tuple[Refusal, ...]]:
        """Refused versions newer than all that were tried, of the other projects."""
        found = {}
        stuck = {deadlock.name for deadlock in self.deadlocks}
        for name, demands in self.demands.items():
            if name not in stuck and name not in self.unknown:
                left = self.versions(name, self.search.choices(name, demands))
                if not left:
                    continue
                newest = max(left)
                found[name] = tuple(
                    refusal
                    for refusal in self._refusals(name, demands)
                    if refusal.version > newest
                )
        return found

    def versions(self, name: str, chosen: int) -> list[Version]:
        """A set of a project's versions as a list, newest first."""
        catalogue = self.search.known(name)
        return [] if catalogue is None else catalogue.versions(chosen)

    def quarantined(self, name: str) -> str | None:
        """Why its index holds a project back; None if it does not."""
        catalogue = self.search.known(name)
        return None if catalogue is None else catalogue.project.quarantined

    def index(self, name: str) -> str | None:
        """The index that has a project, if others come after that one."""
        catalogue = self.search.known(name)
        return None if catalogue is None else catalogue.project.index

    def existing(self, name: str) -> list[Version]:
        """All versions of a project, usable or not, newest first."""
        catalogue = self.search.known(name)
        if catalogue is None:
            return []
        refused = (refusal.version for refusal in catalogue.refusals)
        return sorted([*catalogue.versions(catalogue.everything), *refused])[::-1]

    def narrows(self, demand: Demand) -> bool:
        """Whether there are versions that could be used if this were not demanded."""
        catalogue = self.search.known(demand.name)
        if catalogue is None or not demand.text:
            return False
        return bool(catalogue.everything & ~catalogue.fitting(demand))

    def _deadlock(self, name: str, demands: Sequence[Demand]) -> Deadlock:
        limits = self.search.given(name)
        together = {demand.text: demand for demand in (*demands, *limits)}
        refusals = self._refusals(name, list(together.values()))
        return Deadlock(name, tuple(together.values()), refusals)

    def _refusals(self, name: str, demands: Sequence[Demand]) -> tuple[Refusal, ...]:
        catalogue = self.search.known(name)
        assert catalogue is not None
        found = [
            refusal
            for refusal in catalogue.refusals
            if all(
                demand.specifier.contains(refusal.version, prereleases=True)
                for demand in demands
            )
        ]
        fitting = catalogue.everything
        for demand in demands:
            fitting &= catalogue.fitting(demand)
        withheld = fitting & ~self.search.choices(name, demands)
        for index, release in enumerate(catalogue.releases):
            if withheld >> index & 1:
                kind, detail = RefusalKind.PRERELEASE, ""
                if release.yanked is not None:
                    kind, detail = RefusalKind.YANKED, release.yanked
                found.append(Refusal(release.version, kind, detail))
        return tuple(sorted(found, key=lambda refusal: refusal.version, reverse=True))


def _facts(proof: Nogood[Fact] | None) -> list[Fact]:
    """The facts that a proof stands on, each once."""
    found: dict[Fact, None] = {}
    seen: set[int] = set()
    pending = [] if proof is None else [proof]
    while pending:
        nogood = pending.pop()
        if id(nogood) not in seen:
            seen.add(id(nogood))
            if isinstance(nogood.source, tuple):
                pending += nogood.source
            else:
                found[nogood.source] = None
    return list(found)


def _in_order(facts: Iterable[Fact]) -> list[Fact]:
    """The request's own, then what follows from each; otherwise by name and version."""
    facts = list(facts)
    depth = {fact.demand.name: 0 for fact in facts if isinstance(fact, Given)}
    needed = [fact for fact in facts if isinstance(fact, Needed)]
    before = -1
    while len(depth) > before:
        before = len(depth)
        for fact in needed:
            if fact.name in depth:
                depth.setdefault(fact.demand.name, depth[fact.name] + 1)

    def order(fact: Fact) -> tuple[int, int, str, int, str]:
        if isinstance(fact, (Given, Constrained)):
            return 0, 0, fact.demand.origin or "", 0, str(fact.demand)
        text = str(fact.demand) if isinstance(fact, Needed) else ""
        return 1, depth.get(fact.name, len(depth)), fact.name, fact.index, text

    return sorted(facts, key=order)
