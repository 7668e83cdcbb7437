"""What lies at the places that requirements name, as resolution is told of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from packaging.requirements import Requirement
from packaging.version import Version

from fromager.derivations.resolution.candidate import (
    Metadata,
    ProjectReleases,
    Release,
)
from fromager.derivations.resolution.request import GivenRequirement
from fromager.derivations.sources.direct import (
    ArchiveSource,
    FolderSource,
    GitSource,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.derivations.errors import DerivationError
    from fromager.derivations.sources.direct import DirectRequirement, DirectSource

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

    @property
    def requirement(self) -> GivenRequirement:
        """The same requirement by the name that was found."""
        extras = self.given.extras
        text = f"{self.name}[{','.join(extras)}]" if extras else self.name
        return GivenRequirement(Requirement(text), self.given.origin)


@dataclass(frozen=True, slots=True)
class Gathered:
    """What came of the requirements of a request that say themselves where to look."""

    requirements: tuple[GivenRequirement, ...] = ()
    """By name, in the order of the request."""
    named: tuple[DirectRequirement, ...] = ()
    """The same, each with its place."""
    fixed: frozenset[str] = frozenset()
    """Projects whose requirement names a hash, or a commit in full."""
    asked: Mapping[str, DirectSource] = field(default_factory=dict)
    """By project, the place as it was asked for."""
    failures: tuple[DerivationError, ...] = ()
    """Why others cannot be had, where the rest is gone on with."""


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


def release_at(
    version: Version, source: DirectSource, variables: tuple[tuple[str, str], ...]
) -> Release:
    """The release that lies at a place; `variables` are what its build needs of git."""
    filename, url, sha256 = label_of(source), "", None
    if isinstance(source, ArchiveSource):
        filename, url, sha256 = source.filename, source.url, source.sha256
    return Release(
        version, filename, url, sha256=sha256, source=source, variables=variables
    )


def label_of(source: DirectSource) -> str:
    """A short name for a source; of a folder no more than that, as it is in keys."""
    match source:
        case ArchiveSource():
            return source.filename
        case FolderSource(path):
            return Path(path).name or "folder"
        case GitSource():
            return f"{source.name}@{(source.ref or '')[:12]}"


def is_local(source: DirectSource | None) -> bool:
    match source:
        case ArchiveSource(url) | GitSource(url):
            return urlsplit(url).scheme == "file"
        case FolderSource():
            return True
    return False
