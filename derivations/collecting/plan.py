"""What a collection is made from, as a value; and as the options of its derivation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from fromager.derivations.errors import InvalidDerivation
from fromager.derivations.locking.lock import LockedPlatform

if TYPE_CHECKING:
    from fromager.derivations.derivation import Value


@dataclass(frozen=True, slots=True)
class CollectedWheel:
    """A wheel of a collection."""

    name: str
    version: str
    filename: str
    prebuilt: bool = False
    """Whether it was taken from an index, since settings asked for that."""

    @property
    def subject(self) -> str:
        """`stevedore==5.10.0`."""
        return f"{self.name}=={self.version}"


@dataclass(frozen=True, slots=True)
class SetMember:
    """A wheel in one set."""

    subject: str
    extras: tuple[str, ...] = ()
    """The extras that are asked for in that set, sorted."""
    dependencies: tuple[str, ...] = ()
    """The members that it needs, as `name==version`, sorted."""


@dataclass(frozen=True)
class CollectedSet:
    """Wheels that are installed together: of no project more than one."""

    requested: tuple[str, ...]
    """The members that were asked for, as `name==version`, sorted."""
    members: tuple[SetMember, ...]
    """Sorted by subject."""

    def way_to(self, subject: str) -> tuple[str, ...]:
        """Why a wheel is in the set: from what was asked for, along what needs it."""
        needs = {member.subject: member.dependencies for member in self.members}
        ways: list[tuple[str, ...]] = [(each,) for each in self.requested]
        seen = set(self.requested)
        for way in ways:
            if way[-1] == subject:
                return way
            for needed in needs.get(way[-1], ()):
                if needed not in seen:
                    seen.add(needed)
                    ways.append((*way, needed))
        return ()


@dataclass(frozen=True)
class CollectionPlan:
    """What a collection is made from, apart from the bytes of its wheels.

    Nothing of it depends on the machine, beyond what wheels are chosen for.

    Raises:
        InvalidDerivation: a set names what is not in the collection.
    """

    platform: LockedPlatform
    wheels: tuple[CollectedWheel, ...]
    """Sorted by name and version."""
    sets: tuple[CollectedSet, ...]
    """One, whatever was asked for; or one for each requirement, if they were resolved
    on their own."""
    several: bool = False
    """Whether each requirement was resolved on its own, so that there may be several
    versions of a project."""

    def __post_init__(self) -> None:
        known = {wheel.subject for wheel in self.wheels}
        for each in self.sets:
            members = {member.subject for member in each.members}
            needed = {d for member in each.members for d in member.dependencies}
            if not needed | {*each.requested} <= members or not members <= known:
                raise InvalidDerivation("collection", "a set of it is not closed")
        if not self.several and len(self.sets) != 1:
            raise InvalidDerivation("collection", "it has not exactly one set")

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """A name for each of several sets, all different: `stevedore-5.10.0`."""
        found: list[str] = []
        for each in self.sets:
            label = "+".join(text.replace("==", "-") for text in each.requested)
            number = 2
            while label in found:
                label = f"{label.rpartition('~')[0] or label}~{number}"
                number += 1
            found.append(label)
        return tuple(found)

    @cached_property
    def subject(self) -> str:
        """What was asked for, as people name it: `iniconfig, stevedore`."""
        requested = sorted(
            {s.partition("==")[0] for e in self.sets for s in e.requested}
        )
        more = f" and {len(requested) - 3} more" if len(requested) > 4 else ""
        return ", ".join(requested[: 3 if more else None]) + more

    def role(self, wheel: CollectedWheel) -> str:
        """The role of a wheel among the inputs of the derivation."""
        alone = sum(each.name == wheel.name for each in self.wheels) == 1
        return f"wheel:{wheel.name if alone else wheel.subject}"

    @property
    def options(self) -> Mapping[str, Value]:
        """The plan as options of a derivation; `read_plan` reads them."""
        return {
            "platform": {
                "name": self.platform.name,
                "python": self.platform.python,
                "markers": dict(self.platform.markers),
            },
            "several": self.several,
            "sets": tuple(
                {
                    "requested": each.requested,
                    "members": {
                        member.subject: {
                            "extras": member.extras,
                            "dependencies": member.dependencies,
                        }
                        for member in each.members
                    },
                }
                for each in self.sets
            ),
            "wheels": {
                wheel.subject: {"filename": wheel.filename, "prebuilt": wheel.prebuilt}
                for wheel in self.wheels
            },
        }


def read_plan(options: Mapping[str, Value]) -> CollectionPlan:
    """The plan in the options of a derivation.

    Raises:
        InvalidDerivation: they hold none.
    """
    from packaging.version import Version

    platform = _table(options, "platform")
    wheels = []
    for subject, row in _table(options, "wheels").items():
        name, _, version = subject.partition("==")
        filename = _text(_mapping(row), "filename")
        prebuilt = _mapping(row).get("prebuilt") is True
        wheels.append(CollectedWheel(name, version, filename, prebuilt))
    markers = _table(platform, "markers")
    return CollectionPlan(
        LockedPlatform(
            _text(platform, "name"),
            _text(platform, "python"),
            tuple(sorted((name, str(value)) for name, value in markers.items())),
        ),
        tuple(sorted(wheels, key=lambda each: (each.name, Version(each.version)))),
        tuple(_set(_mapping(row)) for row in _items(options.get("sets"))),
        options.get("several") is True,
    )


def _set(row: Mapping[str, Value]) -> CollectedSet:
    members = (
        SetMember(
            subject,
            _texts(_mapping(member).get("extras")),
            _texts(_mapping(member).get("dependencies")),
        )
        for subject, member in sorted(_table(row, "members").items())
    )
    return CollectedSet(_texts(row.get("requested")), tuple(members))


def _table(options: Mapping[str, Value], name: str) -> Mapping[str, Value]:
    return _mapping(options.get(name))


def _mapping(value: Value) -> Mapping[str, Value]:
    if not isinstance(value, Mapping):
        raise InvalidDerivation("collection", "its options do not tell what it is of")
    return value


def _text(options: Mapping[str, Value], name: str) -> str:
    value = options.get(name)
    if not isinstance(value, str):
        raise InvalidDerivation("collection", f"its {name} is no text")
    return value


def _texts(value: Value) -> tuple[str, ...]:
    return tuple(str(each) for each in _items(value))


def _items(value: Value) -> tuple[Value, ...]:
    return value if isinstance(value, tuple) else ()
