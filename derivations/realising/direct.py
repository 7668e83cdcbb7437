"""Requirements that say themselves where their source is, made ready for resolution.

Each place is looked at before versions are chosen: it has one version, and no index
is asked for that project any more, neither for the request nor for what builds need.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from fromager.derivations.core_metadata import parse_headers
from fromager.derivations.customisation.effects import NO_EFFECTS
from fromager.derivations.errors import (
    DerivationError,
    InputError,
    ResolutionError,
    SourceError,
    Stopped,
)
from fromager.derivations.realising.customised import within
from fromager.derivations.realising.located import (
    UNKNOWN,
    Gathered,
    Located,
    is_local,
    label_of,
    release_at,
    without_places,
)
from fromager.derivations.realising.preparation import Preparation
from fromager.derivations.realising.settling import static_needs
from fromager.derivations.resolution.candidate import (
    Metadata,
    ProjectReleases,
)
from fromager.derivations.sources.direct import (
    ArchiveSource,
    DirectRequirement,
    FolderSource,
    GitSource,
    parse_source,
)
from fromager.derivations.sources.project import identity
from fromager.derivations.sources.versions_of_tags import version_variables

if TYPE_CHECKING:
    from collections.abc import (
        Awaitable,
        Callable,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )

    from packaging.requirements import Requirement

    from fromager.derivations.customisation.effects import Effects
    from fromager.derivations.realising.checkouts import Checkouts
    from fromager.derivations.realising.knowledge import KnowledgeBase
    from fromager.derivations.realising.packages import Packages
    from fromager.derivations.realising.sources import Sources
    from fromager.derivations.realising.steps import Step
    from fromager.derivations.sources.direct import DirectSource
    from fromager.derivations.sources.git import Commit


@dataclass
class DirectSources:
    """Finds out what lies at the places that requirements name."""

    sources: Sources
    checkouts: Checkouts
    knowledge: KnowledgeBase
    packages: Callable[[], Awaitable[Packages]]
    markers: Mapping[str, str]
    kept: Mapping[DirectSource, DirectSource] = field(default_factory=dict)
    """What sources as they are asked for were fixed to before, and stay."""
    keep_going: bool = False
    """Whether a place that cannot be used stands in the way of what needs it only."""
    _found: dict[str, Located] = field(default_factory=dict)

    async def gather(
        self, given: Sequence[DirectRequirement], *, dependencies: bool
    ) -> Gathered:
        """The requirements by name, their sources looked at and told to resolution.

        With `dependencies`, so are the sources that their own requirements name.

        Raises:
            ResolutionError: one project is required from two places.
            SourceError: a place cannot be used, or holds another project.
        """
        results = await self._locate_all(given)
        waiting = list(enumerate(results))
        while waiting and dependencies:
            needed = list(self._needed_by(waiting, results))
            more = await self._locate_all([each for _, each in needed])
            waiting = [(root, one) for (root, _), one in zip(needed, more, strict=True)]
        found = [one for one in results if isinstance(one, Located)]
        failures = [one for one in results if isinstance(one, DerivationError)]
        located = self._found.items()
        return Gathered(
            tuple(one.requirement for one in found),
            tuple(replace(one.given, name=one.name) for one in found),
            frozenset(name for name, one in located if one.given.source.is_fixed),
            {name: one.given.source for name, one in located},
            tuple(dict.fromkeys(failures)),
        )

    def limit(self, constraints: Sequence[DirectRequirement]) -> None:
        """Take projects from these places, should something require them."""
        for given in constraints:
            assert given.name is not None
            before = self._found.get(given.name)
            if before is None:
                self.knowledge.elsewhere.setdefault(given.name, self._later(given))
            elif before.given.source != given.source:
                raise _two_places(given.name, before.given, given)

    def _later(
        self, given: DirectRequirement
    ) -> Callable[[], Awaitable[ProjectReleases]]:
        async def locate() -> ProjectReleases:
            return self._take(await self.locate(given)).releases

        return locate

    async def _locate_all(
        self, given: Sequence[DirectRequirement]
    ) -> list[Located | DerivationError]:
        results = await asyncio.gather(
            *(self.locate(each) for each in given), return_exceptions=True
        )
        found: list[Located | DerivationError] = []
        for each, result in zip(given, results, strict=True):
            try:
                if isinstance(result, BaseException):
                    raise result
                found.append(self._take(result))
            except DerivationError as error:
                found.append(self._failure(error))
                self._withhold(each, error)
        return found

    def _failure(self, error: DerivationError) -> DerivationError:
        """The same, if it is no more than one failure."""
        if isinstance(error, Stopped) or not self.keep_going:
            raise error
        return error

    def _withhold(self, given: DirectRequirement, error: DerivationError) -> None:
        """Give nobody the project of a place that cannot be used: not from an index,
        where it may be somebody else's."""

        async def releases() -> ProjectReleases:
            raise error

        if given.name is not None:
            self.knowledge.elsewhere.setdefault(given.name, releases)

    def _take(self, located: Located) -> Located:
        """Let resolution know of a place, unless another one was named before."""
        before = self._found.get(located.name)
        if before is not None and before.release.source != located.release.source:
            raise _two_places(located.name, before.given, located.given)
        if before is None:
            self._found[located.name] = located

            async def releases() -> ProjectReleases:
                return located.releases

            self.knowledge.elsewhere[located.name] = releases
            key = (located.name, located.release.version)
            self.knowledge.metadata[key] = without_places(located.metadata)
        return located

    async def locate(self, given: DirectRequirement) -> Located:
        """What lies at the place that a requirement names."""
        source, commit = await self._fixed(given.source)
        draft = release_at(UNKNOWN, source, ())
        subject = given.name or label_of(source)
        plain = within(NO_EFFECTS, source)
        if given.name is not None:
            # What is not wanted may be nowhere to be had.
            said = self.sources.effects(given.name, UNKNOWN, draft)
            plain = replace(
                plain,
                changes_submodules=said.changes_submodules,
                submodules=said.submodules,
            )
        nothing = Preparation(subject, UNKNOWN, plain, None, ())
        bare = await self.sources.prepared(subject, draft, nothing)
        if plain.build_dir and not self.sources.has_folder(bare, plain.build_dir):
            raise SourceError(f"{source}: there is no folder {plain.build_dir}")
        name, version = identity(
            self.sources.member(bare, plain.in_project("PKG-INFO")),
            self.sources.member(bare, plain.in_project("pyproject.toml")),
        )
        self._check_name(given, name)
        name = canonicalize_name(name or given.name or "") or None
        release = release_at(version or UNKNOWN, source, ())
        if version is None:
            told = await self._version_of_git(source, commit)
            variables = () if told is None else version_variables(name, told)
            # The backend may say otherwise; settings for this version count.
            release = release_at(told or UNKNOWN, source, variables)
        tree, effects = bare, plain
        if name is not None:
            effects = self.sources.effects(name, release.version, release)
            tree = await self.sources.tree(name, release.version, release)
        static = self.sources.static(tree, effects)
        if static is not None:
            found, version = name or static.name, Version(static.version)
            return Located(
                given,
                canonicalize_name(found),
                replace(release, version=version),
                static_needs(static),
            )
        self._check_is_project(source, tree, effects)
        packages = await self.packages()
        content = await packages.describe(subject, tree, release, effects)
        found, version = self._said(given, content)
        needs = Metadata.parse(content.decode("utf-8", "replace"))
        return Located(given, found, replace(release, version=version), needs)

    async def _fixed(self, source: DirectSource) -> tuple[DirectSource, Commit | None]:
        """The source with what makes it one content: its commit, its hash."""
        source = self.kept.get(source, source)
        match source:
            case GitSource():
                commit = await self.checkouts.commit(source)
                return source.at(commit.identity), commit
            case ArchiveSource(sha256=None):
                draft = release_at(UNKNOWN, source, ())
                sha256 = await self.sources.trust_first_use(draft)
                return replace(source, sha256=sha256), None
        return source, None

    async def _version_of_git(
        self, source: DirectSource, commit: Commit | None
    ) -> Version | None:
        match source:
            case GitSource() if commit is not None:
                return await self.checkouts.version(source, commit)
            case FolderSource():
                return await self.checkouts.folder_version(source)
        return None

    def _check_name(self, given: DirectRequirement, name: str | None) -> None:
        if name and given.name and canonicalize_name(name) != given.name:
            raise SourceError(
                f"{given.origin}: {given.source} is {name}, not {given.name}",
                hint=f"Require {name} from there, or correct the place",
            )

    def _check_is_project(
        self, source: DirectSource, tree: Step, effects: Effects
    ) -> None:
        """Refuse what no backend is to be asked about, as its plugins do not build it."""
        files = (effects.in_project(name) for name in ("pyproject.toml", "setup.py"))
        if effects.override is None and not any(
            self.sources.member(tree, file) is not None for file in files
        ):
            raise SourceError(
                f"{source} is no project: it has neither pyproject.toml nor setup.py",
                hint="Name the folder that holds one of them; of a part of a repository "
                "or an archive: #subdirectory=FOLDER",
            )

    def _said(self, given: DirectRequirement, content: bytes) -> tuple[str, Version]:
        """Name and version in the metadata that a backend gave."""
        headers = parse_headers(content)
        name, version = headers.first("Name"), headers.first("Version")
        try:
            if name and version:
                self._check_name(given, name)
                return canonicalize_name(name), Version(version)
        except InvalidVersion:
            pass
        raise SourceError(
            f"{given.source}: its backend gives it the name {name!r} and the version "
            f"{version!r}"
        )

    def _is_new(self, given: DirectRequirement) -> bool:
        before = self._found.get(given.name or "")
        return before is None or before.given.source != given.source

    def _needed_by(
        self,
        waiting: Iterable[tuple[int, Located | DerivationError]],
        results: list[Located | DerivationError],
    ) -> Iterator[tuple[int, DirectRequirement]]:
        """The places still to be looked at, each with the number of what needs it.

        What needs a place that cannot be used is itself no result any more.
        """
        for root, one in waiting:
            if isinstance(one, DerivationError):
                results[root] = one
                continue
            try:
                needed = self._needed(one)
            except DerivationError as error:
                results[root] = self._failure(error)
                continue
            yield from ((root, each) for each in needed if self._is_new(each))

    def _needed(self, located: Located) -> list[DirectRequirement]:
        """The requirements of a source that name places of their own."""
        found = []
        for requirement in located.metadata.requires_dist:
            if requirement.url is None or not self._applies(requirement, located):
                continue
            origin = located.subject
            try:
                parsed = parse_source(requirement.url, Path("/"))
            except InputError as error:
                raise SourceError(f"{origin}: {error}", hint=error.hint) from error
            if is_local(parsed.source) and not is_local(located.release.source):
                raise SourceError(
                    f"{origin} requires {requirement.name} from {parsed.source}, "
                    "a place on this machine"
                )
            name = canonicalize_name(requirement.name)
            extras = tuple(sorted(map(canonicalize_name, requirement.extras)))
            found.append(
                DirectRequirement(
                    parsed.source, origin, name, extras, login=parsed.login
                )
            )
        return found

    def _applies(self, requirement: Requirement, located: Located) -> bool:
        marker = requirement.marker
        return marker is None or any(
            marker.evaluate({**self.markers, "extra": extra})
            for extra in ("", *located.given.extras)
        )


def _two_places(
    name: str, first: DirectRequirement, second: DirectRequirement
) -> ResolutionError:
    return ResolutionError(
        f"{name} is required from two places: {first.source} ({first.origin}) and "
        f"{second.source} ({second.origin})",
        hint="Name one place for it",
    )
