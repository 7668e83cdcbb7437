"""How new files may be: until a moment, or of an age at least."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from packaging.requirements import Requirement


@dataclass(frozen=True, slots=True)
class Cutoff:
    """Files of a project that were uploaded later than a moment are refused."""

    moment: datetime
    """With a time zone."""
    days: int | None = None
    """The age that the moment comes from; None if it was given itself."""
    exempt: frozenset[Version] = frozenset()
    """Versions that the limit is not for."""

    @property
    def detail(self) -> str:
        """As explanations name it: `2026-01-31 23:59+00:00`, or `7 days`."""
        if self.days is None:
            return self.moment.isoformat(sep=" ", timespec="minutes")
        return "1 day" if self.days == 1 else f"{self.days} days"


def _no_age(name: str) -> int | None:
    return None


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """The limits of all projects of a run, of build requirements too.

    Project names are normalised (PEP 503).
    """

    exclude_newer: datetime | None = None
    """For projects that have no limit of their own."""
    exclude_newer_of: Mapping[str, datetime | None] = field(default_factory=dict)
    """The limits of single projects; None: they have none."""
    min_age: int = 0
    """Days that a file must have been on the index; for all other projects."""
    min_age_of: Mapping[str, int] = field(default_factory=dict)
    today: datetime | None = None
    """The beginning of the day that ages are counted back from."""
    pins: Mapping[str, frozenset[Version]] = field(default_factory=dict)
    """Versions that were asked for exactly: they may have any age."""
    undated: frozenset[str] = frozenset()
    """Indexes whose files need no upload time: the beginnings of their addresses."""
    customised: Callable[[str], int | None] = field(default=_no_age, compare=False)
    """Days for single projects by the settings of packages; None: they say nothing.
    What is said in `min_age_of` counts more."""

    def of(self, name: str) -> tuple[Cutoff, ...]:
        """The limits of a project."""
        found = []
        moment = self.exclude_newer_of.get(name, self.exclude_newer)
        if moment is not None:
            found.append(Cutoff(moment))
        days = self.min_age_of.get(name)
        if days is None:
            days = self.customised(name)
        if days is None:
            days = self.min_age
        if days and self.today is not None:
            exempt = self.pins.get(name, frozenset())
            found.append(Cutoff(self.today - timedelta(days=days), days, exempt))
        return tuple(found)

    def may_be_undated(self, address: str) -> bool:
        """Whether files on the page at an address need no upload time."""
        return any(address.startswith(start) for start in self.undated)

    @property
    def signature(self) -> str:
        """Equal if the limits are."""
        return repr(
            (
                self.exclude_newer,
                sorted(self.exclude_newer_of.items()),
                self.min_age,
                sorted(self.min_age_of.items()),
                self.today if self.min_age or any(self.min_age_of.values()) else None,
                sorted((n, sorted(map(str, v))) for n, v in self.pins.items()),
                sorted(self.undated),
            )
        )


def exact_pins(
    requirements: Iterable[Requirement],
) -> dict[str, frozenset[Version]]:
    """The versions that requirements name with `==` or `===`, by project."""
    found: dict[str, set[Version]] = {}
    for requirement in requirements:
        for part in requirement.specifier:
            if part.operator in ("==", "===") and not part.version.endswith(".*"):
                with suppress(InvalidVersion):
                    name = canonicalize_name(requirement.name)
                    found.setdefault(name, set()).add(Version(part.version))
    return {name: frozenset(versions) for name, versions in found.items()}


NO_CUTOFFS: Final = Cutoffs()
"""Files may be as new as they like."""
