"""What a resolution gives: a set of versions, a list of what is missing, or why not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from packaging.version import Version

    from fromager.derivations.resolution.candidate import Release


@dataclass(frozen=True, slots=True)
class Pin:
    """A project's version in the resolved set."""

    name: str
    version: Version
    release: Release
    """The sdist to use."""
    extras: tuple[str, ...]
    """The extras that are asked for, sorted."""
    dependencies: tuple[str, ...]
    """The projects that it needs at run time here, sorted; itself never."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """One consistent set, sorted by name."""

    pins: tuple[Pin, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Missing:
    """What must be known before the answer is; not all of it may be used in the end."""

    projects: frozenset[str]
    metadata: frozenset[tuple[str, Version]]


@dataclass(frozen=True, slots=True)
class Cause:
    """A requirement that took part in a conflict."""

    requirement: str
    source: str
    """Who has it: `stevedore 5.10.0`, or the origin of a given requirement."""


@dataclass(frozen=True, slots=True)
class Impossible:
    """No set of versions fits the request."""

    message: str
    """Whole sentences; several lines."""
    hint: str | None
    """What to change, without a full stop; None if nothing is known to help."""
    causes: tuple[Cause, ...]


Outcome: TypeAlias = Resolved | Missing | Impossible
