"""Resolution: one consistent set of versions, or what is missing, or why there is none.

The caller owns all knowledge. What a resolution lacks is its result; the caller gets
it, all of it at once, and asks again. The answer in the end is the one that full
knowledge would have given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from packaging.markers import UndefinedComparison

from fromager.derivations.errors import InputError
from fromager.derivations.resolution.catalogue import Catalogue, Policy
from fromager.derivations.resolution.demand import (
    Candidate,
    Demand,
    TargetEnvironment,
    Unlisted,
    demands,
)
from fromager.derivations.resolution.explain import explain
from fromager.derivations.resolution.outcome import Missing, Pin, Resolved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from fromager.derivations.resolution.candidate import Knowledge, ProjectReleases
    from fromager.derivations.resolution.demand import AnyCandidate
    from fromager.derivations.resolution.outcome import Outcome
    from fromager.derivations.resolution.provider import Provider
    from fromager.derivations.resolution.request import GivenRequirement, Request

_MOST_ROUNDS: Final = 100_000


def resolve(request: Request, knowledge: Knowledge) -> Outcome:
    """One consistent set for a request; see `Resolver.resolve`."""
    return Resolver().resolve(request, knowledge)


class Resolver:
    """Resolves requests, and remembers between calls what it parsed and compared."""

    def __init__(self) -> None:
        self._environments: dict[tuple[tuple[str, str], ...], TargetEnvironment] = {}
        self._catalogues: dict[
            tuple[str, Policy], tuple[ProjectReleases, Catalogue]
        ] = {}

    def resolve(self, request: Request, knowledge: Knowledge) -> Outcome:
        """One consistent set for a request, newest versions first, as far as is known.

        It depends on nothing but the arguments, and neither on the order in which an
        index lists files nor on that of the requirements.

        Raises:
            InputError: a requirement or a constraint that is not for an index.
        """
        from resolvelib import BaseReporter
        from resolvelib.resolvers import Resolution, ResolutionImpossible

        from fromager.derivations.resolution.provider import Provider

        environment = self._environment(request.markers)
        roots = _roots(request.requirements, environment)
        constraints = _constraints(request.constraints, environment)
        provider = Provider(
            request,
            knowledge,
            environment,
            catalogue=self._catalogue_of(request, knowledge, environment),
            constraints=constraints,
        )
        resolution = Resolution(provider, BaseReporter())
        try:
            state = resolution.resolve(roots, _MOST_ROUNDS)
        except ResolutionImpossible as error:
            return _missing(provider) or explain(error.causes, provider)
        chosen = _reachable(roots, state.mapping, provider)
        return (
            _missing_of(chosen.values(), knowledge)
            or _missing(provider)
            or _resolved(chosen, provider, knowledge)
        )

    def _environment(self, markers: Mapping[str, str]) -> TargetEnvironment:
        key = tuple(sorted(markers.items()))
        if key not in self._environments:
            self._environments[key] = TargetEnvironment(markers)
        return self._environments[key]

    def _catalogue_of(
        self, request: Request, knowledge: Knowledge, environment: TargetEnvironment
    ) -> Callable[[str], Catalogue | None]:
        """Looks up a known project's catalogue; None where no index has it."""
        found: dict[str, Catalogue | None] = {}

        def catalogue(name: str) -> Catalogue | None:
            if name not in found:
                project = knowledge.projects[name]
                hashes = request.hashes.get(name)
                policy = Policy(environment.python, request.exclude_newer, hashes)
                found[name] = (
                    None if project is None else self._catalogue(project, policy)
                )
            return found[name]

        return catalogue

    def _catalogue(self, project: ProjectReleases, policy: Policy) -> Catalogue:
        key = (project.name, policy)
        known = self._catalogues.get(key)
        if known is None or known[0] is not project:
            known = self._catalogues[key] = (project, Catalogue(project, policy))
        return known[1]


