"""Requirements that say themselves where their source is, made ready for resolution.

Each place is looked at before versions are chosen: it has one version, and no index
is asked for that project any more, neither for the request nor for what builds need.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from fromager.derivations.core_metadata import parse_headers
from fromager.derivations.customisation.effects import NO_EFFECTS
from fromager.derivations.errors import InputError, ResolutionError, SourceError
from fromager.derivations.realising.preparation import Preparation
from fromager.derivations.realising.settling import static_needs
from fromager.derivations.realising.sources import within
from fromager.derivations.resolution.candidate import (
    Metadata,
    ProjectReleases,
    Release,
)
from fromager.derivations.resolution.request import GivenRequirement
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
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from fromager.derivations.realising.checkouts import Checkouts
    from fromager.derivations.realising.knowledge import KnowledgeBase
    from fromager.derivations.realising.packages import Packages
    from fromager.derivations.realising.sources import Sources
    from fromager.derivations.sources.direct import DirectSource
    from fromager.derivations.sources.git import Commit

UNKNOWN: Final = Version("0")
"""Stands for a version that only the source will tell."""


@dataclass(frozen=True, slots=True)
class Located:
    """What lies at the place that a requirement names."""

    given: DirectRequirement
    name: str
    release: Release
    metadata: Metadata

    @property
    def subject(self) -> str:
        """`demo==1.0`."""
        return f"{self.name}=={self.release.version}"

    @property
    def releases(self) -> ProjectReleases:
        """All that there is of the project."""
        version, source = self.release.version, self.release.source
        place = f"{source} ({self.given.origin}), which is version {version}"
        return ProjectReleases(self.name, (self.release,), place)


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
    _found: dict[str, Located] = field(default_factory=dict)

    async def gather(
        self, given: Sequence[DirectRequirement], *, dependencies: bool
    ) -> tuple[GivenRequirement, ...]:
        """The requirements by name, their sources looked at and told to resolution.

        With `dependencies`, so are the sources that their own requirements name.

        Raises:
            ResolutionError: one project is required from two places.
            SourceError: a place cannot be used, or holds another project.
        """
        found = await self._locate_all(given)
        waiting = list(found)
        while waiting and dependencies:
            needed = [
                each
                for one in waiting
                for each in self._needed(one)
                if self._is_new(each)
            ]
            waiting = await self._locate_all(needed)
        return tuple(_by_name(one) for one in found)

    @property
    def fixed(self) -> frozenset[str]:
        """Projects whose requirement names a hash, or a commit in full."""
        return frozenset(
            name for name, one in self._found.items() if one.given.source.is_fixed
        )

    @property
    def asked(self) -> Mapping[str, DirectSource]:
        """By project, the place as it was asked for."""
        return {name: one.given.source for name, one in self._found.items()}

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

    async def _locate_all(self, given: Sequence[DirectRequirement]) -> list[Located]:
        results = await asyncio.gather(
            *(self.locate(each) for each in given), return_exceptions=True
        )
        found = []
        for result in results:
            if isinstance(result, BaseException):
                raise result
            found.append(self._take(result))
        return found

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
        subject = given.name or _label(source)
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
            if _is_local(parsed.source) and not _is_local(located.release.source):
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


def named(
    direct: Sequence[DirectRequirement], found: Sequence[GivenRequirement]
) -> tuple[DirectRequirement, ...]:
    """Requirements with the names of what was found at their places, in that order."""
    return tuple(
        replace(each, name=canonicalize_name(by_name.requirement.name))
        for each, by_name in zip(direct, found, strict=True)
    )


def without_places(metadata: Metadata) -> Metadata:
    """The metadata with requirements by name alone, for a source of its own.

    Where those projects are taken from was found out before.
    """
    if all(requirement.url is None for requirement in metadata.requires_dist):
        return metadata
    return replace(
        metadata, requires_dist=tuple(map(_without_place, metadata.requires_dist))
    )


def _without_place(requirement: Requirement) -> Requirement:
    if requirement.url is None:
        return requirement
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    marker = f"; {requirement.marker}" if requirement.marker is not None else ""
    return Requirement(f"{requirement.name}{extras}{marker}")


def _by_name(located: Located) -> GivenRequirement:
    extras = located.given.extras
    text = f"{located.name}[{','.join(extras)}]" if extras else located.name
    return GivenRequirement(Requirement(text), located.given.origin)


def release_at(
    version: Version, source: DirectSource, variables: tuple[tuple[str, str], ...]
) -> Release:
    """The release that lies at a place; `variables` are what its build needs of git."""
    filename, url, sha256 = _label(source), "", None
    if isinstance(source, ArchiveSource):
        filename, url, sha256 = source.filename, source.url, source.sha256
    return Release(
        version, filename, url, sha256=sha256, source=source, variables=variables
    )


def _label(source: DirectSource) -> str:
    """A short name for a source; of a folder no more than that, as it is in keys."""
    match source:
        case ArchiveSource():
            return source.filename
        case FolderSource(path):
            return Path(path).name or "folder"
        case GitSource():
            return f"{source.name}@{(source.ref or '')[:12]}"


def _is_local(source: DirectSource | None) -> bool:
    match source:
        case ArchiveSource(url) | GitSource(url):
            return urlsplit(url).scheme == "file"
        case FolderSource():
            return True
    return False
