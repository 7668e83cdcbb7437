"""What is to be resolved, and under which policies."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from fromager.derivations.resolution.cutoff import NO_CUTOFFS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.requirements import Requirement
    from packaging.version import Version

    from fromager.derivations.resolution.cutoff import Cutoffs


class Prereleases(Enum):
    """When a pre-release may be chosen."""

    IF_NECESSARY = "if-necessary"
    """If a specifier names one, or no final release fits the specifiers (PEP 440)."""
    ALLOW = "allow"
    """Always, on equal terms with final releases."""


@dataclass(frozen=True, slots=True)
class GivenRequirement:
    """A requirement or a constraint, and where it comes from."""

    requirement: Requirement
    origin: str
    """As shown to people: `command line`, `requirements.txt:3`."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to find one consistent set of versions for."""

    requirements: tuple[GivenRequirement, ...]
    markers: Mapping[str, str]
    """The target interpreter's marker environment (PEP 508); it fixes the Python."""
    constraints: tuple[GivenRequirement, ...] = ()
    """They narrow a project only once something requires it."""
    prereleases: Prereleases = Prereleases.IF_NECESSARY
    cutoffs: Cutoffs = NO_CUTOFFS
    """Files uploaded later are refused, and those whose time is unknown."""
    hashes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By project, the sha256 of the only files that may be used."""
    preferences: Mapping[str, Version] = field(default_factory=dict)
    """By project, the version to try before newer ones."""
