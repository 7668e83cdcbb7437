"""The one that writes to the database: one at a time, over all processes."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from fromager.store.database import batches, connect, database_errors, marks
from fromager.store.database_reader import WAIT_SECONDS
from fromager.store.durability import held_in
from fromager.store.effects import no_effect
from fromager.store.errors import StoreError
from fromager.store.locks import Caller, held_briefly
from fromager.store.path import StorePath
from fromager.store.realisation import dump_realisation
from fromager.store.succession import settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from fromager.store.api import ObjectInfo
    from fromager.store.database import Connected
    from fromager.store.layout import StoreLayout
    from fromager.store.realisation import Realisation

_LOG_LIMIT: Final = 64 << 20
"""Bytes of the write-ahead log above which readers are waited for to shorten it."""
_CHECKPOINT_WAIT_MS: Final = 500
_CHECKPOINT_PAUSE: Final = 64
"""Changes after which a log that could not be shortened is looked at again."""

INSERT_CLAIM: Final = (
    "INSERT OR IGNORE INTO realisations (record, key, kind, subject, derivation,"
    " output, output_digest, level, started, registered, content)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class Writer:
    """The right to change what is valid, and the connection to do it with."""

    def __init__(
        self,
        layout: StoreLayout,
        clock: Callable[[], float],
        caller: Caller,
        effect: Callable[[str], None] = no_effect,
    ) -> None:
        self._layout, self._clock, self._caller = layout, clock, caller
        self._effect = effect
        self._connected: Connected | None = None
        self._left_long = 0
        self._turn = threading.Lock()

    @contextmanager
    def held(self) -> Iterator[Registry]:
        """Wait for the right to write, and hold it."""
        now = self._clock()
        place = self._layout.locks / "writer"
        lock = held_briefly(place, self._caller, now, self._effect)
        # Of this process's threads one waits for others, and is told for whom.
        with self._turn, held_in(self._layout.root, lock):
            connection = self._current()
            with database_errors(self._layout.root):
                yield Registry(connection, int(now))
                self._shorten_log(connection)

    def close(self) -> None:
        """Give the connection up."""
        if self._connected is not None:
            self._connected.connection.close()
            self._connected = None

    def remember(self, namespace: str, key: str, value: bytes) -> None:
        """Keep a fact; it may be lost in a power cut, and a failure is no error."""
        self._quietly(
            "INSERT INTO facts VALUES (?, ?, ?, ?) ON CONFLICT (namespace, key)"
            " DO UPDATE SET value = excluded.value, updated = excluded.updated",
            [(namespace, key, value, int(self._clock()))],
        )

    def touch(self, paths: Iterable[StorePath]) -> None:
        """Keep that these objects were used now; as `remember`."""
        now = int(self._clock())
        self._quietly(
            "UPDATE objects SET last_used = ? WHERE path = ?",
            [(now, str(path)) for path in paths],
        )

    def _current(self) -> sqlite3.Connection:
        """The connection to the database that is the store's now.

        It may have been replaced since: what is written to the file that was opened
        then would be lost.
        """
        settle(self._layout, locked=True)
        if self._connected is not None and not self._connected.holds(
            self._layout.database
        ):
            self.close()
        if self._connected is None:
            self._connected = connect(self._layout, migrating=True)
        return self._connected.connection

    def _shorten_log(self, connection: sqlite3.Connection) -> None:
        """Bring a log that grew while there were always readers into the database.

        SQLite begins the log anew only at a moment without readers, which may never
        come by itself where many processes read. Here they are waited for.
        """
        database = self._layout.database
        log = database.with_name(f"{database.name}-wal")
        # What was to be written is written: nothing here may make an error of it.
        with suppress(OSError, sqlite3.Error):
            self._left_long -= 1
            if self._left_long > 0 or log.stat().st_size < _LOG_LIMIT:
                return
            connection.execute(f"PRAGMA busy_timeout = {_CHECKPOINT_WAIT_MS}")
            query = "PRAGMA wal_checkpoint(TRUNCATE)"
            (in_use, _, _) = connection.execute(query).fetchone()
            # Who reads for long is not waited for at every change.
            self._left_long = _CHECKPOINT_PAUSE if in_use else 0
            connection.execute(f"PRAGMA busy_timeout = {int(WAIT_SECONDS * 1000)}")

    def _quietly(self, statement: str, values: list[tuple[object, ...]]) -> None:
        try:
            with self.held() as registry:
                self._effect("remember")
                registry.execute(statement, values)
        except (StoreError, OSError):
            # What is remembered can be computed anew.
            return


class Registry:
    """The database, while the right to write is held."""

    def __init__(self, connection: sqlite3.Connection, now: int) -> None:
        self._connection, self._now = connection, now

    def has(self, path: StorePath) -> bool:
        """Whether an object is valid: it has a row, and was not found damaged."""
        query = "SELECT 1 FROM sound WHERE path = ?"
        return self._connection.execute(query, (str(path),)).fetchone() is not None

    def rows(self, paths: Iterable[StorePath]) -> dict[StorePath, bool]:
        """Those of these objects that have a row, and whether they are valid."""
        found: dict[str, bool] = {}
        for part in batches([str(path) for path in paths]):
            found.update(
                self._connection.execute(
                    "SELECT path, id NOT IN (SELECT object FROM damaged) FROM objects"
                    f" WHERE path IN ({marks(part)})",
                    part,
                )
            )
        return {StorePath.parse(path): bool(valid) for path, valid in found.items()}

    def query(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        """What a query finds."""
        return self._connection.execute(statement, values).fetchall()

    def references(self, path: StorePath) -> frozenset[StorePath]:
        """What an object that has a row refers to."""
        rows = self._connection.execute(
            "SELECT target.path FROM objects JOIN refs ON referrer = objects.id"
            " JOIN objects AS target ON target.id = reference WHERE objects.path = ?"
            " UNION SELECT lower_refs.path FROM objects JOIN lower_refs"
            " ON referrer = objects.id WHERE objects.path = ?",
            (str(path), str(path)),
        )
        return frozenset(StorePath.parse(row[0]) for row in rows)

    def execute(self, statement: str, values: list[tuple[object, ...]]) -> None:
        """Do this for all values as one transaction, not yet on disk at the end."""
        self.execute_all([(statement, values)], durable=False)

    def execute_all(
        self,
        statements: Iterable[tuple[str, Sequence[tuple[object, ...]]]],
        *,
        durable: bool,
    ) -> None:
        """Do each statement for all its values, all as one transaction."""
        with self._transaction("FULL" if durable else "NORMAL"):
            for statement, values in statements:
                self._connection.executemany(statement, values)

    def replace_claim(
        self, record: str, realisation: Realisation, registered: int
    ) -> None:
        """Let a realisation have the row that had this record, durably."""
        with self._transaction("FULL"):
            self._connection.execute(
                "DELETE FROM realisations WHERE record = ?", (record,)
            )
            self._connection.execute(
                INSERT_CLAIM, claim_values(realisation, registered)
            )

    def referrers(self, paths: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Objects that refer to these, each with the one that it refers to."""
        for part in batches(paths):
            yield from self._connection.execute(
                "SELECT a.path, b.path FROM objects AS b"
                " JOIN refs ON refs.reference = b.id"
                " JOIN objects AS a ON a.id = refs.referrer"
                f" WHERE b.path IN ({marks(part)}) AND a.id != b.id",
                part,
            )

    def digests(self, paths: Sequence[str]) -> dict[str, bytes | None]:
        """The digits of a blob's digest, or None for a tree, of those that are valid."""
        rows: dict[str, bytes | None] = {}
        for part in batches(paths):
            query = (
                "SELECT path, CASE kind WHEN 'blob' THEN CAST(digest AS BLOB) END"
                f" FROM objects WHERE path IN ({marks(part)})"
            )
            rows.update(self._connection.execute(query, part))
        return rows

    def forget(self, paths: Sequence[str]) -> None:
        """Make objects invalid, as one transaction that is on disk at the end.

        Nothing else may refer to them.
        """
        with self._transaction("FULL"):
            # All that is found by its number goes in half the time.
            ids: list[tuple[int]] = []
            for part in batches(paths):
                query = f"SELECT id FROM objects WHERE path IN ({marks(part)})"
                ids += self._connection.execute(query, part)
            self._connection.executemany("DELETE FROM refs WHERE referrer = ?", ids)
            self._connection.executemany("DELETE FROM objects WHERE id = ?", ids)

    def forget_claims(self) -> list[tuple[str, str]]:
        """Forget realisations whose output is gone; their keys and records."""
        where = "output NOT IN (SELECT path FROM objects)"
        rows = self._connection.execute(
            f"SELECT key, record FROM realisations WHERE {where}"
        ).fetchall()
        with self._transaction("FULL"):
            self._connection.execute(f"DELETE FROM realisations WHERE {where}")
        return rows

    def commit(
        self, objects: Iterable[ObjectInfo], realisations: Iterable[Realisation]
    ) -> None:
        """Make these valid, as one transaction that is on disk at the end."""
        infos = list(objects)
        with self._transaction("FULL"):
            self._connection.executemany(
                "INSERT INTO objects (path, name, digest, kind, size, registered,"
                " last_used) VALUES (?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (path) DO UPDATE SET last_used = excluded.last_used,"
                " name = excluded.name, digest = excluded.digest,"
                " kind = excluded.kind, size = excluded.size",
                [_row(info) for info in infos],
            )
            self._connection.executemany(
                "DELETE FROM damaged"
                " WHERE object = (SELECT id FROM objects WHERE path = ?)",
                [(str(info.path),) for info in infos],
            )
            self._connection.executemany(
                "INSERT OR IGNORE INTO refs SELECT a.id, b.id FROM objects AS a,"
                " objects AS b WHERE a.path = ? AND b.path = ?",
                [(str(i.path), str(path)) for i in infos for path in i.references],
            )
            self._note_lower_references(infos)
            self._connection.executemany(
                INSERT_CLAIM,
                [claim_values(realisation, self._now) for realisation in realisations],
            )

    def _note_lower_references(self, infos: list[ObjectInfo]) -> None:
        """Keep references to what is not here, and resolve those that are here now."""
        self._connection.executemany(
            "INSERT OR IGNORE INTO lower_refs SELECT id, ? FROM objects WHERE path = ?"
            " AND NOT EXISTS (SELECT 1 FROM objects WHERE path = ?)",
            [(str(to), str(i.path), str(to)) for i in infos for to in i.references],
        )
        here = [(str(info.path),) for info in infos]
        self._connection.executemany(
            "INSERT OR IGNORE INTO refs SELECT lower_refs.referrer, objects.id"
            " FROM lower_refs JOIN objects ON objects.path = lower_refs.path"
            " WHERE lower_refs.path = ?",
            here,
        )
        self._connection.executemany("DELETE FROM lower_refs WHERE path = ?", here)

    @contextmanager
    def _transaction(self, synchronous: str) -> Iterator[None]:
        self._connection.execute(f"PRAGMA synchronous = {synchronous}")
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise


def is_certainly_undone(error: BaseException) -> bool:
    """Whether a commit that failed so is not in the write-ahead log.

    Its last frame is what makes it count; where there was no space, that is not whole.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return isinstance(error, sqlite3.Error) and code in (
        *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_BUSY),
        *(sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN),
    )


def _row(info: ObjectInfo) -> tuple[str | int, ...]:
    return (
        *(str(info.path), info.path.name, info.digest.hex, info.kind, info.size),
        *(info.registered, info.registered),
    )


def claim_values(realisation: Realisation, now: int) -> tuple[str | int | bytes, ...]:
    """The row of a realisation: its columns, in the order of the table."""
    return (
        realisation.record_digest.hex,
        *(str(realisation.key), realisation.kind, realisation.subject),
        *(str(realisation.derivation), str(realisation.output)),
        *(str(realisation.output_digest), realisation.level, realisation.started),
        *(now, dump_realisation(realisation)),
    )
