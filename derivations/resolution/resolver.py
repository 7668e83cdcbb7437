"""Resolution: one consistent set of versions, or what is missing, or why there is none.

The caller owns all knowledge. What a resolution lacks is its result; the caller gets
it, all of it at once, and asks again. The answer in the end is the one that full
knowledge would have given, since by then the search missed nothing on its way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fromager.derivations.resolution.catalogue import Catalogue, Policy
from fromager.derivations.resolution.demand import TargetEnvironment
from fromager.derivations.resolution.explain import explain
from fromager.derivations.resolution.outcome import Missing, Pin, Resolved
from fromager.derivations.resolution.search import Search
from fromager.derivations.resolution.solver import Unsatisfiable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from fromager.derivations.resolution.candidate import Knowledge, ProjectReleases
    from fromager.derivations.resolution.outcome import Outcome
    from fromager.derivations.resolution.request import Request
    from fromager.derivations.resolution.search import Chosen


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
        environment = self._environment(request.markers)
        catalogue = self._catalogue_of(request, knowledge, environment)
        released: dict[str, int] = {}
        while True:
            search = Search(
                request,
                knowledge,
                environment,
                catalogue=catalogue,
                released=released,
            )
            try:
                chosen = search.run()
            except Unsatisfiable:
                missing = _missing(search)
                if missing is not None:
                    return missing
                # What requirements of releases say of pre-releases, and of yanked
                # ones, counts for all of a project only where there is no other way.
                contested = search.contested()
                if not contested:
                    return explain(search)
                for name, versions in contested.items():
                    released[name] = released.get(name, 0) | versions
            else:
                return (
                    (_missing(search) if search.passed_over else None)
                    or _missing_of(chosen, search, knowledge)
                    or _missing(search)
                    or _resolved(chosen, search, knowledge, environment)
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
                cutoffs = request.cutoffs.of(name)
                policy = Policy(environment.python, cutoffs, hashes)
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


def _missing_of(
    chosen: Iterable[Chosen], search: Search, knowledge: Knowledge
) -> Missing | None:
    """What is not known of the set that the search ended with."""
    projects = set()
    metadata = set()
    for one in chosen:
        catalogue = search.known(one.name)
        if catalogue is None or one.index is None:
            projects.add(one.name)
        else:
            version = catalogue.releases[one.index].version
            if (one.name, version) not in knowledge.metadata:
                metadata.add((one.name, version))
    if projects or metadata:
        return Missing(frozenset(projects), frozenset(metadata))
    return None


def _missing(search: Search) -> Missing | None:
    """All that the search had to do without, on its dead ends too.

    With it the search might have gone another way, so there is no answer before.
    """
    if search.missing_projects or search.missing_metadata:
        return Missing(
            frozenset(search.missing_projects), frozenset(search.missing_metadata)
        )
    return None


def _resolved(
    chosen: Iterable[Chosen],
    search: Search,
    knowledge: Knowledge,
    environment: TargetEnvironment,
) -> Resolved:
    pins = []
    warnings = []
    for one in chosen:
        name, catalogue = one.name, search.known(one.name)
        assert catalogue is not None and one.index is not None
        release = catalogue.releases[one.index]
        metadata = knowledge.metadata[name, release.version]
        warnings += [
            f"{name} {release.version} has no extra {extra!r}"
            for extra in one.extras
            if not environment.knows_extra(metadata, extra)
        ]
        needed = {demand.name for demand in one.demands} - {name}
        pins.append(
            Pin(name, release.version, release, one.extras, tuple(sorted(needed)))
        )
    return Resolved(tuple(pins), tuple(warnings))
