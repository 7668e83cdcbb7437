"""What is asked for, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.version import Version

    from fromager.derivations.resolution.request import GivenRequirement
    from fromager.store import Realisation


@dataclass(frozen=True)
class RealiseRequest:
    """Requirements whose wheels are wanted, with everything that they need."""

    requirements: tuple[GivenRequirement, ...]
    constraints: tuple[GivenRequirement, ...] = ()
    build_constraints: tuple[GivenRequirement, ...] = ()
    hashes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Project and the sha256 digests that its files may have, where demanded."""
    require_hashes: bool = False
    """Whether everything that is built on request must be among the `hashes`."""
    dependencies: bool = True
    """False: only what was asked for is built, not what it needs at run time."""
    prereleases: bool = False


@dataclass(frozen=True, slots=True)
class RealisedWheel:
    """A wheel in the store."""

    name: str
    version: Version
    filename: str
    requested: bool
    """True if it was asked for, False if something needs it."""
    dependencies: tuple[str, ...]
    realisation: Realisation

    @property
    def version_text(self) -> str:
        """`5.10.0`."""
        return str(self.version)

    @property
    def subject(self) -> str:
        """`stevedore==5.10.0`."""
        return f"{self.name}=={self.version}"


@dataclass(frozen=True)
class Realised:
    """The wheels of a request."""

    wheels: tuple[RealisedWheel, ...]
    """Sorted by name."""
    failures: tuple[Exception, ...] = field(default=())
    """What could not be built, with `keep_going`; root causes first."""
    steps_done: int = 0
    """Steps that were not found in the store."""
