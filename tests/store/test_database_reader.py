"""Reading a store that others own, and that they write to meanwhile."""

from __future__ import annotations

import os
import select
import signal
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from fromager.store import StoreUnavailable, open_layers, open_store
from fromager.store.database_reader import Reader
from fromager.store.schema import version_of
from support.other_user import as_nobody, started_as_nobody
from support.processes import fork, wait

if TYPE_CHECKING:
    from pathlib import Path

PAIRS = 25


def add_pair(root: Path, number: int) -> None:
    """Two objects that become valid together; the database is opened and closed."""
    with open_store(root) as store, store.transaction() as transaction:
        # Long names fill pages, so that a write touches many of them.
        transaction.add_bytes(b"a%d" % number, f"a-{number}-{'x' * 150}")
        transaction.add_bytes(b"b%d" % number, f"b-{number}-{'x' * 150}")


def database(root: Path) -> Path:
    return root / ".fromager" / "db.sqlite"


def accept(connection: sqlite3.Connection) -> int:
    """Any database will do."""
    return version_of(connection)


def beside(root: Path) -> set[str]:
    """The files of SQLite that lie beside the database."""
    return {path.name[9:] for path in database(root).parent.glob("db.sqlite-*")}


READ_ALL_THE_TIME = """
import select
def halves(store):
    names = [info.path.name for info in store.objects()]
    return tuple({name.split("-")[1] for name in names if name[0] == half}
                 for half in "ab")

with open_store(base / "store", create=False) as kept:
    print("reading", flush=True)
    count, turns = 0, 0
    while True:
        for store in (kept, again := open_store(base / "store", create=False)):
            first, second = halves(store)
            assert first == second, (first, second)
            assert len(first) >= count
            count = len(first)
        again.close()
        turns += 1
        if select.select([sys.stdin], [], [], 0)[0] and sys.stdin.readline():
            break
    assert len(halves(kept)[0]) == int(sys.stdin.readline())
    print(turns)
"""


def test_another_user_reads_whole_answers_while_the_owner_writes(shared: Path) -> None:
    add_pair(shared / "store", 0)
    with started_as_nobody(shared, READ_ALL_THE_TIME) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "reading\n"
        # Each time the owner comes and goes, the shared memory may come and go.
        for number in range(1, PAIRS):
            add_pair(shared / "store", number)
        out, err = reader.communicate(f"stop\n{PAIRS}\n")

    assert reader.returncode == 0, err
    assert int(out) >= 1


def test_a_kept_reader_sees_what_is_added_later(shared: Path) -> None:
    add_pair(shared / "store", 0)
    code = """
with open_store(base / "store", create=False) as store:
    print(len(store.objects()), flush=True)
    sys.stdin.readline()
    print(len(store.objects()))
"""
    with started_as_nobody(shared, code) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "2\n"
        add_pair(shared / "store", 1)
        out, err = reader.communicate("go\n")

    assert (out, err) == ("4\n", "")


def killed_while_writing(root: Path) -> None:
    """Leave a log that was not brought into the database."""

    def die() -> None:
        with open_store(root) as store:
            with store.transaction() as transaction:
                transaction.add_bytes(b"last", "last")
            os.kill(os.getpid(), signal.SIGKILL)

    add_pair(root, 0)
    assert wait(fork(die)) == -signal.SIGKILL
    assert beside(root) == {"-shm", "-wal"}


NAMES = """
with open_store(base / "store", create=False) as store:
    print(sorted(info.path.name[:4] for info in store.objects()))
"""
ALL = "['a-0-', 'b-0-', 'last']\n"


@pytest.mark.parametrize("lost", [(), ("-shm",)])
def test_what_a_killed_owner_wrote_last_is_read(
    shared: Path, lost: tuple[str, ...]
) -> None:
    killed_while_writing(shared / "store")
    for name in lost:
        database(shared / "store").with_name(f"db.sqlite{name}").unlink()
    left = beside(shared / "store")

    assert as_nobody(shared, NAMES) == ALL
    assert beside(shared / "store") == left


def test_a_lower_store_of_ones_own_is_read_without_a_trace(tmp_path: Path) -> None:
    killed_while_writing(tmp_path / "lower")
    database(tmp_path / "lower").with_name("db.sqlite-shm").unlink()

    with open_layers(None, [tmp_path / "lower"], create=False) as store:
        assert len(store.objects()) == 3

    assert beside(tmp_path / "lower") == {"-wal"}


