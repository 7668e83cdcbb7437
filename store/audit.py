"""What the database knows for those who verify and repair, and what they tell it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from fromager.store.damage import Damage, DamageKind
from fromager.store.digest import RECORD_CONTEXT, derived_digest
from fromager.store.errors import InvalidRecord
from fromager.store.examine import Row
from fromager.store.path import StorePath
from fromager.store.realisation import load_realisation
from fromager.store.writer import claim_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fromager.store.layout import StoreLayout
    from fromager.store.realisation import Realisation
    from fromager.store.writer import Registry

    Query = Callable[[str, Sequence[object]], list[tuple[Any, ...]]]

_OBJECTS: Final = """
SELECT path, digest, kind, size,
  (SELECT group_concat(target.path, ' ') FROM refs
   JOIN objects AS target ON target.id = refs.reference
   WHERE refs.referrer = objects.id),
  coalesce(verified.at, registered), damaged.reason IS NOT NULL
FROM objects
LEFT JOIN verified ON verified.object = objects.id
LEFT JOIN damaged ON damaged.object = objects.id
"""

_CLAIMS: Final = """
SELECT record, key, kind, subject, derivation, output, output_digest, level, started,
  registered, content FROM realisations ORDER BY key, record
"""

_FROM: Final = "FROM objects WHERE path = ?"
_ID: Final = f"(SELECT id {_FROM})"


def all_rows(query: Query) -> list[Row]:
    """All objects, the damaged ones among them, sorted by path."""
    return [_row(found) for found in query(f"{_OBJECTS} ORDER BY path", ())]


def row_of(query: Query, path: StorePath) -> Row | None:
    """The row of one object, if it has one."""
    found = query(f"{_OBJECTS} WHERE path = ?", (str(path),))
    return _row(found[0]) if found else None


def reason_withheld(query: Query, path: StorePath) -> str | None:
    """Why an object is not served; None if it was not found damaged."""
    found = query(f"SELECT reason FROM damaged WHERE object = {_ID}", (str(path),))
    return str(found[0][0]) if found else None


def withheld(query: Query) -> list[StorePath]:
    """The objects that were found damaged, sorted."""
    found = query(
        "SELECT path FROM damaged JOIN objects ON id = object ORDER BY path", ()
    )
    return [StorePath.parse(row[0]) for row in found]


def note_verified(
    registry: Registry,
    now: int,
    sound: Iterable[StorePath],
    damages: Sequence[Damage],
) -> None:
    """Keep when these were verified; withhold those that are damaged."""
    reasons: dict[StorePath, str] = {}
    for damage in damages:
        if damage.object is not None:
            reasons.setdefault(damage.object, str(damage))
    whole = [(now, str(path)) for path in sound if path not in reasons]
    mended = [(path,) for _, path in whole]
    found = [(now, reason, str(path)) for path, reason in reasons.items()]
    registry.execute_all(
        [
            (
                f"INSERT OR REPLACE INTO damaged SELECT id, ?, ? {_FROM}",
                list(found),
            ),
            (f"DELETE FROM damaged WHERE object = {_ID}", list(mended)),
            (
                f"INSERT OR REPLACE INTO verified SELECT id, ? {_FROM}",
                list(whole),
            ),
        ],
        durable=bool(found),
    )


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """What the database says of a realisation."""

    record: str
    """Hex digits of the digest of its record."""
    columns: tuple[Any, ...]
    """All columns, in the order of the table."""

    @property
    def content(self) -> bytes:
        """The record itself."""
        return bytes(self.columns[-1])

    @property
    def registered(self) -> int:
        """Seconds since the epoch."""
        return int(self.columns[-2])


def claim_rows(query: Query) -> list[ClaimRow]:
    """All realisations."""
    return [ClaimRow(str(row[0]), row) for row in query(_CLAIMS, ())]


def check_claims(layout: StoreLayout, rows: Iterable[ClaimRow]) -> list[Damage]:
    """Where rows and files do not agree."""
    found = (claim_damage(layout, row) for row in rows)
    return [damage for damage in found if damage is not None]


def claim_damage(layout: StoreLayout, row: ClaimRow) -> Damage | None:
    """What is wrong with the row or the file of a realisation."""
    try:
        realisation = read_claim(row.content, row.record)
    except InvalidRecord as error:
        detail = f"its row cannot be read: {error.reason}"
        return Damage(f"realisation {row.record}", detail, DamageKind.ROW)
    place = layout.realisation(realisation.key, realisation.record_digest)
    named = str(place.relative_to(layout.root))
    if claim_values(realisation, row.registered) != row.columns:
        return Damage(named, "its row says otherwise", DamageKind.ROW)
    try:
        if place.read_bytes() != row.content:
            return Damage(named, "it has other bytes", DamageKind.RECORD)
    except FileNotFoundError:
        return Damage(named, "it is missing", DamageKind.RECORD)
    except OSError as error:
        detail = f"cannot be read: {error.strerror}"
        return Damage(named, detail, DamageKind.UNREADABLE)
    return None


def read_claim(content: bytes, record: str) -> Realisation:
    """The realisation in a file or row whose record has this name.

    Raises:
        InvalidRecord: other bytes than those that the name stands for.
    """
    if derived_digest(RECORD_CONTEXT, content).hex != record:
        raise InvalidRecord("realisation", "its bytes are not those of its name")
    return load_realisation(content)


def _row(found: tuple[Any, ...]) -> Row:
    path, digest, kind, size, references, verified, withheld = found
    return Row(
        path=StorePath.parse(path),
        digest=digest,
        kind=kind,
        size=size,
        references=frozenset((references or "").split()),
        verified=verified,
        withheld=bool(withheld),
    )
