"""A complete search over finite domains that learns from each conflict.

Each variable has a domain: an integer whose bits are values. A *nogood* names sets of
values that its variables cannot all be in. The method is that of PubGrub and of
satisfiability solvers: propagate, decide, and resolve from each conflict a new nogood
that rules out its cause, so that nothing fails twice for one reason. Where there is no
solution, the resolved nogoods are the proof.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

Fact = TypeVar("Fact")


@dataclass(frozen=True, slots=True, eq=False)
class Nogood(Generic[Fact]):
    """Values that variables cannot have together: by a fact, or resolved from two."""

    terms: Mapping[str, int]
    source: Fact | tuple[Nogood[Fact], Nogood[Fact]]


class Unsatisfiable(Exception):
    """There is no solution."""


@dataclass(frozen=True, slots=True, eq=False)
class _Step(Generic[Fact]):
    """A domain made smaller, by what a nogood left of it; or by a decision."""

    variable: str
    before: int
    after: int
    position: int
    level: int
    cause: Nogood[Fact] | None


class Solver(Generic[Fact]):
    """Holds variables, nogoods and the decisions so far."""

    def __init__(self) -> None:
        self.domains: dict[str, int] = {}
        """The values that each variable still may have; never empty."""
        self.conflicts: Counter[str] = Counter()
        """How often each variable was part of a conflict."""
        self.proof: Nogood[Fact] | None = None
        """Once there is no solution: the nogood without terms that proves it."""
        self._narrowed: dict[str, None] = {}
        self._level = 0
        self._trail: list[_Step[Fact]] = []
        self._history: dict[str, list[_Step[Fact]]] = {}
        self._watching: dict[str, list[Nogood[Fact]]] = {}
        self._fresh: deque[Nogood[Fact]] = deque()
        self._changed: deque[str] = deque()

    def add_variable(self, variable: str, domain: int) -> None:
        """A new variable, with all values that it can ever have."""
        self.domains[variable] = domain
        self._history[variable] = []
        self._watching[variable] = []

    def add_nogood(self, terms: Mapping[str, int], fact: Fact) -> None:
        """A new nogood, at any time; one with an empty set says nothing."""
        if all(terms.values()):
            self._store(Nogood(terms, fact))

    def decide(self, variable: str, value: int) -> None:
        """Narrows a variable to some of its values, until a conflict undoes it."""
        self._level += 1
        self._narrow(variable, value, None)

    def propagate(self) -> None:
        """Draws all conclusions; takes decisions back as far as conflicts demand.

        Raises:
            Unsatisfiable: no decision is left to take back; `proof` says why.
        """
        while self._fresh or self._changed:
            if self._fresh:
                conflict = self._apply(self._fresh.popleft())
            else:
                conflict = self._visit(self._changed.popleft())
            if conflict is not None:
                self._changed.clear()
                self.conflicts.update(conflict.terms.keys())
                self._learn(conflict)

    def take_narrowed(self) -> list[str]:
        """The variables with fewer values at some time since this was last asked."""
        narrowed = list(self._narrowed)
        self._narrowed.clear()
        return narrowed

    def _store(self, nogood: Nogood[Fact]) -> None:
        for variable in nogood.terms:
            self._watching[variable].append(nogood)
        self._fresh.append(nogood)

    def _narrow(self, variable: str, value: int, cause: Nogood[Fact] | None) -> None:
        before = self.domains[variable]
        step = _Step(
            variable, before, before & value, len(self._trail), self._level, cause
        )
        self.domains[variable] = step.after
        self._trail.append(step)
        self._history[variable].append(step)
        self._changed.append(variable)
        self._narrowed[variable] = None

    def _visit(self, variable: str) -> Nogood[Fact] | None:
        for nogood in self._watching[variable]:
            if self._apply(nogood) is not None:
                return nogood
        return None

    def _apply(self, nogood: Nogood[Fact]) -> Nogood[Fact] | None:
        """Concludes what a nogood leaves; the nogood itself if it is violated."""
        domains = self.domains
        last = None
        for variable, values in nogood.terms.items():
            domain = domains[variable]
            if domain & ~values:
                if last is not None or not domain & values:
                    return None
                last = variable
        if last is None:
            return nogood
        self._narrow(last, ~nogood.terms[last], nogood)
        return None

    def _learn(self, conflict: Nogood[Fact]) -> None:
        """Resolves a conflict to a nogood that says more, and goes back to where
        that one has a conclusion."""
        while True:
            culprit, level = self._culprit(conflict)
            if culprit is None:
                self.proof = conflict
                raise Unsatisfiable
            if culprit.level > level:
                break
            assert culprit.cause is not None
            conflict = _resolve(
                conflict, culprit.cause, culprit.variable, self._full(culprit.variable)
            )
        self._go_back(level)
        self._store(conflict)

    def _culprit(self, conflict: Nogood[Fact]) -> tuple[_Step[Fact] | None, int]:
        """The step that made a nogood violated, and the level before without it.

        None: it is violated by the domains as they were at first.
        """
        culprit: _Step[Fact] | None = None
        level = 0
        for variable, values in conflict.terms.items():
            if not self._full(variable) & ~values:
                continue
            step = next(s for s in self._history[variable] if not s.after & ~values)
            if culprit is None:
                culprit = step
            elif step.position > culprit.position:
                level = max(level, culprit.level)
                culprit = step
            else:
                level = max(level, step.level)
        # Below level 1 there is nothing to take back: resolve on, to the proof.
        return culprit, level

    def _full(self, variable: str) -> int:
        history = self._history[variable]
        return history[0].before if history else self.domains[variable]

    def _go_back(self, level: int) -> None:
        self._level = level
        while self._trail and self._trail[-1].level > level:
            step = self._trail.pop()
            self.domains[step.variable] = step.before
            self._history[step.variable].pop()


def _resolve(
    one: Nogood[Fact], other: Nogood[Fact], variable: str, full: int
) -> Nogood[Fact]:
    """What two nogoods say together, whatever the value of one variable is."""
    terms = dict(one.terms)
    for name, values in other.terms.items():
        terms[name] = terms[name] & values if name in terms else values
    either = one.terms[variable] | other.terms[variable]
    if full & ~either:
        terms[variable] = either
    else:
        del terms[variable]
    return Nogood(terms, (one, other))
