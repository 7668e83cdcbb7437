"""What a search goes by: who requires what, and what cannot be used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from fromager.derivations.resolution.demand import Demand
    from fromager.derivations.resolution.refusal import RefusalKind


@dataclass(frozen=True, slots=True)
class Given:
    """The request itself requires something."""

    demand: Demand


@dataclass(frozen=True, slots=True)
class Constrained:
    """The request limits a project."""

    demand: Demand


@dataclass(frozen=True, slots=True)
class Needed:
    """A release requires something, perhaps only with an extra."""

    name: str
    index: int
    extra: str | None
    demand: Demand


@dataclass(frozen=True, slots=True)
class Unusable:
    """A release can only be refused once its metadata is known."""

    name: str
    index: int
    kind: RefusalKind
    detail: str


@dataclass(frozen=True, slots=True)
class Uncalled:
    """A pre-release or yanked release that nothing in a whole set asks for."""

    name: str
    index: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """A release is passed over for now, since its metadata is missing."""

    name: str
    index: int


Fact: TypeAlias = Given | Constrained | Needed | Unusable | Uncalled | Unknown
