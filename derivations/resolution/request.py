"""What is to be resolved, and under which policies."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING

from fromager.derivations.resolution.cutoff import NO_CUTOFFS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.requirements import Requirement
    from packaging.version import Version

    from fromager.derivations.resolution.cutoff import Cutoffs
    from fromager.derivations.resolution.demand import Demand


class Prereleases(Enum):
    """When a pre-release may be chosen."""

    IF_NECESSARY = "if-necessary"
    """If a specifier names one, or no final release fits the specifiers (PEP 440)."""
    ALLOW = "allow"
    """Always, on equal terms with final releases."""


@dataclass(frozen=True)
class GivenRequirement:
    """A requirement or a constraint, and where it comes from."""

    requirement: Requirement
    origin: str
    """As shown to people: `command line`, `requirements.txt:3`."""

    @cached_property
    def text(self) -> str:
        """The requirement in the form of PEP 508."""
        return str(self.requirement)

    @cached_property
    def demand(self) -> Demand:
        """The same without its marker."""
        # Who only asks what is known already needs none.
        from fromager.derivations.resolution.demand import demand_of

        return demand_of(self.requirement, self.origin)


@dataclass(frozen=True, slots=True)
class Request:
    """What to find one consistent set of versions for."""

    requirements: tuple[GivenRequirement, ...]
    markers: Mapping[str, str]
    """The target interpreter's marker environment (PEP 508); it fixes the Python."""
    constraints: tuple[GivenRequirement, ...] = ()
    """They narrow a project only once something requires it."""
    prereleases: Prereleases = Prereleases.IF_NECESSARY
    cutoffs: Cutoffs = NO_CUTOFFS
    """Files uploaded later are refused, and those whose time is unknown."""
    hashes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By project, the sha256 of the only files that may be used."""
    preferences: Mapping[str, tuple[Version, ...]] = field(default_factory=dict)
    """By project, the versions to try before newer ones, in order."""

    def preferring(
        self, *preferences: Mapping[str, Version | tuple[Version, ...]]
    ) -> Request:
        """The request with other preferences, the first before the rest and its own."""
        found: dict[str, tuple[Version, ...]] = {}
        for each in (*preferences, self.preferences):
            for name, versions in each.items():
                more = versions if isinstance(versions, tuple) else (versions,)
                known = found.get(name)
                if known is not None:
                    more = (*known, *(v for v in more if v not in known))
                found[name] = more
        return replace(self, preferences=found)
