"""The database: what is valid, what refers to what, and which claims were made.

Readers never wait for the writer (WAL). Whoever writes holds the writer's lock, so
that SQLite's own waiting is a second line only.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from fromager.store.api import ObjectInfo
from fromager.store.digest import Digest
from fromager.store.errors import StoreError, StoreFull, StoreUnavailable
from fromager.store.path import StorePath

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

T = TypeVar("T")
SCHEMA_VERSION: Final = 1
_WAIT_SECONDS: Final = 120.0
_BATCH: Final = 500
"""How many values go into one query; SQLite's least limit is 999."""

_SCHEMA: Final = f"""
CREATE TABLE objects (
  id INTEGER PRIMARY KEY,
  path TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  digest TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('blob', 'tree')),
  size INTEGER NOT NULL,
  registered INTEGER NOT NULL,
  last_used INTEGER NOT NULL
);
CREATE INDEX objects_name ON objects (name);
CREATE INDEX objects_digest ON objects (digest);
CREATE TABLE refs (
  referrer INTEGER NOT NULL REFERENCES objects (id) ON DELETE CASCADE,
  reference INTEGER NOT NULL REFERENCES objects (id) ON DELETE RESTRICT,
  PRIMARY KEY (referrer, reference)
) WITHOUT ROWID;
CREATE INDEX refs_reference ON refs (reference);
CREATE TABLE realisations (
  id INTEGER PRIMARY KEY,
  record TEXT NOT NULL UNIQUE,
  key TEXT NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  derivation TEXT NOT NULL,
  output TEXT NOT NULL,
  output_digest TEXT NOT NULL,
  level TEXT NOT NULL,
  started INTEGER NOT NULL,
  registered INTEGER NOT NULL,
  content BLOB NOT NULL
);
CREATE INDEX realisations_key ON realisations (key);
CREATE INDEX realisations_subject ON realisations (kind, subject);
CREATE INDEX realisations_output ON realisations (output);
CREATE INDEX realisations_derivation ON realisations (derivation);
CREATE TABLE facts (
  namespace TEXT NOT NULL,
  key TEXT NOT NULL,
  value BLOB NOT NULL,
  updated INTEGER NOT NULL,
  PRIMARY KEY (namespace, key)
);
PRAGMA user_version = {SCHEMA_VERSION};
"""

_INFO: Final = """
SELECT path, digest, kind, size, registered,
  (SELECT group_concat(target.path, ' ') FROM refs
   JOIN objects AS target ON target.id = refs.reference
   WHERE refs.referrer = objects.id)
FROM objects
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
            connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")
        finally:
            connection.close()


class Database:
    """One connection for reading, shared by all threads; `Writer` has the other."""

    def __init__(self, root: Path, path: Path, *, writable: bool) -> None:
        """Raises StoreUnavailable: missing, damaged, or made by a newer fromager."""
        self._root, self._path = root, path
        self._lock = threading.Lock()
        self._connection = connect(root, path, writable=writable)

    def info(self, path: StorePath) -> ObjectInfo | None:
        """The row of an object."""
        rows = self._rows(f"{_INFO} WHERE path = ?", (str(path),))
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
        """What these objects reach, themselves included; and which are not there."""
        wanted = {str(path) for path in paths}
        reached: set[str] = set()
        for part in batches(list(wanted)):
            rows = self._rows(_CLOSURE.format(marks(part)), part)
            reached.update(row[0] for row in rows)
        return reached, wanted - reached

    def claims(self, where: str, values: Sequence[str]) -> list[bytes]:
        """The records of realisations, newest first."""
        return [row[0] for row in self._rows(_CLAIMS.format(where), values)]

    def subjects(self, kind: str) -> tuple[str, ...]:
        """The subjects of a kind's realisations, those with the newest first."""
        rows = self._rows(
            "SELECT subject FROM realisations WHERE kind = ?"
            " GROUP BY subject ORDER BY max(started) DESC, subject",
            (kind,),
        )
        return tuple(str(row[0]) for row in rows)

    def recall(self, namespace: str, key: str) -> bytes | None:
        """The value of a fact."""
        rows = self._rows(
            "SELECT value FROM facts WHERE namespace = ? AND key = ?", (namespace, key)
        )
        return bytes(rows[0][0]) if rows else None

    @contextmanager
    def snapshot(self) -> Iterator[Callable[[str], Iterator[tuple[Any, ...]]]]:
        """Runs several queries, all of which see the database as it is now."""
        with self._lock, database_errors(self._root):
            self._connection.execute("BEGIN")
            try:
                yield self._connection.execute
            finally:
                self._connection.execute("COMMIT")

    def close(self) -> None:
        """Give the connection up."""
        self._connection.close()

    def _infos(self, where: str, values: Sequence[str]) -> tuple[ObjectInfo, ...]:
        return tuple(_info(row) for row in self._rows(f"{_INFO} {where}", values))

    def _by(self, query: str, values: Iterable[object]) -> set[tuple[int, str]]:
        found = set()
        for part in batches(list(values)):
            found.update(self._rows(query.format(marks(part)), part))
        return found

    def _rows(self, query: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        with self._lock, database_errors(self._root):
            return self._connection.execute(query, values).fetchall()


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
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_FULL:
            return StoreFull(root)
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return StoreUnavailable(
                root,
                f"its database is damaged ({error})",
                "Move that folder away; it is made anew from source",
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return StoreUnavailable(root, f"its database cannot be opened ({error})")
    return StoreUnavailable(root, f"its database failed ({error})")


def connect(root: Path, path: Path, *, writable: bool) -> sqlite3.Connection:
    """A connection to a database that is there, its version checked."""
    if not path.exists():
        raise StoreUnavailable(
            root,
            "its database is missing",
            "Move that folder away; it is made anew from source",
        )
    with database_errors(root):
        # Who may not write to the folder cannot share the write-ahead log either.
        connection = _open(path, "mode=rw" if writable else "mode=ro")
        try:
            version = _version(connection)
        except sqlite3.OperationalError:
            connection.close()
            if writable:
                raise
            connection = _open(path, "mode=ro&immutable=1")
            version = _version(connection)
        except BaseException:
            connection.close()
            raise
    if version != SCHEMA_VERSION:
        connection.close()
        raise StoreUnavailable(
            root,
            f"its database has version {version}, this fromager knows {SCHEMA_VERSION}",
            "Use the fromager that made it, or another store",
        )
    return connection


def _open(path: Path, options: str) -> sqlite3.Connection:
    quoted = str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return sqlite3.connect(
        f"file:{quoted}?{options}",
        uri=True,
        timeout=_WAIT_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )


def _version(connection: sqlite3.Connection) -> int:
    connection.execute("PRAGMA foreign_keys = ON")
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


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
