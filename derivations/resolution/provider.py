"""The search's view of what is known: resolvelib's provider, without any I/O.

What is not known yet is noted, and stood in for by something that demands nothing,
so that one search finds as much of what is missing as it can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolvelib import AbstractProvider

from fromager.derivations.resolution.demand import (
    AnyCandidate,
    AnyDemand,
    Candidate,
    Demand,
    Objection,
    Unlisted,
    same_version,
)
from fromager.derivations.resolution.request import Prereleases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from packaging.version import Version
    from resolvelib.structs import RequirementInformation

    from fromager.derivations.resolution.candidate import Knowledge
    from fromager.derivations.resolution.catalogue import Catalogue
    from fromager.derivations.resolution.demand import TargetEnvironment
    from fromager.derivations.resolution.request import Request


class Provider(AbstractProvider[AnyDemand, AnyCandidate, str]):
    """Answers one search; `missing_…` then says what it had to do without."""

    def __init__(
        self,
        request: Request,
        knowledge: Knowledge,
        environment: TargetEnvironment,
        *,
        catalogue: Callable[[str], Catalogue | None],
        constraints: Mapping[str, Sequence[Demand]],
    ) -> None:
        self._request = request
        self._knowledge = knowledge
        self.environment = environment
        self._catalogue = catalogue
        self._constraints = constraints
        self._candidates: dict[tuple[str, int], Candidate] = {}
        self._unlisted: dict[str, Unlisted] = {}
        self._seen: dict[str, int] = {}
        self._pinned: set[str] = set()
        self.missing_projects: set[str] = set()
        self.missing_metadata: set[tuple[str, Version]] = set()

    def identify(self, requirement_or_candidate: AnyDemand | AnyCandidate) -> str:
        return requirement_or_candidate.identifier

    def find_matches(
        self,
        identifier: str,
        requirements: Mapping[str, Iterator[AnyDemand]],
        incompatibilities: Mapping[str, Iterator[AnyCandidate]],
    ) -> Sequence[AnyCandidate]:
        wanted: list[Demand] = []
        for demand in requirements[identifier]:
            if isinstance(demand, Objection):
                return ()
            wanted.append(demand)
        self._seen.setdefault(identifier, len(self._seen))
        if any(demand.exact for demand in wanted):
            self._pinned.add(identifier)
        name, extra = wanted[0].name, wanted[0].extra
        excluded = list(incompatibilities[identifier])
        if name not in self._knowledge.projects:
            self.missing_projects.add(name)
            unlisted = Unlisted(identifier, name, extra)
            unlisted = self._unlisted.setdefault(identifier, unlisted)
            return () if unlisted in excluded else (unlisted,)
        catalogue = self._catalogue(name)
        if catalogue is None:
            return ()
        wanted.extend(self._constraints.get(name, ()))
        allowed, rest = self._allowed(catalogue, wanted)
        if extra is None:
            rest = 0
        for candidate in excluded:
            if isinstance(candidate, Candidate):
                allowed &= ~(1 << candidate.index)
                rest &= ~(1 << candidate.index)
        indices = [*catalogue.members(allowed), *catalogue.members(rest)]
        preferred = self._request.preferences.get(name)
        if preferred is not None:
            bit = catalogue.bit(preferred)
            indices.sort(key=lambda index: 1 << index != bit)
        return [self._candidate(identifier, name, extra, catalogue, i) for i in indices]

    def is_satisfied_by(self, requirement: AnyDemand, candidate: AnyCandidate) -> bool:
        if isinstance(candidate, Unlisted):
            return True
        if isinstance(requirement, Objection):
            return False
        if requirement.version is not None:
            return requirement.version == candidate.version
        catalogue = self._catalogue(candidate.name)
        if catalogue is None:
            return False
        fitting = catalogue.fitting(requirement.specifier, requirement.text)
        return bool(fitting >> candidate.index & 1)

    def get_dependencies(self, candidate: AnyCandidate) -> Iterable[AnyDemand]:
        if isinstance(candidate, Unlisted):
            return
        # First, and lazily: where the release itself is out of the question, its
        # metadata is not asked for.
        if candidate.extra is not None:
            yield same_version(candidate)
        metadata = self._knowledge.metadata.get((candidate.name, candidate.version))
        if metadata is None:
            self.missing_metadata.add((candidate.name, candidate.version))
            return
        yield from self.environment.needs(
            candidate.name, candidate.version, metadata, candidate.extra
        )

    def narrow_requirement_selection(
        self,
        identifiers: Iterable[str],
        resolutions: Mapping[str, AnyCandidate],
        candidates: Mapping[str, Iterator[AnyCandidate]],
        information: Mapping[
            str, Iterator[RequirementInformation[AnyDemand, AnyCandidate]]
        ],
        backtrack_causes: Sequence[RequirementInformation[AnyDemand, AnyCandidate]],
    ) -> Iterable[str]:
        """The one to decide next.

        Extras before their projects, which then have one version left; projects with
        one version; what the last conflict was about; and the rest as it came up.
        """
        blamed = set()
        for requirement, parent in backtrack_causes:
            blamed.add(requirement.identifier)
            if parent is not None:
                blamed.add(parent.identifier)

        def order(identifier: str) -> tuple[bool, bool, bool, int]:
            return (
                not identifier.endswith("]"),
                identifier not in self._pinned,
                identifier not in blamed,
                self._seen[identifier],
            )

        return [min(identifiers, key=order)]

    def get_preference(
        self,
        identifier: str,
        resolutions: Mapping[str, AnyCandidate],
        candidates: Mapping[str, Iterator[AnyCandidate]],
        information: Mapping[
            str, Iterator[RequirementInformation[AnyDemand, AnyCandidate]]
        ],
        backtrack_causes: Sequence[RequirementInformation[AnyDemand, AnyCandidate]],
    ) -> int:
        return self._seen[identifier]

    def _allowed(
        self, catalogue: Catalogue, wanted: Sequence[Demand]
    ) -> tuple[int, int]:
        """Versions that fit: those that the policies allow, and the others."""
        fitting = catalogue.everything
        same = catalogue.everything
        for demand in wanted:
            if demand.version is not None:
                same &= catalogue.bit(demand.version)
            else:
                fitting &= catalogue.fitting(demand.specifier, demand.text)
        allowed = fitting
        finals = fitting & catalogue.finals
        if (
            finals
            and self._request.prereleases is Prereleases.IF_NECESSARY
            and not any(demand.specifier.prereleases for demand in wanted)
        ):
            allowed = finals
        if not any(demand.exact for demand in wanted):
            allowed &= ~catalogue.yanked
        return allowed & same, fitting & ~allowed & same

    def _candidate(
        self,
        identifier: str,
        name: str,
        extra: str | None,
        catalogue: Catalogue,
        index: int,
    ) -> Candidate:
        key = (identifier, index)
        if key not in self._candidates:
            release = catalogue.releases[index]
            found = Candidate(identifier, name, extra, release, index)
            self._candidates[key] = found
        return self._candidates[key]