def test_a_copy_is_read_where_memory_is_not_shared(tmp_path: Path) -> None:
    root = tmp_path / "store"
    mounts = b"1 0 0:1 / / rw - nfs4 server:/export rw\n"
    killed_while_writing(root)

    with open_store(root, create=False, mounts=lambda: mounts) as store:
        assert len(store.objects()) == 3
        with pytest.raises(StoreUnavailable, match="nfs4"):
            store.transaction()


def test_a_copy_is_whole_or_none_while_others_write(tmp_path: Path) -> None:
    """First and last page change together, are brought into the file, and so on."""
    path = tmp_path / "db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (n INTEGER, filler TEXT)")
    connection.executemany("INSERT INTO t VALUES (0, ?)", [("x" * 3900,)] * 400)
    connection.close()
    gate, stop = os.pipe()

    def write() -> None:
        os.close(stop)
        writer = sqlite3.connect(path, isolation_level=None)
        writer.execute("PRAGMA synchronous = OFF")
        while not select.select([gate], [], [], 0)[0]:
            writer.execute("UPDATE t SET n = n + 1 WHERE rowid IN (1, 400)")
            writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def values() -> list[tuple[object, ...]]:
        reader = Reader(tmp_path, path, accept, along=False)
        found = reader.rows("SELECT DISTINCT n FROM t WHERE rowid IN (1, 400)", ())
        reader.close()
        return found

    child = fork(write)
    os.close(gate)
    for _ in range(40):
        with suppress(StoreUnavailable):  # said, never guessed
            assert len(values()) == 1
    os.close(stop)
    assert wait(child) == 0
    assert len(values()) == 1


def test_a_database_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    for name, value in (("one", 1), ("two", 2)):
        connection = sqlite3.connect(tmp_path / name, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (n INTEGER)")
        connection.execute("INSERT INTO t VALUES (?)", (value,))
        connection.close()

    reader = Reader(tmp_path, tmp_path / "one", accept, along=True)
    assert reader.rows("SELECT n FROM t", ()) == [(1,)]
    (tmp_path / "two").rename(tmp_path / "one")

    assert reader.rows("SELECT n FROM t", ()) == [(2,)]
    reader.close()


@pytest.mark.parametrize(
    ("hidden", "ask"),
    [
        (".fromager/db.sqlite", "open_store(base / 'store', create=False)"),
        ("{path}", "store.read_file(path)"),
        (".fromager/records/{path}.json", "store.tree(path)"),
        (".fromager/blobs", "store.materialise(tree, base / 'out', mtime=1)"),
    ],
)
def test_what_may_not_be_read_is_said_and_is_no_damage(
    shared: Path, hidden: str, ask: str
) -> None:
    with open_store(shared / "store") as store, store.transaction() as transaction:
        info = transaction.add_bytes(b"content", "name")
    place = shared / "store" / hidden.format(path=info.path)
    place.chmod(0)

    code = f"""
path = StorePath.parse({str(info.path)!r})
tree = Directory.of({{"a": File(blob_digest(b"content"), size=7)}})
try:
    store = open_store(base / "store", create=False)
    {ask}
except StoreUnavailable as error:
    print(error, error.hint)
"""
    printed = as_nobody(shared, code)

    assert "Permission denied" in printed
    assert "Ask its owner" in printed


def test_a_database_that_is_migrated_meanwhile_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "db"
    owner = sqlite3.connect(path, isolation_level=None)
    owner.execute("PRAGMA journal_mode = WAL")
    owner.execute("CREATE TABLE t (n INTEGER)")
    prepared: list[int] = []

    def prepare(connection: sqlite3.Connection) -> int:
        prepared.append(version_of(connection))
        if prepared[-1] == 0:
            connection.execute("CREATE TEMP VIEW late AS SELECT 0 AS n")
        return prepared[-1]

    reader = Reader(tmp_path, path, prepare, along=True)
    assert reader.rows("SELECT n FROM late", ()) == [(0,)]
    owner.executescript(
        "CREATE TABLE late (n INTEGER); INSERT INTO late VALUES (7);"
        "PRAGMA user_version = 1;"
    )

    assert reader.rows("SELECT n FROM late", ()) == [(7,)]
    assert prepared == [0, 1]
    reader.close()
    owner.close()
