"""What can be wrong with a store, as values: damage, leftovers, and what came of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fromager.store.path import StorePath
    from fromager.store.tree import File


class DamageKind(Enum):
    """In which way something is not what it should be."""

    MISSING = "missing"
    """Something is not there."""
    EXTRA = "extra"
    """Something is there that was not recorded."""
    KIND = "kind"
    """A folder instead of a file, or the like."""
    CONTENT = "content"
    """Other bytes than the digest names."""
    TARGET = "target"
    """A link that leads elsewhere."""
    MODE = "mode"
    """Writable, or executable where it should not be, or not where it should."""
    TIME = "time"
    """Another modification time than all things in a store have."""
    RECORD = "record"
    """A record that cannot be read, or that speaks of something else."""
    ROW = "row"
    """A row of the database that does not agree with the record."""
    BLOB = "blob"
    """The pool lacks a file, or holds other bytes than its name says."""
    UNREADABLE = "unreadable"
    """The system cannot read it."""


@dataclass(frozen=True, slots=True, order=True)
class Damage:
    """One thing that is not what it should be."""

    place: str
    """Where, relative to the store's folder."""
    detail: str
    """What was expected, and what was found."""
    kind: DamageKind = field(compare=False)
    object: StorePath | None = None
    """The object that it belongs to; None for claims, and for the pool alone."""
    file: File | None = field(default=None, compare=False)
    """The file whose bytes are in question; others may share them."""

    def __str__(self) -> str:
        return f"{self.place}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Verification:
    """What was looked at, and what was found."""

    damages: tuple[Damage, ...]
    """Sorted by place."""
    leftovers: tuple[str, ...]
    """What no row speaks of: garbage, left by a crash, and harmless. Places."""
    objects: int
    """Objects that were looked at."""
    claims: int
    """Realisations that were looked at."""
    files: int
    """Files whose bytes were read; each once, however many objects share it."""
    bytes: int
    """Bytes that were read."""
    remaining: int
    """Objects that are due, and that the time did not suffice for."""

    @property
    def damaged(self) -> tuple[StorePath, ...]:
        """The objects that are damaged, sorted."""
        return damaged_objects(self.damages)


def damaged_objects(damages: Iterable[Damage]) -> tuple[StorePath, ...]:
    """The objects that these belong to, sorted."""
    found = {damage.object for damage in damages}
    return tuple(sorted(path for path in found if path is not None))


@dataclass(frozen=True, slots=True)
class Repaired:
    """Something that is whole again."""

    place: str
    """The object, or the claim's record; relative to the store's folder."""
    source: str
    """Where its content came from, in a few words."""


@dataclass(frozen=True, slots=True)
class Irreparable:
    """Something that stays damaged, and is not served."""

    place: str
    reason: str


@dataclass(frozen=True, slots=True)
class Repairs:
    """What came of repairing."""

    repaired: tuple[Repaired, ...]
    irreparable: tuple[Irreparable, ...]


@dataclass(frozen=True, slots=True)
class RebuiltDatabase:
    """What a database that was made anew holds."""

    objects: int
    """Objects, the damaged ones among them."""
    claims: int
    """Realisations."""
    damages: tuple[Damage, ...]
    """What is wrong with objects; these are withheld."""
    unreadable: tuple[Damage, ...]
    """Records that say nothing any more: what they spoke of is left out."""
