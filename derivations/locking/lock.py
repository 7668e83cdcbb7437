"""A lock as a value: what is installed, what builds it, and what builds that, by hash.

It is closed: everything that it names is in it, with a hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from fromager.derivations.locking.errors import InvalidLock

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from packaging.version import Version

    from fromager.derivations.interpreter import Interpreter
    from fromager.derivations.sources.direct import DirectRequirement, DirectSource


@dataclass(frozen=True, slots=True)
class LockedFile:
    """An sdist, or a wheel that is taken as it is."""

    filename: str
    url: str
    """Without credentials."""
    sha256: str
    size: int | None = None
    upload_time: datetime | None = None
    prebuilt: bool = False
    """Whether it is a wheel."""


@dataclass(frozen=True, slots=True)
class LockedPlace:
    """Where a requirement says itself that the source is, and what lies there."""

    source: DirectSource
    """A folder, an archive with its sha256, or a commit; without credentials."""
    content: str | None = None
    """The digest of the files, as a tree; None for an archive."""
    requested: str | None = None
    """The tag or branch that was asked for, if the source is a commit."""
    variables: tuple[tuple[str, str], ...] = ()
    """Environment variables that its build needs, sorted: the version out of git."""


@dataclass(frozen=True, slots=True)
class LockedRelease:
    """A version of a project, and the only source of it that may be used."""

    name: str
    version: Version
    origin: LockedFile | LockedPlace
    index: str | None = None
    """The index that has it, without credentials."""
    requires_python: str | None = None
    extras: tuple[str, ...] = ()
    """The extras that are asked for on some platform, sorted."""
    dependencies: tuple[str, ...] = ()
    """The projects that it needs at run time on some platform, sorted."""

    @property
    def subject(self) -> str:
        """`stevedore==5.10.0`."""
        return f"{self.name}=={self.version}"


@dataclass(frozen=True, slots=True)
class LockedBuild:
    """What a release is built from on one platform."""

    source: str | None
    """The digest of the prepared source; None for what is not built."""
    environment: tuple[str, ...]
    """What is in its build environment: releases as `name==version`, sorted."""


@dataclass(frozen=True, slots=True)
class LockedPlatform:
    """What a set was resolved for."""

    name: str
    """`cpython-312-linux-x86_64`."""
    python: str
    """`3.12`."""
    markers: tuple[tuple[str, str], ...]
    """The variables (PEP 508) that tell platforms apart, sorted."""

    @classmethod
    def of(cls, interpreter: Interpreter) -> LockedPlatform:
        """The platform of an interpreter; a patch release is no other platform."""
        found = interpreter.marker_environment
        names = (
            "implementation_name",
            "platform_machine",
            "python_version",
            "sys_platform",
        )
        parts = (
            interpreter.cache_tag,
            found["sys_platform"],
            found["platform_machine"],
        )
        return cls(
            "-".join(parts),
            interpreter.python_version,
            tuple((name, found[name]) for name in names),
        )

    @property
    def marker(self) -> str:
        """A marker that holds on this platform and on no other one of a lock."""
        return " and ".join(f"{name} == '{value}'" for name, value in self.markers)


@dataclass(frozen=True)
class LockedSet:
    """One consistent set for one platform, and what builds it."""

    platform: LockedPlatform
    wheels: tuple[str, ...]
    """The releases that are installed, as `name==version`, sorted."""
    builds: Mapping[str, LockedBuild]
    """By release, of everything that is built: what is installed, and the tools."""


@dataclass(frozen=True, slots=True)
class LockedRequest:
    """What was asked for, as texts without the places that they came from."""

    requirements: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    build_constraints: tuple[str, ...] = ()
    prereleases: bool = False
    variant: str = "cpu"
    indexes: tuple[str, ...] = ()
    """Without credentials, in order of priority."""
    limits: tuple[tuple[str, str | int], ...] = ()
    """How new files might be: the settings in force, sorted by name."""
    direct: tuple[DirectRequirement, ...] = ()
    """Requirements that say where their source is, with the name of their project."""
    direct_constraints: tuple[DirectRequirement, ...] = ()


@dataclass(frozen=True)
class Lock:
    """Everything that a request takes, on each of some platforms.

    Raises:
        InvalidLock: it is not closed, or a project is in one set twice.
    """

    request: LockedRequest
    releases: tuple[LockedRelease, ...]
    """Sorted by name and version."""
    sets: tuple[LockedSet, ...]
    """Sorted by the platform's name."""

    def __post_init__(self) -> None:
        if len(self.by_subject) != len(self.releases):
            raise InvalidLock("a release is in it twice")
        for locked in self.sets:
            self._check(locked)

    @cached_property
    def by_subject(self) -> Mapping[str, LockedRelease]:
        """The releases by `name==version`."""
        return {release.subject: release for release in self.releases}

    @property
    def is_fixed(self) -> bool:
        """Whether all that it names can only ever be one content; folders may change."""
        origins = (release.origin for release in self.releases)
        return all(not isinstance(o, LockedPlace) or o.source.is_fixed for o in origins)

    def installed_on(self, subject: str) -> tuple[str, ...]:
        """The names of the platforms on which a release is installed."""
        return tuple(s.platform.name for s in self.sets if subject in s.wheels)

    def _check(self, locked: LockedSet) -> None:
        where = f"on {locked.platform.name}"
        named = [*locked.wheels, *locked.builds]
        for subject, build in locked.builds.items():
            named += build.environment
            self._check_names(build.environment, f"in the build of {subject}")
        for subject in named:
            if subject not in self.by_subject:
                raise InvalidLock(f"{where}, {subject} is needed and is not in it")
            if subject not in locked.builds:
                raise InvalidLock(f"{where}, {subject} has no build environment")
        self._check_names(locked.wheels, where)

    def _check_names(self, subjects: tuple[str, ...], where: str) -> None:
        names = [subject.partition("==")[0] for subject in subjects]
        for name in names:
            if names.count(name) > 1:
                raise InvalidLock(f"{where}, {name} has several versions")
