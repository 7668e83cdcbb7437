"""What the database knows for those who verify and repair, and what they tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fromager.store.damage import Damage, DamageKind
from fromager.store.digest import RECORD_CONTEXT, Digest, derived_digest
from fromager.store.errors import InvalidRecord
from fromager.store.examine import Row
from fromager.store.path import StorePath
from fromager.store.realisation import load_realisation
from fromager.store.writer import claim_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

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


def check_claims(layout: StoreLayout, query: Query) -> tuple[int, list[Damage]]:
    """How many realisations have rows, and where rows and files do not agree."""
    rows = query(_CLAIMS, ())
    damages = []
    for row in rows:
        place = layout.realisation(Digest.parse(row[1]), Digest(bytes.fromhex(row[0])))
        damage = _claim_damage(layout, place, row)
        if damage is not None:
            damages.append(damage)
    return len(rows), damages


def read_claim(content: bytes, record: str) -> Realisation:
    """The realisation in a file or row whose record has this name.

    Raises:
        InvalidRecord: other bytes than those that the name stands for.
    """
    if derived_digest(RECORD_CONTEXT, content).hex != record:
        raise InvalidRecord("realisation", "its bytes are not those of its name")
    return load_realisation(content)


def _claim_damage(
    layout: StoreLayout, place: Path, row: tuple[Any, ...]
) -> Damage | None:
    record, content = row[0], bytes(row[-1])
    named = str(place.relative_to(layout.root))
    try:
        realisation = read_claim(content, record)
    except InvalidRecord as error:
        return Damage(named, f"its row cannot be read: {error.reason}", DamageKind.ROW)
    if claim_values(realisation, row[-2]) != (*row[:-1], content):
        return Damage(named, "its row says otherwise", DamageKind.ROW)
    try:
        if place.read_bytes() != content:
            return Damage(named, "it has other bytes", DamageKind.RECORD)
    except FileNotFoundError:
        return Damage(named, "it is missing", DamageKind.RECORD)
    except OSError as error:
        detail = f"cannot be read: {error.strerror}"
        return Damage(named, detail, DamageKind.UNREADABLE)
    return None


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
