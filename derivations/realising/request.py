"""What is asked for, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from fromager.derivations.resolution.cutoff import NO_CUTOFFS

if TYPE_CHECKING:
    from packaging.version import Version

    from fromager.derivations.index.address import Login
    from fromager.derivations.locking.lock import Lock
    from fromager.derivations.resolution.cutoff import Cutoffs
    from fromager.derivations.resolution.request import GivenRequirement
    from fromager.derivations.sources.direct import DirectRequirement
    from fromager.store import Realisation


class Collect(Enum):
    """What becomes of the wheels of a request."""

    NOTHING = "nothing"
    """Each is an object of its own."""
    SINGLE = "single"
    """Together they are one more object: a collection."""
    SEVERAL = "several"
    """Each requirement is resolved on its own, so that versions may differ; all that
    comes of that is one collection."""


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
    direct: tuple[DirectRequirement, ...] = ()
    """Requirements that say themselves where their source is."""
    direct_constraints: tuple[DirectRequirement, ...] = ()
    """Where projects are taken from once something requires them."""
    dependencies: bool = True
    """False: only what was asked for is built, not what it needs at run time."""
    prereleases: bool = False
    cutoffs: Cutoffs = NO_CUTOFFS
    """How new files may be, those of build requirements too."""
    lock: Lock | None = None
    """Where all versions and hashes are taken from; no index is asked then."""
    collect: Collect = Collect.NOTHING

    @property
    def logins(self) -> tuple[Login, ...]:
        """User and password of places that requirements name."""
        places = (*self.direct, *self.direct_constraints)
        return tuple(each.login for each in places if each.login is not None)

    @property
    def is_fixed(self) -> bool:
        """Whether no place that it names may hold something else the next time."""
        if self.lock is not None:
            return self.lock.is_fixed
        places = (*self.direct, *self.direct_constraints)
        return all(given.source.is_fixed for given in places)


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
    sdist: Realisation | None = None
    """Of what a plugin built beside it."""

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
    """Sorted by name and version."""
    failures: tuple[Exception, ...] = field(default=())
    """What could not be built, with `keep_going`; root causes first."""
    steps_done: int = 0
    """Steps that were not found in the store."""
    collection: Realisation | None = None
    """What gave the collection of all wheels, if there is one."""
