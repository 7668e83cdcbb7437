"""Versions from a lock: no index is asked, and nothing else is taken."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from fromager.derivations.locking.errors import LockMismatch
from fromager.derivations.locking.lock import LockedPlace
from fromager.derivations.realising.located import release_at
from fromager.derivations.resolution.candidate import Release
from fromager.derivations.resolution.outcome import Pin, Resolved

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.requirements import Requirement
    from packaging.version import Version

    from fromager.derivations.locking.lock import (
        Lock,
        LockedPlatform,
        LockedRelease,
        LockedSet,
    )
    from fromager.derivations.realising.resolutions import AskMetadata
    from fromager.derivations.resolution.candidate import Metadata
    from fromager.derivations.resolution.request import GivenRequirement, Request
    from fromager.store import Digest

_AGAIN = "Make the lock anew"


@dataclass
class LockedVersions:
    """Answers from one set of a lock; see `Resolutions`."""

    lock: Lock
    locked: LockedSet
    metadata: dict[tuple[str, Version], Metadata] = field(default_factory=dict)

    @property
    def page_digests(self) -> Mapping[str, Digest]:
        """Nothing was read."""
        return {}

    async def of_request(
        self,
        request: Request,
        ask: AskMetadata,
        metadata: dict[tuple[str, Version], Metadata] | None = None,
    ) -> Resolved:
        """The locked set, as far as the request needs it."""
        pins = self._pins(self.locked.wheels)
        _check(request.requirements, pins, request, "the request")
        _check(
            [c for c in request.constraints if _name(c.requirement) in pins],
            *(pins, request, "the request"),
        )
        for name, allowed in request.hashes.items():
            if name in pins and pins[name].release.sha256 not in allowed:
                message = f"the file of {name} that is locked has none of its hashes"
                raise LockMismatch(message, hint=_AGAIN)
        wanted = [
            _name(r.requirement) for r in _applying(request.requirements, request)
        ]
        if metadata is None:
            for name in wanted:
                wanted += [n for n in pins[name].dependencies if n not in wanted]
        return Resolved(tuple(pins[name] for name in sorted(set(wanted))))

    async def of_environment(
        self, subject: str, request: Request, ask: AskMetadata
    ) -> Resolved:
        """The locked build environment of a release."""
        build = self.locked.builds.get(subject)
        if build is None:
            message = f"the lock does not say what {subject} is built with"
            raise LockMismatch(message, hint=_AGAIN)
        pins = self._pins(build.environment)
        where = f"the build of {subject}"
        # An environment names all that is in it: what extras stand for, too.
        for each in _applying(request.requirements, request):
            if (pin := pins.get(_name(each.requirement))) is not None:
                asked = map(canonicalize_name, each.requirement.extras)
                extras = tuple(sorted({*pin.extras, *asked}))
                pins[pin.name] = replace(pin, extras=extras)
        _check(request.requirements, pins, request, where)
        narrowing = [c for c in request.constraints if _name(c.requirement) in pins]
        _check(narrowing, pins, request, where)
        return Resolved(tuple(pins.values()))

    def with_tools(self, found: Iterable[Resolved]) -> Mapping[str, Release]:
        """By `name==version`, these sets and all that they are built with."""
        pending = [f"{pin.name}=={pin.version}" for each in found for pin in each.pins]
        releases: dict[str, Release] = {}
        while pending:
            subject = pending.pop()
            if subject not in releases:
                releases[subject] = _release(self.lock.by_subject[subject])
                build = self.locked.builds.get(subject)
                pending += () if build is None else build.environment
        return releases

    def comes_from_place(self, name: str, version: Version) -> bool:
        """Whether the lock names a place of its own for it."""
        release = self.lock.by_subject.get(f"{name}=={version}")
        return release is not None and isinstance(release.origin, LockedPlace)

    def check_source(
        self, subject: str, source: Digest, content: Digest | None
    ) -> None:
        """Refuse what is not what was locked, or was prepared otherwise."""
        release = self.lock.by_subject.get(subject)
        place = None if release is None else release.origin
        if isinstance(place, LockedPlace) and place.content not in (None, str(content)):
            raise LockMismatch(
                f"{subject}: {place.source} holds other files than it did when it was "
                f"locked: {content}, not {place.content}",
                hint=f"{_AGAIN} if the change is meant",
            )
        build = self.locked.builds.get(subject)
        if build is not None and build.source not in (None, str(source)):
            raise LockMismatch(
                f"{subject}: its prepared source is {source}, and {build.source} is "
                "locked: patches or settings are others",
                hint=f"{_AGAIN} if the change is meant",
            )

    def _pins(self, subjects: Iterable[str]) -> dict[str, Pin]:
        releases = [self.lock.by_subject[subject] for subject in subjects]
        names = {release.name for release in releases}
        return {release.name: _pin(release, names) for release in releases}


def locked_set(lock: Lock, platform: LockedPlatform) -> LockedSet:
    """The set for a platform.

    Raises:
        LockMismatch: there is none.
    """
    for locked in lock.sets:
        if locked.platform == platform:
            return locked
    there = " and ".join(locked.platform.name for locked in lock.sets)
    raise LockMismatch(
        f"the lock is for {there}, and the interpreter is {platform.name}",
        hint="Lock for this interpreter too, or use another one",
    )


def check_wheels(
    resolution: Resolved, needs: Mapping[str, Metadata], markers: Mapping[str, str]
) -> None:
    """Refuse wheels, given their metadata, that need something else than is in a set.

    Raises:
        LockMismatch: one needs another version, or what is not there.
    """
    versions = {pin.name: pin.version for pin in resolution.pins}
    for pin in resolution.pins:
        surroundings = [{**markers, "extra": extra} for extra in ("", *pin.extras)]
        metadata = needs.get(pin.name)
        for requirement in () if metadata is None else metadata.requires_dist:
            marker = requirement.marker
            if marker is None or any(marker.evaluate(each) for each in surroundings):
                reason = _unmet(requirement, versions)
                if reason is not None:
                    message = f"the wheel of {pin.name}=={pin.version} {reason}"
                    raise LockMismatch(message, hint=_AGAIN)


def _release(locked: LockedRelease) -> Release:
    origin = locked.origin
    if isinstance(origin, LockedPlace):
        found = release_at(locked.version, origin.source, origin.variables)
        return replace(found, requires_python=locked.requires_python, locked=True)
    return Release(
        locked.version,
        origin.filename,
        origin.url,
        sha256=origin.sha256,
        requires_python=locked.requires_python,
        upload_time=origin.upload_time,
        size=origin.size,
        prebuilt=origin.prebuilt,
        locked=True,
    )


def _pin(release: LockedRelease, names: set[str]) -> Pin:
    return Pin(
        release.name,
        release.version,
        _release(release),
        release.extras,
        tuple(name for name in release.dependencies if name in names),
    )


def _check(
    given: Iterable[GivenRequirement],
    pins: Mapping[str, Pin],
    request: Request,
    where: str,
) -> None:
    versions = {name: pin.version for name, pin in pins.items()}
    for each in _applying(given, request):
        requirement = each.requirement
        reason = _unmet(requirement, versions)
        if reason is None:
            missing = set(requirement.extras) - set(pins[_name(requirement)].extras)
            extras = {canonicalize_name(extra) for extra in missing}
            if extras - set(pins[_name(requirement)].extras):
                reason = f"requires {requirement}, which is locked without that extra"
        if reason is not None:
            raise LockMismatch(f"{where} {reason} ({each.origin})", hint=_AGAIN)


def _unmet(requirement: Requirement, versions: Mapping[str, Version]) -> str | None:
    """Why versions do not meet a requirement, as a clause; None if they do."""
    version = versions.get(canonicalize_name(requirement.name))
    shown = f"{requirement.name}{requirement.specifier}"
    if version is None:
        return f"requires {shown}, which is not locked for it"
    if not requirement.specifier.contains(version, prereleases=True):
        return f"requires {shown}, and {version} is locked"
    return None


def _applying(
    given: Iterable[GivenRequirement], request: Request
) -> list[GivenRequirement]:
    markers = {**request.markers, "extra": ""}
    return [
        each
        for each in given
        if each.requirement.marker is None or each.requirement.marker.evaluate(markers)
    ]


def _name(requirement: Requirement) -> str:
    return canonicalize_name(requirement.name)
