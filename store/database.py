"""The database: what is valid, what refers to what, and which claims were made.

Readers never wait for the writer (WAL). Whoever writes holds the writer's lock, so
that SQLite's own waiting is a second line only.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from fromager.store.api import ObjectInfo
from fromager.store.database_reader import WAIT_SECONDS, Reader, open_database
from fromager.store.digest import Digest
from fromager.store.durability import is_full, storage_error
from fromager.store.errors import (
    DatabaseTooNew,
    DatabaseUnusable,
    StoreError,
    StoreFull,
    StoreUnavailable,
)
from fromager.store.path import StorePath
from fromager.store.schema import SCHEMA_VERSION, migrate, stand_in, version_of
from fromager.store.succession import settle, successor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from fromager.store.layout import StoreLayout

T = TypeVar("T")
_BATCH: Final = 500
"""How many values go into one query; SQLite's least limit is 999."""

_INFO: Final = """
SELECT path, digest, kind, size, registered,
  (SELECT group_concat(target.path, ' ') FROM refs
   JOIN objects AS target ON target.id = refs.reference
   WHERE refs.referrer = objects.id),
  (SELECT group_concat(lower_refs.path, ' ') FROM lower_refs
   WHERE lower_refs.referrer = objects.id)
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
        connection = sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            migrate(connection)
        finally:
            connection.close()


class Database:
    """One connection for reading, shared by all threads; `Writer` has the other.

    It follows the database when that is replaced or migrated by another process.
    """

    def __init__(
        self, layout: StoreLayout, *, writable: bool, along: bool = True
    ) -> None:
        """Where it is not `writable`, nothing beside it is written either.

        `along`: its file system shares memory between those who use it.

        Raises:
            DatabaseUnusable: missing, damaged, or made by a newer fromager.
            StoreUnavailable: it cannot be read.
        """
        self._layout = layout
        self._lock = threading.Lock()
        self._source: _Followed | Reader
        if writable:
            self._source = _Followed(layout)
            return
        with database_errors(layout.root):
            if _identity(layout.database) is None:
                raise DatabaseUnusable(layout.root, "its database is missing")
        self._source = Reader(
            layout.root,
            layout.database,
            lambda connection: _readable(layout, connection),
            along=along,
        )
        try:
            self.rows("SELECT 1")
        except BaseException:
            self._source.close()
            raise

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
        starts = (prefix, prefix, digits)
        ranges = [text for start in starts for text in prefix_range(start)]
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

    def lower_references(self, paths: Iterable[str]) -> set[str]:
        """What these objects refer to and is not in this store."""
        if not self.rows("SELECT 1 FROM lower_refs LIMIT 1"):
            return set()
        return {
            str(path)
            for _, path in self._by(
                "SELECT objects.id, lower_refs.path FROM lower_refs"
                " JOIN objects ON objects.id = lower_refs.referrer"
                " WHERE objects.path IN ({})",
                paths,
            )
        }

    def referrers(self, paths: Iterable[str]) -> set[str]:
        """What refers to one of these objects directly, wherever they are."""
        wanted = list(paths)
        found = self._by(
            "SELECT referrer, objects.path FROM objects AS target"
            " JOIN refs ON refs.reference = target.id"
            " JOIN objects ON objects.id = refs.referrer WHERE target.path IN ({})",
            wanted,
        )
        found |= self._by(
            "SELECT referrer, objects.path FROM lower_refs"
            " JOIN objects ON objects.id = referrer WHERE lower_refs.path IN ({})",
            wanted,
        )
        return {path for _, path in found}

    def claims(self, where: str, values: Sequence[str]) -> list[bytes]:
        """The records of realisations, newest first."""
        return [row[0] for row in self.rows(_CLAIMS.format(where), values)]

    def subjects(self, kind: str) -> dict[str, int]:
        """The subjects of a kind's realisations, and when their newest was started."""
        rows = self.rows(
            "SELECT subject, max(started) FROM realisations WHERE kind = ?"
            " GROUP BY subject",
            (kind,),
        )
        return {str(subject): int(started) for subject, started in rows}

    def recall(self, namespace: str, key: str) -> bytes | None:
        """The value of a fact."""
        rows = self.rows(
            "SELECT value FROM facts WHERE namespace = ? AND key = ?", (namespace, key)
        )
        return bytes(rows[0][0]) if rows else None

    def rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """What a query finds."""
        with self._lock, database_errors(self._layout.root):
            return self._source.rows(query, values)

    @contextmanager
    def snapshot(self) -> Iterator[Callable[[str], Iterator[tuple[Any, ...]]]]:
        """Runs several queries, all of which see the database as it is now."""
        with (
            self._lock,
            database_errors(self._layout.root),
            self._source.at_once() as c,
        ):
            yield c.execute

    def close(self) -> None:
        """Give the connection up."""
        self._source.close()

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


