"""What changed from one lock to another, in words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from fromager.derivations.locking.lock import LockedFile, LockedPlace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from fromager.derivations.locking.lock import Lock, LockedRelease, LockedSet


class LockAspect(Enum):
    """What of a lock changed."""

    REQUEST = "request"
    """What the lock was made for."""
    PLATFORM = "platform"
    VERSION = "version"
    """What is installed is new, gone, or in another version."""
    SOURCE = "source"
    """The same version is taken from elsewhere, or is prepared otherwise."""
    DEPENDENCY = "dependency"
    ENVIRONMENT = "environment"
    """What a release is built with."""


@dataclass(frozen=True, slots=True)
class LockChange:
    """One thing that is not the same in two locks."""

    aspect: LockAspect
    subject: str
    """What it is about: a project, a release as `name==version`, a setting."""
    before: str | None
    after: str | None
    text: str
    """A sentence without a full stop."""
    build_of: str | None = None
    """The release that is built with it, if it is about an environment."""
    platform: str | None = None
    """Where; None: everywhere."""

    @property
    def row(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "aspect": self.aspect.value,
            "subject": self.subject,
            "before": self.before,
            "after": self.after,
            "build_of": self.build_of,
            "platform": self.platform,
            "text": self.text,
        }

    def __str__(self) -> str:
        return self.text


def lock_changes(before: Lock, after: Lock) -> tuple[LockChange, ...]:
    """All changes, each once; none if the locks are equal."""
    return tuple(dict.fromkeys([*_request(before, after), *_sets(before, after)]))


def _request(before: Lock, after: Lock) -> Iterator[LockChange]:
    old, new = before.request, after.request
    for title, was, now in (
        (
            "requirement",
            _texts(old.requirements, old.direct),
            _texts(new.requirements, new.direct),
        ),
        (
            "constraint",
            _texts(old.constraints, old.direct_constraints),
            _texts(new.constraints, new.direct_constraints),
        ),
        ("build constraint", old.build_constraints, new.build_constraints),
        ("index", old.indexes, new.indexes),
    ):
        for text in was:
            if text not in now:
                yield _asked(title, text, None, f"the {title} {text} is gone")
        for text in now:
            if text not in was:
                yield _asked(title, None, text, f"the {title} {text} is new")
    if old.variant != new.variant:
        text = f"the variant is {new.variant}, it was {old.variant}"
        yield _asked("variant", old.variant, new.variant, text)
    if old.prereleases != new.prereleases:
        allowed = "are allowed" if new.prereleases else "are not allowed any more"
        was_so, is_so = (str(each.prereleases).lower() for each in (old, new))
        yield _asked("prereleases", was_so, is_so, f"pre-releases {allowed}")
    was_limits, now_limits = dict(old.limits), dict(new.limits)
    for name in sorted({*was_limits, *now_limits}):
        before_it = was_limits.get(name, "not set")
        after_it = now_limits.get(name, "not set")
        if before_it != after_it:
            text = f"{name} is {after_it}, it was {before_it}"
            yield _asked(name, str(before_it), str(after_it), text)


def _texts(by_name: Iterable[str], direct: Iterable[object]) -> tuple[str, ...]:
    return (*by_name, *map(str, direct))


def _asked(
    subject: str, before: str | None, after: str | None, text: str
) -> LockChange:
    return LockChange(LockAspect.REQUEST, subject, before, after, text)


def _sets(before: Lock, after: Lock) -> Iterator[LockChange]:
    old = {locked.platform.name: locked for locked in before.sets}
    new = {locked.platform.name: locked for locked in after.sets}
    for name in sorted({*old} ^ {*new}):
        is_new = name in new
        text = f"the platform {name} is {'new' if is_new else 'gone'}"
        was, now = (None, name) if is_new else (name, None)
        yield LockChange(LockAspect.PLATFORM, name, was, now, text)
    for name, locked in old.items():
        if name in new:
            where = None if len(old) == len(new) == 1 else name
            yield from _Sets(before, locked, after, new[name], where).changes()


@dataclass(frozen=True)
class _Sets:
    """What was and is locked for one platform."""

    before: Lock
    old: LockedSet
    after: Lock
    new: LockedSet
    platform: str | None

    def changes(self) -> Iterator[LockChange]:
        yield from self._versions(self.old.wheels, self.new.wheels, None)
        for subject in sorted({*self.old.builds} & {*self.new.builds}):
            was, now = self.before.by_subject[subject], self.after.by_subject[subject]
            yield from self._release(was, now)
            old, new = self.old.builds[subject], self.new.builds[subject]
            if old.source != new.source and was.origin == now.origin:
                text = f"the source of {subject} is prepared otherwise"
                yield self._source(subject, old.source, new.source, text)
            yield from self._versions(old.environment, new.environment, subject)

    def _release(self, was: LockedRelease, now: LockedRelease) -> Iterator[LockChange]:
        subject, old, new = now.subject, was.origin, now.origin
        if isinstance(old, LockedFile) and isinstance(new, LockedFile):
            yield from self._files(subject, old, new)
        elif isinstance(old, LockedPlace) and isinstance(new, LockedPlace):
            yield from self._places(subject, old, new)
        else:
            places = _place_of(old), _place_of(new)
            text = f"{subject} is taken from {places[1]}, it was taken from {places[0]}"
            yield self._source(subject, *places, text)
        if was.dependencies != now.dependencies:
            needed, needs = (
                ", ".join(each.dependencies) or "nothing" for each in (was, now)
            )
            text = f"{subject} needs {needs}, it needed {needed}"
            yield LockChange(
                LockAspect.DEPENDENCY,
                subject,
                needed,
                needs,
                text + self._where,
                platform=self.platform,
            )

    def _files(
        self, subject: str, old: LockedFile, new: LockedFile
    ) -> Iterator[LockChange]:
        if old.prebuilt != new.prebuilt:
            ways = ("built from source", "prebuilt")
            was, now = ways[old.prebuilt], ways[new.prebuilt]
            yield self._source(subject, was, now, f"{subject} is {now}, it was {was}")
        elif old.sha256 != new.sha256:
            text = (
                f"the file of {subject} is another one: sha256 {new.sha256}, it was "
                f"{old.sha256}"
            )
            yield self._source(subject, old.sha256, new.sha256, text)
        elif old.url != new.url:
            text = f"the file of {subject} is fetched from {new.url}"
            yield self._source(subject, old.url, new.url, text)

    def _places(
        self, subject: str, old: LockedPlace, new: LockedPlace
    ) -> Iterator[LockChange]:
        was, now = str(old.source), str(new.source)
        if was != now:
            text = f"{subject} is taken from {now}, it was taken from {was}"
            yield self._source(subject, was, now, text)
        elif old.content != new.content:
            text = f"the files of {subject} at {now} are others"
            yield self._source(subject, old.content, new.content, text)

    def _source(
        self, subject: str, before: str | None, after: str | None, text: str
    ) -> LockChange:
        return LockChange(
            LockAspect.SOURCE,
            subject,
            before,
            after,
            text + self._where,
            platform=self.platform,
        )

    def _versions(
        self, before: Sequence[str], after: Sequence[str], build_of: str | None
    ) -> Iterator[LockChange]:
        old, new = _by_name(before), _by_name(after)
        purpose = "" if build_of is None else f" to build {build_of}"
        aspect = LockAspect.VERSION if build_of is None else LockAspect.ENVIRONMENT
        for name in sorted({*old, *new}):
            was, now = old.get(name), new.get(name)
            if now is None:
                text = f"{name} {was} is gone{purpose}"
            elif was is None:
                text = f"{name} {now} is new{purpose}"
            else:
                text = f"{name} is {now}, it was {was}{purpose}"
            if was != now:
                text += self._where
                yield LockChange(aspect, name, was, now, text, build_of, self.platform)

    @property
    def _where(self) -> str:
        return "" if self.platform is None else f" on {self.platform}"


def _place_of(origin: LockedFile | LockedPlace) -> str:
    return origin.url if isinstance(origin, LockedFile) else str(origin.source)


def _by_name(subjects: Iterable[str]) -> Mapping[str, str]:
    return {name: version for name, _, version in (s.partition("==") for s in subjects)}
