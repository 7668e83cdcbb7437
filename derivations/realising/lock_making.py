"""A lock out of what was resolved and planned; and locks for platforms put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fromager.derivations.derivation import Kind
from fromager.derivations.errors import SourceError
from fromager.derivations.locking.lock import (
    Lock,
    LockedBuild,
    LockedFile,
    LockedPlatform,
    LockedRelease,
    LockedRequest,
    LockedSet,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fromager.derivations.realising.plan import Plan
    from fromager.derivations.resolution.outcome import Pin, Resolved


@dataclass(frozen=True)
class Planned:
    """What a request came to, without being built."""

    resolution: Resolved
    plans: Mapping[str, Plan]
    """By `name==version`, of all that was looked at; more than what is needed."""
    indexes: Mapping[str, str]
    """By project, the index that has it."""

    def lock(self, platform: LockedPlatform, request: LockedRequest) -> Lock:
        """The lock of everything that is installed, and of what builds it.

        Raises:
            SourceError: a source that is no file with a hash.
        """
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
        if file is None or file.kind is not Kind.FETCH or release.source is not None:
            raise SourceError(
                f"{subject} is not taken from an index: it cannot be locked",
                hint="Put an sdist of it on an index",
            )
        options = dict(file.options)
        urls = dict(file.hints).get("urls")
        return LockedRelease(
            plan.name,
            release.version,
            LockedFile(
                str(options["filename"]),
                str(urls[0]) if isinstance(urls, tuple) and urls else release.url,
                str(options["sha256"]),
                release.size,
                release.upload_time,
                release.prebuilt,
            ),
            self.indexes.get(plan.name),
            release.requires_python,
            () if pin is None else pin.extras,
            () if pin is None else pin.dependencies,
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
                known.file,
                known.index,
                known.requires_python,
                tuple(sorted({*known.extras, *release.extras})),
                tuple(sorted({*known.dependencies, *release.dependencies})),
            )
    sets = {each.platform.name: each for lock in locks for each in lock.sets}
    ordered = tuple(locked for _, locked in sorted(sets.items()))
    return Lock(locks[0].request, _sorted(releases.values()), ordered)


def _sorted(releases: Iterable[LockedRelease]) -> tuple[LockedRelease, ...]:
    return tuple(sorted(releases, key=lambda each: (each.name, each.version)))


def _build(plan: Plan) -> LockedBuild:
    source = None if plan.source is None else str(plan.source)
    return LockedBuild(source, plan.environment)
