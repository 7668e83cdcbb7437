"""What changed from one collection to another, in words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from fromager.derivations.collecting.graph import (
        CollectionGraph,
        GraphSet,
        GraphWheel,
    )


_KINDS: Final = {"single": "one set", "several": "a set for each requirement"}


class CollectionAspect(Enum):
    """What of a collection changed."""

    KIND = "kind"
    """A single set, or several."""
    PLATFORM = "platform"
    REQUEST = "request"
    SET = "set"
    VERSION = "version"
    """A project is new, gone, or there in other versions."""
    WHEEL = "wheel"
    """A wheel of the same version has other bytes."""
    PREBUILT = "prebuilt"
    """What was built is taken from an index now, or the other way round."""
    DEPENDENCY = "dependency"


@dataclass(frozen=True, slots=True)
class CollectionChange:
    """One thing that is not the same in two collections."""

    aspect: CollectionAspect
    subject: str
    """What it is about: a project, a wheel as `name==version`, a set."""
    before: str | None
    after: str | None
    text: str
    """A sentence without a full stop."""

    @property
    def row(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "aspect": self.aspect.value,
            "subject": self.subject,
            "before": self.before,
            "after": self.after,
            "text": self.text,
        }

    def __str__(self) -> str:
        return self.text


def collection_changes(
    before: CollectionGraph, after: CollectionGraph
) -> tuple[CollectionChange, ...]:
    """All changes; none if both hold the same wheels for the same reasons."""
    return (
        *_heads(before, after),
        *_versions(before, after),
        *_wheels(before, after),
        *_sets(before, after),
    )


def rebuilt_wheels(before: CollectionGraph, after: CollectionGraph) -> tuple[str, ...]:
    """The file names of wheels that both have, with other bytes."""
    hashes = {wheel.filename: wheel.sha256 for wheel in before.wheels.values()}
    return tuple(
        wheel.filename
        for wheel in after.wheels.values()
        if hashes.get(wheel.filename, wheel.sha256) != wheel.sha256
    )


def _heads(
    before: CollectionGraph, after: CollectionGraph
) -> Iterator[CollectionChange]:
    for aspect, was, now in (
        (CollectionAspect.KIND, before.kind, after.kind),
        (CollectionAspect.PLATFORM, before.platform, after.platform),
    ):
        if was != now:
            text = f"the platform is {now}, it was {was}"
            if aspect is CollectionAspect.KIND:
                text = (
                    f"there is {_KINDS.get(now, now)}, there was {_KINDS.get(was, was)}"
                )
            yield CollectionChange(aspect, "", was, now, text)


def _versions(
    before: CollectionGraph, after: CollectionGraph
) -> Iterator[CollectionChange]:
    old, new = _by_name(before.wheels.values()), _by_name(after.wheels.values())
    for name in sorted({*old, *new}):
        was, now = old.get(name), new.get(name)
        if was == now:
            continue
        if now is None:
            text = f"{name} {was} is gone"
        elif was is None:
            text = f"{name} {now} is new"
        else:
            text = f"{name} is {now}, it was {was}"
        yield CollectionChange(CollectionAspect.VERSION, name, was, now, text)


def _wheels(
    before: CollectionGraph, after: CollectionGraph
) -> Iterator[CollectionChange]:
    for subject in sorted({*before.wheels} & {*after.wheels}):
        was, now = before.wheels[subject], after.wheels[subject]
        if was.prebuilt != now.prebuilt:
            text = f"{subject} is {_origin(now)}, it was {_origin(was)}"
            yield CollectionChange(
                CollectionAspect.PREBUILT, subject, _origin(was), _origin(now), text
            )
        if (was.filename, was.sha256) != (now.filename, now.sha256):
            name = "" if was.filename == now.filename else f", {now.filename}"
            text = (
                f"the wheel of {subject} is another one{name}: sha256 {now.sha256}, "
                f"it was {was.sha256}"
            )
            yield CollectionChange(
                CollectionAspect.WHEEL, subject, was.sha256, now.sha256, text
            )


def _sets(
    before: CollectionGraph, after: CollectionGraph
) -> Iterator[CollectionChange]:
    old, new = ({each.name: each for each in g.sets} for g in (before, after))
    for name in sorted({*old, *new}):
        if name not in new or name not in old:
            gone = name not in new
            text = f"the set {name or 'of everything'} is {'gone' if gone else 'new'}"
            was, now = ("there", None) if gone else (None, "there")
            yield CollectionChange(CollectionAspect.SET, name, was, now, text)
        else:
            where = f" in the set {name}" if name else ""
            yield from _set(old[name], new[name], where)


def _set(was: GraphSet, now: GraphSet, where: str) -> Iterator[CollectionChange]:
    old, new = _projects(was.requested), _projects(now.requested)
    for name in sorted(old ^ new):
        is_new = name in new
        text = f"{name} is {'' if is_new else 'not '}asked for{'' if is_new else ' any more'}"
        before, after = (None, "requested") if is_new else ("requested", None)
        yield CollectionChange(
            CollectionAspect.REQUEST, name, before, after, f"{text}{where}"
        )
    for subject in sorted({*was.members} & {*now.members}):
        needed, needs = (
            ", ".join(sorted(_projects(each.members[subject]))) for each in (was, now)
        )
        if needed != needs:
            text = (
                f"{subject} needs {needs or 'nothing'}, it needed {needed or 'nothing'}"
            )
            yield CollectionChange(
                CollectionAspect.DEPENDENCY, subject, needed, needs, f"{text}{where}"
            )


def _by_name(wheels: Iterable[GraphWheel]) -> Mapping[str, str]:
    """By project, its versions in one text."""
    found: dict[str, list[str]] = {}
    for wheel in wheels:
        found.setdefault(wheel.name, []).append(wheel.version)
    return {name: " and ".join(versions) for name, versions in found.items()}


def _projects(subjects: Iterable[str]) -> set[str]:
    return {subject.partition("==")[0] for subject in subjects}


def _origin(wheel: GraphWheel) -> str:
    return "prebuilt" if wheel.prebuilt else "built from source"
