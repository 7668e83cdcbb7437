"""The database's schema: one way to each version, from the first one on."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from fromager.store import DatabaseUnusable, open_store
from fromager.store.schema import (
    MIGRATIONS,
    SCHEMA_VERSION,
    migrate,
    stand_in,
    version_of,
)
from support.golden import DATA
from support.processes import at_once

if TYPE_CHECKING:
    from pathlib import Path


def schema(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return connection.execute(
        "SELECT name, sql FROM sqlite_master ORDER BY name"
    ).fetchall()


def old_store(root: Path) -> None:
    """A store with the database of the first version, and something at each place."""
    open_store(root).close()
    path = root / ".fromager" / "db.sqlite"
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((DATA / "store" / "database-1.sql").read_text())
        connection.execute("PRAGMA journal_mode = WAL")
    for (name,) in rows(root, "SELECT path FROM objects"):
        (root / str(name)).write_bytes(b"")


def rows(root: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(root / ".fromager" / "db.sqlite")) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture
def root(quick_path: Path) -> Path:
    old_store(quick_path / "store")
    return quick_path / "store"


def test_a_database_of_the_first_version_becomes_one_of_this(root: Path) -> None:
    tables = ("objects", "refs", "realisations", "facts")
    before = [rows(root, f"SELECT * FROM {table}") for table in tables]
    assert rows(root, "PRAGMA user_version") == [(1,)]

    with open_store(root) as store:
        store.remember("a", "b", b"c")

    assert rows(root, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    assert rows(root, "PRAGMA integrity_check") == [("ok",)]
    after = [rows(root, f"SELECT * FROM {table}") for table in tables]
    assert after[:3] == before[:3]
    assert set(before[3]) < set(after[3])


def test_all_ways_lead_to_one_schema(root: Path, quick_path: Path) -> None:
    with open_store(root) as store:
        store.remember("a", "b", b"c")
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection)
        made = schema(connection)

    with closing(sqlite3.connect(root / ".fromager" / "db.sqlite")) as connection:
        assert schema(connection) == made


def test_reading_an_older_database_changes_nothing(root: Path) -> None:
    database = root / ".fromager" / "db.sqlite"
    before = database.read_bytes()

    with open_store(root, create=False) as store:
        names = [info.path.name for info in store.objects()]
        assert names == ["thing.drv", "thing"]
        assert store.subjects("wheel") == ("thing==1",)
        assert store.recall("names", "thing") == b"\0\1value"
        assert store.care().withheld() == ()

    assert database.read_bytes() == before
    assert rows(root, "PRAGMA user_version") == [(1,)]


def test_a_reader_of_an_older_database_follows_its_migration(root: Path) -> None:
    with open_store(root, create=False) as reader:
        assert len(reader.objects()) == 2
        with open_store(root) as store:
            found = store.care().verify()
            assert len(found.damaged) == 2

        assert reader.objects() == ()
        assert reader.care().withheld() == found.damaged


def test_many_processes_migrate_one_database(root: Path) -> None:
    def use(number: int) -> None:
        with open_store(root) as store:
            assert store.subjects("wheel") == ("thing==1",)
            store.remember("number", str(number), b"x")
            assert store.recall("number", str(number)) == b"x"

    assert at_once(16, use) == [0] * 16
    assert rows(root, "PRAGMA user_version") == [(SCHEMA_VERSION,)]


def test_a_migration_that_fails_changes_nothing(root: Path) -> None:
    with closing(
        sqlite3.connect(root / ".fromager" / "db.sqlite", isolation_level=None)
    ) as connection:
        connection.execute("CREATE VIEW sound AS SELECT 1")
        before = schema(connection)

        with pytest.raises(sqlite3.OperationalError):
            migrate(connection)

        assert (version_of(connection), schema(connection)) == (1, before)


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION + 1))
def test_stand_ins_have_all_that_queries_name(version: int) -> None:
    """Each table or view of a later version, and each of its columns, is there."""
    with (
        closing(sqlite3.connect(":memory:", isolation_level=None)) as old,
        closing(sqlite3.connect(":memory:", isolation_level=None)) as new,
    ):
        for migration in MIGRATIONS[:version]:
            old.executescript(migration.script)
        old.execute(f"PRAGMA user_version = {version}")
        stand_in(old)
        migrate(new)

        for (name,) in new.execute(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
        ).fetchall():
            wanted = [row[1] for row in new.execute(f"PRAGMA table_info({name})")]
            assert [row[1] for row in old.execute(f"PRAGMA table_info({name})")] == (
                wanted
            )


def test_a_newer_database_is_refused(root: Path) -> None:
    with closing(sqlite3.connect(root / ".fromager" / "db.sqlite")) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")

    for create in (True, False):
        with pytest.raises(DatabaseUnusable) as caught:
            open_store(root, create=create)
        assert f"version {SCHEMA_VERSION + 1}" in str(caught.value)
        assert "Use the fromager that made it" in str(caught.value.hint)


def test_the_first_version_is_as_it_was_released() -> None:
    script = (DATA / "store" / "database-1.sql").read_text()
    with (
        closing(sqlite3.connect(":memory:")) as old,
        closing(sqlite3.connect(":memory:")) as new,
    ):
        old.executescript(script)
        new.executescript(MIGRATIONS[0].script)

        assert json.dumps(schema(old)) == json.dumps(schema(new))
