"""The search for a consistent set, in terms of what is known: no I/O, no waiting.

Each project is a variable whose values are its usable versions and "absent"; each
extra of a project that something asks for is one that is active or absent. What is not
known yet is noted, and stood in for by something that needs nothing, so that one search
finds as much of what is missing as it can.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fromager.derivations.resolution.facts import (
    Constrained,
    Fact,
    Given,
    Needed,
    Uncalled,
    Unknown,
    Unusable,
)
from fromager.derivations.resolution.given import constraints_of, roots_of
from fromager.derivations.resolution.solver import Solver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from packaging.version import Version

    from fromager.derivations.resolution.candidate import Knowledge
    from fromager.derivations.resolution.catalogue import Catalogue
    from fromager.derivations.resolution.demand import Demand, TargetEnvironment
    from fromager.derivations.resolution.request import Request

ACTIVE: Final = 1
INACTIVE: Final = 2
"""The two values of an extra's variable."""

_OFTEN: Final = 5
"""Projects with more conflicts than this are decided before others."""
_AT_ONCE: Final = 32
"""Releases that are asked for at once where many did not fit."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A project in the set."""

    name: str
    index: int | None
    """Of its release in the catalogue; None while the project's are not known."""
    extras: tuple[str, ...]
    demands: tuple[Demand, ...]
    """What it needs."""


