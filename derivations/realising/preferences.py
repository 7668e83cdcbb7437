"""Versions that are taken rather than the newest ones, wherever they fit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from fromager.derivations.locking.lock import LockedPlace
from fromager.derivations.locking.places import as_asked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.version import Version

    from fromager.derivations.locking.lock import Lock, LockedPlatform
    from fromager.derivations.resolution.request import GivenRequirement
    from fromager.derivations.sources.direct import DirectSource


@dataclass(frozen=True, slots=True)
class Preferences:
    """By project, for what is installed and for what it is built with.

    They decide between answers, never whether there is one.
    """

    installed: Mapping[str, Version] = field(default_factory=dict)
    tools: Mapping[str, Version] = field(default_factory=dict)
    """For all build environments."""
    tools_of: Mapping[str, Mapping[str, Version]] = field(default_factory=dict)
    """For the build environment of one release (`name==version`) or, where none is
    given for that, of one project."""
    sources: Mapping[DirectSource, DirectSource] = field(default_factory=dict)
    """What places as they are asked for stand for: commits, archives with a hash."""

    def to_build(self, subject: str) -> Mapping[str, Version]:
        """What is preferred in the build environment of a release."""
        return {**self.tools, **self.held(subject)}

    def held(self, subject: str) -> Mapping[str, Version]:
        """What is preferred for that environment alone."""
        name = subject.partition("==")[0]
        return self.tools_of.get(subject, self.tools_of.get(name, {}))


@dataclass(frozen=True, slots=True)
class ToolVersions:
    """What the build environments of a run hold, as it was chosen for all of them."""

    of: Mapping[str, Mapping[str, Version]] = field(default_factory=dict)
    """By `name==version` of what is built there; and what it would hold of others."""
    others: Mapping[str, tuple[Version, ...]] = field(default_factory=dict)
    """By project, for what is found to be needed later: the first before the others."""
    required: Mapping[str, tuple[GivenRequirement, ...]] = field(default_factory=dict)
    """By `name==version`, limits that settings demand."""

    def preferred(self, subject: str) -> Mapping[str, tuple[Version, ...]]:
        """By project, what is tried first in one environment."""
        own = self.of.get(subject, {})
        return {**self.others, **{name: (own[name],) for name in own}}


def kept_versions(
    lock: Lock | None, platform: LockedPlatform, given_up: frozenset[str]
) -> Preferences:
    """What a lock says for a platform, without the projects that are given up."""
    found = [] if lock is None else [s for s in lock.sets if s.platform == platform]
    if lock is None or not found:
        return NO_PREFERENCES
    [locked] = found

    def versions(subjects: Iterable[str]) -> dict[str, Version]:
        releases = (lock.by_subject[subject] for subject in subjects)
        return {r.name: r.version for r in releases if r.name not in given_up}

    tools_of = {
        subject: versions(build.environment)
        for subject, build in sorted(locked.builds.items())
    }
    # What has no environment yet gets what builds the others.
    tools = versions(
        sorted({each for build in locked.builds.values() for each in build.environment})
    )
    by_name = {subject.partition("==")[0]: own for subject, own in tools_of.items()}
    return Preferences(
        versions(locked.wheels),
        tools,
        {**by_name, **tools_of},
        {
            as_asked(
                release.origin.source, release.origin.requested
            ): release.origin.source
            for release in lock.releases
            if isinstance(release.origin, LockedPlace)
            and release.origin.source.is_fixed
            and release.name not in given_up
        },
    )


NO_PREFERENCES: Final = Preferences()
"""The newest versions that fit are taken."""
NO_TOOL_VERSIONS: Final = ToolVersions()
"""Each build environment is a matter of its own."""
