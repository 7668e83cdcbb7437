"""The schema of the database, as a chain of migrations.

The migration at index n makes a database of version n one of version n + 1, and a new
database is made by all of them: there is only one way to each schema. What was
released is never changed; a feature that needs more adds one migration at the end.

Who only reads an older database does not migrate it. Temporary tables, seen by that
connection alone, stand in for those that it lacks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3


@dataclass(frozen=True, slots=True)
class Migration:
    """One step from a version of the schema to the next."""

    script: str
    """SQL that changes the database."""
    stand_in: str = ""
    """SQL that makes queries for the new schema work on a database without it."""


_FIRST: Final = """
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
"""

# `sound` is what may be served: objects that were not found damaged.
_VERIFICATION: Final = Migration(
    script="""
CREATE TABLE damaged (
  object INTEGER PRIMARY KEY REFERENCES objects (id) ON DELETE CASCADE,
  found INTEGER NOT NULL,
  reason TEXT NOT NULL
);
CREATE TABLE verified (
  object INTEGER PRIMARY KEY REFERENCES objects (id) ON DELETE CASCADE,
  at INTEGER NOT NULL
);
CREATE VIEW sound AS
  SELECT * FROM objects WHERE id NOT IN (SELECT object FROM damaged);
""",
    stand_in="""
CREATE TEMP TABLE damaged (object INTEGER PRIMARY KEY, found INTEGER, reason TEXT);
CREATE TEMP TABLE verified (object INTEGER PRIMARY KEY, at INTEGER);
CREATE TEMP VIEW sound AS SELECT * FROM objects;
""",
)

# References to objects that lie in a store beneath this one, and not in this one.
_LAYERS: Final = Migration(
    script="""
CREATE TABLE lower_refs (
  referrer INTEGER NOT NULL REFERENCES objects (id) ON DELETE CASCADE,
  path TEXT NOT NULL,
  PRIMARY KEY (referrer, path)
) WITHOUT ROWID;
CREATE INDEX lower_refs_path ON lower_refs (path);
""",
    stand_in="""
CREATE TEMP TABLE lower_refs (referrer INTEGER, path TEXT);
""",
)

MIGRATIONS: Final = (Migration(_FIRST), _VERIFICATION, _LAYERS)
SCHEMA_VERSION: Final = len(MIGRATIONS)


def version_of(connection: sqlite3.Connection) -> int:
    """The version of a database's schema; 0 for one in which nothing was made."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a database to this fromager's schema, in one transaction.

    The caller holds a lock against others who might do the same.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        for migration in MIGRATIONS[version_of(connection) :]:
            for statement in _statements(migration.script):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def stand_in(connection: sqlite3.Connection) -> None:
    """Make queries for this fromager's schema work on an older database, unchanged."""
    connection.execute("PRAGMA temp_store = MEMORY")
    for migration in MIGRATIONS[version_of(connection) :]:
        for statement in _statements(migration.stand_in):
            connection.execute(statement)


def _statements(script: str) -> list[str]:
    # `executescript` would commit before it begins.
    return [part for part in script.split(";") if part.strip()]
