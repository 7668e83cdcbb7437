"""What is known of a project: its files on an index, and their core metadata.

Project names are normalised (PEP 503) everywhere below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from fromager.derivations.core_metadata import parse_headers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from packaging.version import Version

    from fromager.derivations.sources.direct import DirectSource


@dataclass(frozen=True, slots=True)
class Release:
    """A version of a project: a file on an index, or a source at a place of its own.

    On an index it is an sdist, or proof that a wheel exists.
    """

    version: Version
    filename: str
    url: str
    sha256: str | None = None
    requires_python: str | None = None
    """As the index says it, not parsed (PEP 503)."""
    yanked: str | None = None
    """Why it was yanked (PEP 592), empty where no reason was given; None: it is not."""
    upload_time: datetime | None = None
    """With a time zone (PEP 700)."""
    size: int | None = None
    """Bytes, where the index tells."""
    metadata_served: bool = False
    """Whether the index has core metadata beside the file (PEP 658)."""
    metadata_sha256: str | None = None
    provenance: str | None = None
    """Where the index has what the publisher attested of the file (PEP 740)."""
    wheel_only: bool = False
    """The version has wheels only. It is never chosen, but named in explanations."""
    no_wheel: str = ""
    """Who asks for its wheel, if none fits. It is never chosen, but named as well."""
    prebuilt: bool = False
    """The file is a wheel that is taken as it is, since settings ask for that."""
    locked: bool = False
    """A lock says that it is this file, and where it is."""
    source: DirectSource | None = None
    """Where it is taken from, if not from an index; one that is fixed, or a folder."""
    variables: tuple[tuple[str, str], ...] = ()
    """Environment variables that its build needs, sorted: the version out of git."""


@dataclass(frozen=True, slots=True)
class ProjectReleases:
    """All that an index says of one project, in any order."""

    name: str
    releases: tuple[Release, ...]
    place: str | None = None
    """Where it is taken from, and who said so, if not from an index."""
    undated: bool = False
    """Whether its files may be used where a cut-off counts, but no time is known."""
    index: str | None = None
    """The index that has it, if others come after that one, which are not asked."""
    quarantined: str | None = None
    """Why the index holds it back (PEP 792), empty where it does not say; None: it
    does not."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a release needs at run time, from its core metadata."""

    requires_dist: tuple[Requirement, ...] = ()
    requires_python: SpecifierSet | None = None
    provides_extra: frozenset[str] = frozenset()
    problem: str | None = None
    """Why the release cannot be used: "has unreadable metadata: …"; the release is
    the subject of the clause."""

    @classmethod
    def from_fields(
        cls,
        requires_dist: Iterable[str] = (),
        requires_python: str | None = None,
        provides_extra: Iterable[str] = (),
    ) -> Metadata:
        """Metadata from field values; what breaks PEP 440 or 508 is a `problem`."""
        try:
            return cls(
                tuple(Requirement(text) for text in requires_dist),
                None if requires_python is None else SpecifierSet(requires_python),
                frozenset(canonicalize_name(extra) for extra in provides_extra),
            )
        except (InvalidRequirement, InvalidSpecifier) as error:
            reason = str(error).splitlines()[0]
            return cls(problem=f"has invalid metadata: {reason}")

    @classmethod
    def parse(cls, text: str) -> Metadata:
        """Metadata from a METADATA or PKG-INFO file, any version of core metadata."""
        headers = parse_headers(text.encode("utf-8", "surrogatepass"))
        return cls.from_fields(
            headers.all("requires-dist"),
            headers.first("requires-python"),
            headers.all("provides-extra"),
        )


@dataclass(frozen=True, slots=True)
class Knowledge:
    """All that a resolution may use. What is not in it was not asked yet."""

    projects: Mapping[str, ProjectReleases | None]
    """By name; None where no index has the project."""
    metadata: Mapping[tuple[str, Version], Metadata]
