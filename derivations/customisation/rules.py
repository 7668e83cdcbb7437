"""Rules: settings of a package, limited by conditions; and which of them counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.markers import Marker
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    from fromager.derivations.customisation.document import Origin

EVERY_PACKAGE: Final = "*"
DEFAULT_LAYER: Final = -1
"""Of rules that come with the program: before all files of the user."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What conditions are asked of, beside a version."""

    variant: str
    platform: str
    """The platform tag of the interpreter: `linux_x86_64`."""
    markers: Mapping[str, str]
    """The marker environment (PEP 508)."""


@dataclass(frozen=True, slots=True)
class Condition:
    """When a rule holds: when all that it names does."""

    version: SpecifierSet | None = None
    variants: tuple[str, ...] = ()
    """One of these; any if there are none."""
    platforms: tuple[str, ...] = ()
    """Patterns of platform tags, one of which fits; any if there are none."""
    marker: Marker | None = None

    @property
    def count(self) -> int:
        """How many things it asks for."""
        given = (self.version, self.variants or None, self.platforms or None)
        return sum(each is not None for each in (*given, self.marker))

    def holds(self, version: Version | None, around: Circumstances) -> bool:
        """Whether all is as it demands; of no version nothing is true."""
        if self.version is not None and (
            version is None or not self.version.contains(version, prereleases=True)
        ):
            return False
        if self.variants and around.variant not in self.variants:
            return False
        if self.platforms and not any(
            fnmatchcase(around.platform, pattern) for pattern in self.platforms
        ):
            return False
        markers = {**around.markers, "extra": ""}
        return self.marker is None or self.marker.evaluate(markers)

    def __str__(self) -> str:
        parts = []
        if self.version is not None:
            parts.append(f"version {self.version}")
        if self.variants:
            parts.append(f"variant {' or '.join(self.variants)}")
        if self.platforms:
            parts.append(f"platform {' or '.join(self.platforms)}")
        if self.marker is not None:
            parts.append(f"marker {self.marker}")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Assignment:
    """A value of a setting and where it was given."""

    setting: str
    key: str
    """For a setting that is a table: which member; else empty."""
    value: object
    origin: Origin


@dataclass(frozen=True, slots=True)
class Rule:
    """Settings that belong together."""

    package: str
    """A normalised name, or `*` for every package."""
    condition: Condition
    assignments: tuple[Assignment, ...]
    layer: int
    """Which file it is from; later files have greater numbers."""
    position: int
    """Which rule of its file it is."""

    @property
    def is_default(self) -> bool:
        """Whether it is one of those that nobody had to write."""
        return self.layer == DEFAULT_LAYER


def precedence(rule: Rule) -> tuple[bool, bool, int, int, int]:
    """The order of rules: what comes later counts more.

    A default rule counts less than all others. Of those, a rule for one package counts more than one for all; of those, one with more
    conditions; of those, one of a later file; of those, one further down in it.
    """
    named = rule.package != EVERY_PACKAGE
    return not rule.is_default, named, rule.condition.count, rule.layer, rule.position


def settle(
    rules: Iterable[Rule], version: Version | None, around: Circumstances
) -> tuple[Assignment, ...]:
    """The values in force for one version, each with where it came from.

    In the order of the settings' names, then of precedence. Does not depend on the
    order of the rules.
    """
    # Most packages have no rules: what reads them is not loaded for those.
    from fromager.derivations.customisation.schema import SETTINGS
    from fromager.derivations.customisation.setting import Combine

    in_force: dict[tuple[str, str, int], Assignment] = {}
    for rule in sorted(rules, key=precedence):
        if not rule.condition.holds(version, around):
            continue
        for assignment in rule.assignments:
            name, key = assignment.setting, assignment.key
            setting = SETTINGS.get(name)
            combine = Combine.REPLACE if setting is None else setting.combine
            number = len(in_force) if combine is Combine.SEQUENCE else 0
            in_force.pop((name, key, number), None)
            in_force[name, key, number] = assignment
    return tuple(sorted(in_force.values(), key=lambda found: found.setting))


def plain_value(value: object) -> object:
    """A setting's value as JSON has it; where it was given is left out."""
    match value:
        case Enum():
            return value.value
        case bytes():
            return value.decode("utf-8", "replace")
        case tuple() | list():
            return [plain_value(each) for each in value]
        case Mapping():
            return {str(name): plain_value(each) for name, each in value.items()}
        case _ if is_dataclass(value) and hasattr(value, "value"):
            return plain_value(value.value)
        case _ if is_dataclass(value):
            names = [f.name for f in fields(value) if f.name != "origin"]
            return {name: plain_value(getattr(value, name)) for name in names}
    return value
