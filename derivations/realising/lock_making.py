"""A lock out of what was resolved and planned; and locks for platforms put together."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fromager.derivations.derivation import Kind
from fromager.derivations.errors import SourceError
from fromager.derivations.locking.lock import (
    Lock,
    LockedBuild,
    LockedFile,
    LockedPlace,
    LockedPlatform,
    LockedRelease,
    LockedRequest,
    LockedSet,
)
from fromager.derivations.locking.places import recorded
from fromager.derivations.sources.direct import ArchiveSource, GitSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fromager.derivations.derivation import Derivation
    from fromager.derivations.realising.plan import Plan
    from fromager.derivations.resolution.candidate import Release
    from fromager.derivations.resolution.outcome import Pin, Resolved
    from fromager.derivations.sources.direct import DirectRequirement, DirectSource


@dataclass(frozen=True)
class Planned:
    """What a request came to, without being built."""

    resolution: Resolved
    plans: Mapping[str, Plan]
    """By `name==version`, of all that was looked at; more than what is needed."""
    indexes: Mapping[str, str]
    """By project, the index that has it."""
    direct: tuple[DirectRequirement, ...] = ()
    """The requirements that said where their source is, with the names found there."""
    asked: Mapping[str, DirectSource] = field(default_factory=dict)
    """By project, the place as it was asked for."""
    pages: Mapping[str, str] = field(default_factory=dict)
    """By project, the stamp of the page that was read."""

    def lock(self, platform: LockedPlatform, request: LockedRequest) -> Lock:
        """The lock of everything that is installed, and of what builds it.

        Raises:
            SourceError: a source that can be anything the next time.
        """
        request = replace(request, direct=recorded(self.direct))
        pins = {f"{pin.name}=={pin.version}": pin for pin in self.resolution.pins}
        needed = list(pins)
        for subject in needed:
            more = self.plans[subject].environment
            needed += [each for each in more if each not in needed]
        return Lock(
            request,
            _sorted(self._release(each, pins.get(each)) for each in needed),
            (
                LockedSet(
                    platform,
                    tuple(sorted(pins)),
                    {each: _build(self.plans[each]) for each in sorted(needed)},
                ),
            ),
        )

    def _release(self, subject: str, pin: Pin | None) -> LockedRelease:
        plan = self.plans[subject]
        release, file = plan.release, plan.file
        if release.source is not None:
            origin: LockedFile | LockedPlace = self._place(plan, release.source)
        elif file is None or file.kind is not Kind.FETCH:
            raise SourceError(f"{subject} is no file with a hash: it cannot be locked")
        else:
            origin = _file(release, file)
        return LockedRelease(
            plan.name,
            release.version,
            origin,
            self.indexes.get(plan.name),
            release.requires_python,
            () if pin is None else pin.extras,
            () if pin is None else pin.dependencies,
        )

    def _place(self, plan: Plan, source: DirectSource) -> LockedPlace:
        asked = self.asked.get(plan.name)
        requested = asked.ref if isinstance(asked, GitSource) else None
        if isinstance(source, ArchiveSource) and plan.file is not None:
            sha256 = str(dict(plan.file.options)["sha256"])
            source = replace(source, sha256=sha256)
        content = None if plan.content is None else str(plan.content)
        return LockedPlace(source, content, requested, plan.release.variables)


def _file(release: Release, file: Derivation) -> LockedFile:
    options = dict(file.options)
    urls = dict(file.hints).get("urls")
    return LockedFile(
        str(options["filename"]),
        str(urls[0]) if isinstance(urls, tuple) and urls else release.url,
        str(options["sha256"]),
        release.size,
        release.upload_time,
        release.prebuilt,
    )


def joined(locks: Sequence[Lock]) -> Lock:
    """One lock for the platforms of several that were made for the same request."""
    releases: dict[str, LockedRelease] = {}
    for lock in locks:
        for release in lock.releases:
            known = releases.get(release.subject, release)
            releases[release.subject] = LockedRelease(
                release.name,
                release.version,
                known.origin,
                known.index,
                known.requires_python,
                tuple(sorted({*known.extras, *release.extras})),
                tuple(sorted({*known.dependencies, *release.dependencies})),
            )
    sets = {each.platform.name: each for lock in locks for each in lock.sets}
    ordered = tuple(locked for _, locked in sorted(sets.items()))
    direct = recorded(each for lock in locks for each in lock.request.direct)
    request = replace(locks[0].request, direct=direct)
    return Lock(request, _sorted(releases.values()), ordered)


def _sorted(releases: Iterable[LockedRelease]) -> tuple[LockedRelease, ...]:
    return tuple(sorted(releases, key=lambda each: (each.name, each.version)))


def _build(plan: Plan) -> LockedBuild:
    source = None if plan.source is None else str(plan.source)
    return LockedBuild(source, plan.environment)
