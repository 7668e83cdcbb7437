"""The database: what is valid, what refers to what, and which claims were made.

Readers never wait for the writer (WAL). Whoever writes holds the writer's lock, so
that SQLite's own waiting is a second line only.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from fromager.store.api import ObjectInfo
from fromager.store.digest import Digest
from fromager.store.errors import (
    DatabaseTooNew,
    DatabaseUnusable,
    StoreError,
    StoreFull,
    StoreUnavailable,
)
from fromager.store.path import StorePath
from fromager.store.schema import SCHEMA_VERSION, migrate, stand_in, version_of
from fromager.store.succession import settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from fromager.store.layout import StoreLayout

T = TypeVar("T")
_WAIT_SECONDS: Final = 120.0
_BATCH: Final = 500
"""How many values go into one query; SQLite's least limit is 999."""

_INFO: Final = """
SELECT path, digest, kind, size, registered,
  (SELECT group_concat(target.path, ' ') FROM refs
   JOIN objects AS target ON target.id = refs.reference
   WHERE refs.referrer = objects.id)
FROM sound AS objects
"""

_CLOSURE: Final = """
WITH RECURSIVE reached (id) AS (
  SELECT id FROM objects WHERE path IN ({})
  UNION SELECT reference FROM reached JOIN refs ON referrer = reached.id
)
SELECT path FROM reached JOIN objects USING (id)
"""

_CLAIMS: Final = (
    "SELECT content FROM realisations WHERE {} ORDER BY started DESC, id DESC"
)


def create_database(root: Path, path: Path) -> None:
    """Make an empty database; the caller holds a lock against others who do."""
    with database_errors(root):
        connection = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            migrate(connection)
        finally:
            connection.close()


class Database:
    """One connection for reading, shared by all threads; `Writer` has the other.

    It follows the database when that is replaced or migrated by another process.
    """

    def __init__(self, layout: StoreLayout, *, writable: bool) -> None:
        """Raises DatabaseUnusable: missing, damaged, or made by a newer fromager."""
        self._layout, self._writable = layout, writable
        self._lock = threading.Lock()
        self._connected = connect(layout, writable=writable)

    def info(self, path: StorePath) -> ObjectInfo | None:
        """The row of an object."""
        rows = self.rows(f"{_INFO} WHERE path = ?", (str(path),))
        return _info(rows[0]) if rows else None

    def unused_since(self, moment: int, paths: Iterable[StorePath]) -> list[StorePath]:
        """Those of these objects that were not used after that moment."""
        query = "SELECT last_used, path FROM objects WHERE path IN ({})"
        found = self._by(query, [str(path) for path in paths])
        return [StorePath.parse(path) for used, path in found if used <= moment]

    def find(self, prefix: str) -> tuple[ObjectInfo, ...]:
        """Objects whose path, name or digest begins with this, sorted by path."""
        digits = prefix.removeprefix("blake3:")
        ranges = [text for start in (prefix, prefix, digits) for text in _range(start)]
        return self._infos(
            "WHERE path >= ? AND path < ? OR name >= ? AND name < ?"
            " OR digest >= ? AND digest < ? ORDER BY path",
            ranges,
        )

    def objects(self) -> tuple[ObjectInfo, ...]:
        """All objects, sorted by path."""
        return self._infos("ORDER BY path", ())

    def closure(self, paths: Iterable[StorePath]) -> tuple[set[str], set[str]]:
        """What these objects reach, themselves included; and which are not valid."""
        wanted = {str(path) for path in paths}
        reached: set[str] = set()
        for part in batches(list(wanted)):
            rows = self.rows(_CLOSURE.format(marks(part)), part)
            reached.update(row[0] for row in rows)
        withheld = self.rows("SELECT path FROM damaged JOIN objects ON id = object")
        return reached, wanted - reached | reached & {row[0] for row in withheld}

    def claims(self, where: str, values: Sequence[str]) -> list[bytes]:
        """The records of realisations, newest first."""
        return [row[0] for row in self.rows(_CLAIMS.format(where), values)]

    def subjects(self, kind: str) -> tuple[str, ...]:
        """The subjects of a kind's realisations, those with the newest first."""
        rows = self.rows(
            "SELECT subject FROM realisations WHERE kind = ?"
            " GROUP BY subject ORDER BY max(started) DESC, subject",
            (kind,),
        )
        return tuple(str(row[0]) for row in rows)

    def recall(self, namespace: str, key: str) -> bytes | None:
        """The value of a fact."""
        rows = self.rows(
            "SELECT value FROM facts WHERE namespace = ? AND key = ?", (namespace, key)
        )
        return bytes(rows[0][0]) if rows else None

    def rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """What a query finds."""
        with self._lock, database_errors(self._layout.root):
            return self._current().execute(query, values).fetchall()

    @contextmanager
    def snapshot(self) -> Iterator[Callable[[str], Iterator[tuple[Any, ...]]]]:
        """Runs several queries, all of which see the database as it is now."""
        with self._lock, database_errors(self._layout.root):
            connection = self._current()
            connection.execute("BEGIN")
            try:
                yield connection.execute
            finally:
                connection.execute("COMMIT")

    def close(self) -> None:
        """Give the connection up."""
        self._connected.connection.close()

    def _current(self) -> sqlite3.Connection:
        if not self._connected.holds(self._layout.database):
            self._connected.connection.close()
            self._connected = connect(self._layout, writable=self._writable)
        return self._connected.connection

    def _infos(self, where: str, values: Sequence[str]) -> tuple[ObjectInfo, ...]:
        return tuple(_info(row) for row in self.rows(f"{_INFO} {where}", values))

    def _by(self, query: str, values: Iterable[object]) -> set[tuple[int, str]]:
        found: set[tuple[int, str]] = set()
        for part in batches(list(values)):
            found.update(self.rows(query.format(marks(part)), part))
        return found