def _roots(
    requirements: Iterable[GivenRequirement], environment: TargetEnvironment
) -> list[Demand]:
    return [
        demand
        for given in _applicable(requirements, environment)
        for demand in demands(given.requirement, given.origin)
    ]


def _constraints(
    constraints: Iterable[GivenRequirement], environment: TargetEnvironment
) -> dict[str, list[Demand]]:
    by_name: dict[str, list[Demand]] = {}
    for given in _applicable(constraints, environment):
        if given.requirement.extras:
            raise InputError(
                f"{given.origin}: constraint {given.requirement} has extras",
                hint="Take the extras out; a constraint narrows versions only",
            )
        for demand in demands(given.requirement, given.origin):
            by_name.setdefault(demand.name, []).append(demand)
    return by_name


def _applicable(
    given: Iterable[GivenRequirement], environment: TargetEnvironment
) -> Iterator[GivenRequirement]:
    """Those whose markers hold, in an order of their own.

    Raises:
        InputError: one that is a direct URL, or whose marker cannot be evaluated.
    """
    for one in sorted(given, key=lambda one: (str(one.requirement), one.origin)):
        requirement = one.requirement
        try:
            if not environment.applies(requirement.marker):
                continue
        except UndefinedComparison as error:
            raise InputError(f"{one.origin}: {requirement}: {error}") from error
        if requirement.url is not None:
            # The URL is not repeated: it may hold credentials.
            raise InputError(
                f"{one.origin}: {requirement.name} is asked for by a URL, "
                "and only releases on an index can be resolved",
                hint=f"Require {requirement.name} by name and version",
            )
        yield one


def _reachable(
    roots: Iterable[Demand], mapping: Mapping[str, AnyCandidate], provider: Provider
) -> dict[str, AnyCandidate]:
    """What the roots lead to; the search may leave other choices behind."""
    chosen: dict[str, AnyCandidate] = {}
    pending = [demand.identifier for demand in roots]
    while pending:
        identifier = pending.pop()
        if identifier not in chosen:
            candidate = chosen[identifier] = mapping[identifier]
            pending += [d.identifier for d in provider.get_dependencies(candidate)]
    return chosen


def _missing_of(chosen: Iterable[AnyCandidate], knowledge: Knowledge) -> Missing | None:
    """What is not known of the set that the search ended with."""
    projects = set()
    metadata = set()
    for candidate in chosen:
        if isinstance(candidate, Unlisted):
            projects.add(candidate.name)
        elif (candidate.name, candidate.version) not in knowledge.metadata:
            metadata.add((candidate.name, candidate.version))
    if projects or metadata:
        return Missing(frozenset(projects), frozenset(metadata))
    return None


def _missing(provider: Provider) -> Missing | None:
    """All that the search had to do without, on its dead ends too.

    With it the search might have gone another way, so there is no answer before.
    """
    if provider.missing_projects or provider.missing_metadata:
        return Missing(
            frozenset(provider.missing_projects), frozenset(provider.missing_metadata)
        )
    return None


def _resolved(
    chosen: Mapping[str, AnyCandidate], provider: Provider, knowledge: Knowledge
) -> Resolved:
    projects: dict[str, list[Candidate]] = {}
    for candidate in chosen.values():
        if isinstance(candidate, Candidate):
            projects.setdefault(candidate.name, []).append(candidate)
    pins = []
    warnings = []
    for name in sorted(projects):
        candidates = projects[name]
        release = candidates[0].release
        metadata = knowledge.metadata[name, release.version]
        extras = sorted(c.extra for c in candidates if c.extra is not None)
        warnings += [
            f"{name} {release.version} has no extra {extra!r}"
            for extra in extras
            if not provider.environment.knows_extra(metadata, extra)
        ]
        needed = {
            chosen[demand.identifier].name
            for candidate in candidates
            for demand in provider.get_dependencies(candidate)
        }
        pins.append(
            Pin(
                name,
                release.version,
                release,
                tuple(extras),
                tuple(sorted(needed - {name})),
            )
        )
    return Resolved(tuple(pins), tuple(warnings))