class Search:
    """One search; `missing_…` then says what it had to do without."""

    def __init__(
        self,
        request: Request,
        knowledge: Knowledge,
        environment: TargetEnvironment,
        *,
        catalogue: Callable[[str], Catalogue | None],
        released: Mapping[str, int],
    ) -> None:
        """`released` are versions that no requirement may withhold, by project.

        Raises:
            InputError: a requirement or a constraint that is not for an index.
        """
        self._knowledge = knowledge
        self._environment = environment
        self._catalogue = catalogue
        self._prereleases = request.prereleases
        self._preferences = request.preferences
        self._released = released
        self._roots = roots_of(request, environment)
        self._given = constraints_of(request, environment)
        self._constraints = {name: tuple(found) for name, found in self._given.items()}
        for demand in self._roots:
            self._given.setdefault(demand.name, []).append(demand)
        self.solver: Solver[Fact] = Solver()
        self._absent: dict[str, int] = {}
        self._extras: dict[str, list[str]] = {}
        self._owners: dict[str, str] = {}
        self._demands: dict[str, dict[str, Demand]] = {}
        self._expanded: dict[tuple[str, int, str | None], tuple[Demand, ...]] = {}
        self.passed_over: set[tuple[str, Version]] = set()
        """Releases that it went on without, as nothing is known of them."""
        self.missing_projects: set[str] = set()
        self.missing_metadata: set[tuple[str, Version]] = set()

    def run(self) -> list[Chosen]:
        """The set that it finds, newest versions first; sorted by name.

        Raises:
            Unsatisfiable: there is none.
        """
        for demand in self._roots:
            self._require({}, demand, Given(demand))
        while True:
            self.solver.propagate()
            if self._expand():
                continue
            undecided = self._next()
            if undecided is not None:
                self.solver.decide(undecided, self._best(undecided))
                continue
            chosen = self._chosen()
            if not self._object(chosen) and not self._look_further():
                return chosen

    def _look_further(self) -> bool:
        """Whether to search on without the releases of which nothing is known.

        Where many versions did not fit, the next will hardly do. As long as something
        is missing there is no answer, so that what else may be missing is found as
        well, and all of it is asked for at once.
        """
        tried = Counter(name for name, _, extra in self._expanded if extra is None)
        tried.subtract(name for name, _ in self.missing_metadata)
        most = max(tried.values(), default=0)
        if most < _OFTEN or len(self.missing_metadata) > min(most, _AT_ONCE):
            return False
        new = self.missing_metadata - self.passed_over
        for name, version in sorted(new):
            catalogue = self.known(name)
            assert catalogue is not None
            bit = catalogue.bit(version)
            self.solver.add_nogood({name: bit}, Unknown(name, bit.bit_length() - 1))
        self.passed_over |= new
        return bool(new)

    def contested(self) -> dict[str, int]:
        """Versions that one requirement withholds, and that with others it would not."""
        found: dict[str, int] = {}
        for name, by_text in self._demands.items():
            catalogue = self.known(name)
            if catalogue is None:
                continue
            demands = by_text.values()
            withheld = 0
            for demand in demands:
                withheld |= catalogue.fitting(demand) & self._withheld(name, demand)
            for bit in bits(withheld):
                fitting = (d for d in demands if catalogue.fitting(d) & bit)
                if not self._withheld(name, *fitting) & bit:
                    found[name] = found.get(name, 0) | bit
        return found

    def choices(self, name: str, demands: Iterable[Demand]) -> int:
        """The versions that requirements leave, one by one, with the constraints."""
        catalogue = self.known(name)
        if catalogue is None:
            return 0
        left = catalogue.everything
        for demand in demands:
            left &= catalogue.fitting(demand) & ~self._withheld(name, demand)
        for demand in self._constraints.get(name, ()):
            left &= catalogue.fitting(demand)
        return left

    def given(self, name: str) -> Sequence[Demand]:
        """The constraints on a project."""
        return self._constraints.get(name, ())

    def known(self, name: str) -> Catalogue | None:
        """A project's catalogue; None if no index has it, or none was asked."""
        return self._catalogue(name) if name in self._knowledge.projects else None

    def _add_project(self, name: str) -> None:
        catalogue = self.known(name)
        count = 0 if catalogue is None else len(catalogue.releases)
        if name not in self._knowledge.projects:
            self.missing_projects.add(name)
            count = 1
        self._absent[name] = 1 << count
        self.solver.add_variable(name, (2 << count) - 1)
        if catalogue is not None:
            for demand in self._constraints.get(name, ()):
                excluded = catalogue.everything & ~catalogue.fitting(demand)
                self.solver.add_nogood({name: excluded}, Constrained(demand))

    def _require(self, owner: Mapping[str, int], demand: Demand, fact: Fact) -> None:
        """Demands something wherever the owner has these values."""
        name = demand.name
        if name not in self._absent:
            self._add_project(name)
        self._demands.setdefault(name, {}).setdefault(demand.text, demand)
        catalogue = self.known(name)
        refused = self._absent[name]
        if catalogue is not None:
            allowed = catalogue.fitting(demand) & ~self._withheld(name, demand)
            refused |= catalogue.everything & ~allowed
        self._forbid(owner, name, refused, fact)
        for extra in demand.extras:
            flag = flag_of(name, extra)
            if flag not in self.solver.domains:
                self.solver.add_variable(flag, ACTIVE | INACTIVE)
                self._extras.setdefault(name, []).append(extra)
                self._owners[flag] = name
            self._forbid(owner, flag, INACTIVE, fact)

    def _forbid(
        self, owner: Mapping[str, int], variable: str, values: int, fact: Fact
    ) -> None:
        # A project may require itself.
        terms = dict(owner)
        terms[variable] = terms.get(variable, values) & values
        self.solver.add_nogood(terms, fact)

    def _withheld(self, name: str, *demands: Demand) -> int:
        """What requirements may not choose, with what the request says of a project."""
        catalogue = self.known(name)
        if catalogue is None:
            return 0
        together = (*demands, *self._given.get(name, ()))
        withheld = catalogue.withheld(together, prereleases=self._prereleases)
        return withheld & ~self._released.get(name, 0)

    def _expand(self) -> bool:
        """Adds what releases need that were settled; whether there was anything new."""
        new = False
        narrowed = self.solver.take_narrowed()
        for name in dict.fromkeys(self._owners.get(v, v) for v in narrowed):
            index = self._settled(name)
            if index is None:
                continue
            for extra in (None, *self._active(name)):
                if (name, index, extra) not in self._expanded:
                    found = self._needed(name, index, extra)
                    self._expanded[name, index, extra] = found
                    new = True
        return new

    def _settled(self, name: str) -> int | None:
        """The one version of a project in the set, by its index; None if it is open."""
        domain = self.solver.domains[name]
        if domain & self._absent[name] or domain & (domain - 1):
            return None
        return domain.bit_length() - 1

    def _active(self, name: str) -> list[str]:
        domains = self.solver.domains
        extras = self._extras.get(name, ())
        return sorted(e for e in extras if domains[flag_of(name, e)] == ACTIVE)

    def _needed(self, name: str, index: int, extra: str | None) -> tuple[Demand, ...]:
        catalogue = self.known(name)
        if catalogue is None:
            return ()
        version = catalogue.releases[index].version
        metadata = self._knowledge.metadata.get((name, version))
        if metadata is None:
            self.missing_metadata.add((name, version))
            return ()
        needs = self._environment.needs(name, version, metadata, extra)
        owner = {name: 1 << index}
        if needs.objection is not None:
            self.solver.add_nogood(owner, Unusable(name, index, *needs.objection))
            return ()
        if extra is not None:
            owner[flag_of(name, extra)] = ACTIVE
        for demand in needs.demands:
            self._require(owner, demand, Needed(name, index, extra, demand))
        return needs.demands

    def _next(self) -> str | None:
        """The project to decide: what conflicts often, else what came up first."""
        domains = self.solver.domains
        often = {v for v, count in self.solver.conflicts.items() if count > _OFTEN}
        first = None
        for name, absent in self._absent.items():
            domain = domains[name]
            if domain & absent or not domain & (domain - 1):
                continue
            if name in often:
                return name
            first = first or name
        return first

    def _best(self, name: str) -> int:
        """The version to try: the preferred, the newest, the newest of the withheld."""
        domain = self.solver.domains[name]
        catalogue = self.known(name)
        if catalogue is not None:
            for version in self._preferences.get(name, ()):
                if catalogue.bit(version) & domain:
                    return catalogue.bit(version)
        domain = domain & ~self._released.get(name, 0) or domain
        return domain & -domain

    def _chosen(self) -> list[Chosen]:
        found = []
        for name in sorted(self._absent):
            index = self._settled(name)
            if index is None:
                continue
            extras = self._active(name)
            demands = [
                demand
                for extra in (None, *extras)
                for demand in self._expanded[name, index, extra]
            ]
            listed = name in self._knowledge.projects
            found.append(
                Chosen(name, index if listed else None, tuple(extras), tuple(demands))
            )
        return found

    def _object(self, chosen: Sequence[Chosen]) -> bool:
        """Forbids a set with a release in it that all requirements together withhold.

        Only a version that no requirement alone could withhold gets that far.
        """
        if not self._released:
            return False
        demands: dict[str, list[Demand]] = {}
        for one in chosen:
            for demand in one.demands:
                demands.setdefault(demand.name, []).append(demand)
        for one in chosen:
            catalogue = self.known(one.name)
            if catalogue is None or one.index is None:
                continue
            together = (*demands.get(one.name, ()), *self._given.get(one.name, ()))
            withheld = catalogue.withheld(together, prereleases=self._prereleases)
            if withheld >> one.index & 1:
                terms = {
                    other.name: self.solver.domains[other.name] for other in chosen
                }
                for other in chosen:
                    for extra in other.extras:
                        terms[flag_of(other.name, extra)] = ACTIVE
                self.solver.add_nogood(terms, Uncalled(one.name, one.index))
                return True
        return False


def flag_of(name: str, extra: str) -> str:
    """The variable of an extra of a project."""
    return f"{name}[{extra}]"


def bits(values: int) -> Iterator[int]:
    """The single values of a set."""
    while values:
        lowest = values & -values
        yield lowest
        values ^= lowest