def batches(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Values in parts that fit one query."""
    for start in range(0, len(values), _BATCH):
        yield values[start : start + _BATCH]


def marks(values: Sequence[object]) -> str:
    """As many parameters of a query as there are values."""
    return ",".join("?" * len(values))


@contextmanager
def database_errors(root: Path) -> Iterator[None]:
    """SQLite's errors as those of the store."""
    try:
        yield
    except sqlite3.Error as error:
        raise database_error(root, error) from error


def database_error(root: Path, error: sqlite3.Error) -> StoreError:
    """What an error of SQLite means to the store's user."""
    code = getattr(error, "sqlite_errorcode", 0)
    match code & 0xFF:
        case sqlite3.SQLITE_FULL:
            return StoreFull(root)
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_CANTOPEN if _is_full(root):
            # SQLite has one word for all that happens when files are made.
            return StoreFull(root)
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return DatabaseUnusable(root, f"its database is damaged ({error})")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return StoreUnavailable(root, f"its database cannot be opened ({error})")
    return StoreUnavailable(root, f"its database failed ({error})")


def _is_full(root: Path) -> bool:
    try:
        found = os.statvfs(root)
    except OSError:
        return False
    return found.f_bavail == 0 or (found.f_files > 0 and found.f_favail == 0)


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection, and what it is connected to."""

    connection: sqlite3.Connection
    file: tuple[int, int]
    """Device and inode of the database."""
    version: int
    """Of the schema; an older one has stand-ins."""

    def holds(self, path: Path) -> bool:
        """Whether this still is the database at a path, its schema as it was."""
        return self.file == _identity(path) and (
            self.version == SCHEMA_VERSION
            or self.version == version_of(self.connection)
        )


def connect(
    layout: StoreLayout, *, writable: bool, migrating: bool = False
) -> Connected:
    """A connection to a database that is there, its version checked.

    With `migrating`, an older schema is brought to this fromager's; the caller holds
    the writer's lock.

    Raises:
        DatabaseUnusable: missing, damaged, or made by a newer fromager.
    """
    root, path = layout.root, layout.database
    while True:
        settle(layout, locked=migrating)
        file = _identity(path)
        if file is None:
            raise DatabaseUnusable(root, "its database is missing")
        with database_errors(root):
            connection = _opened(path, writable=writable)
            try:
                version = _prepared(root, connection, migrating=migrating)
            except BaseException:
                connection.close()
                raise
        # What was replaced meanwhile has the log of its successor.
        if _identity(path) == file:
            return Connected(connection, file, version)
        connection.close()


def _opened(path: Path, *, writable: bool) -> sqlite3.Connection:
    # Who may not write to the folder cannot share the write-ahead log either.
    connection = _open(path, "mode=rw" if writable else "mode=ro")
    try:
        version_of(connection)
    except sqlite3.OperationalError:
        connection.close()
        if writable:
            raise
        connection = _open(path, "mode=ro&immutable=1")
    except BaseException:
        connection.close()
        raise
    return connection


def _prepared(root: Path, connection: sqlite3.Connection, *, migrating: bool) -> int:
    """The version of a database's schema, which can now be queried."""
    connection.execute("PRAGMA foreign_keys = ON")
    version = version_of(connection)
    if version > SCHEMA_VERSION:
        raise DatabaseTooNew(root, version, SCHEMA_VERSION)
    if version < 1:
        raise DatabaseUnusable(root, "its database is empty")
    if version < SCHEMA_VERSION:
        if migrating:
            migrate(connection)
            return SCHEMA_VERSION
        stand_in(connection)
    return version


def _open(path: Path, options: str) -> sqlite3.Connection:
    quoted = str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return sqlite3.connect(
        f"file:{quoted}?{options}",
        uri=True,
        timeout=_WAIT_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _range(prefix: str) -> tuple[str, str]:
    """The least text that begins with this, and the least that is greater than all."""
    return prefix, f"{prefix}\U0010ffff"


def _info(row: tuple[Any, ...]) -> ObjectInfo:
    path, digest, kind, size, registered, references = row
    return ObjectInfo(
        path=StorePath.parse(path),
        digest=Digest(bytes.fromhex(digest)),
        kind=kind,
        size=size,
        references=tuple(
            StorePath.parse(text) for text in sorted((references or "").split())
        ),
        registered=registered,
    )
