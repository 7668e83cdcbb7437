"""Repairing realisations: their rows from their files, or their files from their rows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from fromager.store.audit import claim_damage, claim_rows, read_claim
from fromager.store.damage import Irreparable, Repaired, Repairs
from fromager.store.durability import sync_each
from fromager.store.errors import InvalidRecord
from fromager.store.realisation import dump_realisation, load_realisation
from fromager.store.removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from fromager.store.audit import ClaimRow
    from fromager.store.layout import StoreLayout
    from fromager.store.realisation import Realisation
    from fromager.store.staging import Staging
    from fromager.store.writer import Writer


def repair_claims(
    layout: StoreLayout,
    writer: Writer,
    new_staging: Callable[[], Staging],
    effect: Callable[[str], None],
) -> Repairs:
    """Make rows and files agree; a claim that neither holds any more is dropped."""
    repaired: list[Repaired] = []
    lost: list[Irreparable] = []
    staging = new_staging()
    try:
        with writer.held() as registry:
            for row in claim_rows(registry.query):
                damage = claim_damage(layout, row)
                if damage is None:
                    continue
                found = _intact(layout, row)
                if found is None:
                    registry.execute_all(
                        [
                            (
                                "DELETE FROM realisations WHERE record = ?",
                                [(row.record,)],
                            )
                        ],
                        durable=True,
                    )
                    reason = "neither its row nor its file is intact; it is dropped"
                    lost.append(Irreparable(damage.place, reason))
                    continue
                realisation, source = found
                _write(layout, realisation, staging, effect)
                registry.replace_claim(row.record, realisation, row.registered)
                repaired.append(Repaired(damage.place, source))
    finally:
        staging.discard()
    return Repairs(tuple(repaired), tuple(lost))


def _intact(layout: StoreLayout, row: ClaimRow) -> tuple[Realisation, str] | None:
    """The realisation, and whether row or file had it."""
    try:
        return read_claim(row.content, row.record), "its row"
    except InvalidRecord:
        pass
    try:
        # The row's own name may be what is damaged.
        realisation = load_realisation(row.content)
        place = layout.realisation(realisation.key, realisation.record_digest)
        if place.read_bytes() == row.content:
            return realisation, "its file"
    except (OSError, InvalidRecord):
        pass
    for place in layout.realisation_files(f"{row.record}.json"):
        try:
            return read_claim(place.read_bytes(), row.record), "its file"
        except (OSError, InvalidRecord):
            continue
    return None


def _write(
    layout: StoreLayout,
    realisation: Realisation,
    staging: Staging,
    effect: Callable[[str], None],
) -> None:
    """Put the record of a realisation to its place, durably."""
    place = layout.realisation(realisation.key, realisation.record_digest)
    new = staging.write_record(dump_realisation(realisation))
    folders = [place.parent.parent.parent, place.parent.parent, place.parent]
    for folder in folders:
        if not folder.is_dir():
            effect("make folder")
            folder.mkdir()
    if place.is_dir() and not place.is_symlink():
        effect("remove folder")
        remove_tree(place)
    sync_each([new])
    effect("rename record")
    Path(os.fsdecode(new)).rename(place)
    sync_each(os.fsencode(folder) for folder in folders)
