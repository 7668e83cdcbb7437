"""Whether a store is sound, judged without its own code for reading and checking."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from support.trees import damages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fromager.store import LocalStore


def faults(store: LocalStore) -> list[str]:
    """What is wrong with objects, pool, records, claims or database; nothing if sound."""
    return [*damages(store), *_database_faults(store)]


def _database_faults(store: LocalStore) -> Iterator[str]:
    private = store.root / ".fromager"
    with closing(sqlite3.connect(private / "db.sqlite")) as database:
        for (said,) in database.execute("PRAGMA integrity_check"):
            if said != "ok":
                yield f"the database: {said}"
        for row in database.execute("PRAGMA foreign_key_check"):
            yield f"the database refers to nothing: {row}"
        recorded = {
            path: json.loads((private / "records" / f"{path}.json").read_bytes())
            for (path,) in database.execute("SELECT path FROM objects")
        }
        edges = database.execute(
            "SELECT a.path, b.path FROM refs JOIN objects AS a ON a.id = referrer"
            " JOIN objects AS b ON b.id = reference"
        ).fetchall()
        for path, record in recorded.items():
            found = sorted(to for of, to in edges if of == path)
            if not set(found) <= set(record["references"]):
                # The other way round is what a cut may leave: a record that is ahead.
                yield f"{path} refers to {found}, recorded is {record['references']}"
        claims = database.execute("SELECT key, record, content FROM realisations")
        for key, record, content in claims:
            digits = key.removeprefix("blake3:")
            folder = private / "realisations" / digits[:2] / digits
            if (folder / f"{record}.json").read_bytes() != content:
                yield f"the claim {record} for {key} is not what was recorded"