class _Followed:
    """A connection that takes part in SQLite's own locks, to what is at a path now."""

    def __init__(self, layout: StoreLayout) -> None:
        self._layout, self._connected = layout, connect(layout)
        self._path = layout.database

    def rows(self, query: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        if not self._connected.holds(self._path):
            self._connected.connection.close()
            self._connected = connect(self._layout)
        return self._connected.connection.execute(query, values).fetchall()

    @contextmanager
    def at_once(self) -> Iterator[sqlite3.Connection]:
        """A connection all of whose answers are of one moment."""
        self.rows("SELECT 1", ())
        connection = self._connected.connection
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("COMMIT")

    def close(self) -> None:
        self._connected.connection.close()


@contextmanager
def database_errors(root: Path) -> Iterator[None]:
    """SQLite's errors as those of the store."""
    try:
        yield
    except sqlite3.Error as error:
        raise database_error(root, error) from error
    except OSError as error:
        raise storage_error(root, error) from error


def database_error(root: Path, error: sqlite3.Error) -> StoreError:
    """What an error of SQLite means to the store's user."""
    code = getattr(error, "sqlite_errorcode", 0)
    match code & 0xFF:
        case sqlite3.SQLITE_FULL:
            return StoreFull(root)
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_CANTOPEN if is_full(root):
            # SQLite has one word for all that happens when files are made.
            return StoreFull(root)
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return DatabaseUnusable(root, f"its database is damaged ({error})")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreUnavailable(
                root,
                f"something other than fromager kept its database locked for "
                f"{WAIT_SECONDS:.0f} s",
                "End the program that has the database open, and try again",
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return StoreUnavailable(root, f"its database cannot be opened ({error})")
    return StoreUnavailable(root, f"its database failed ({error})")


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


def connect(layout: StoreLayout, *, migrating: bool = False) -> Connected:
    """A connection to a database that is there, its version checked.

    With `migrating`, an older schema is brought to this fromager's; the caller holds
    the writer's lock.

    Raises:
        DatabaseUnusable: missing, damaged, or made by a newer fromager.
    """
    root, path = layout.root, layout.database
    while True:
        settle(layout, locked=migrating)
        with database_errors(root):
            file = _identity(path)
            if file is None:
                raise DatabaseUnusable(root, "its database is missing")
            connection = open_database(path, "mode=rw")
            try:
                version = _prepared(root, connection, migrating=migrating)
            except BaseException:
                connection.close()
                raise
        # What was replaced meanwhile has the log of its successor.
        if _identity(path) == file:
            return Connected(connection, file, version)
        connection.close()


def _readable(layout: StoreLayout, connection: sqlite3.Connection) -> int:
    """The version of the schema of a database that is only read."""
    if successor(layout).exists():
        raise StoreUnavailable(
            layout.root, "its database is being replaced", "Run the same command again"
        )
    return _prepared(layout.root, connection, migrating=False)


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


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def newest_first(started: dict[str, int]) -> tuple[str, ...]:
    """Subjects by the start of their newest claims."""
    return tuple(sorted(started, key=lambda subject: (-started[subject], subject)))


def prefix_range(prefix: str) -> tuple[str, str]:
    """The least text that begins with this, and the least that is greater than all."""
    return prefix, f"{prefix}\U0010ffff"


def _info(row: tuple[Any, ...]) -> ObjectInfo:
    path, digest, kind, size, registered, own, lower = row
    references = f"{own or ''} {lower or ''}".split()
    return ObjectInfo(
        path=StorePath.parse(path),
        digest=Digest(bytes.fromhex(digest)),
        kind=kind,
        size=size,
        references=tuple(StorePath.parse(text) for text in sorted(references)),
        registered=registered,
    )
