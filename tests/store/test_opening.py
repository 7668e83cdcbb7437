"""Opening a store: made once, refused where it cannot be used, never changed by it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from fromager.store import (
    LocalStore,
    StoreUnavailable,
    blob_digest,
    open_store,
)
from support.other_user import as_nobody
from support.processes import at_once, kill_at


def everything(root: Path) -> list[tuple[str, int, int]]:
    return sorted(
        (str(path.relative_to(root)), path.lstat().st_mtime_ns, path.lstat().st_size)
        for path in (root, *root.rglob("*"))
    )


def test_reading_changes_nothing_where_there_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    before = everything(tmp_path)

    for name in ("empty", "missing", "missing/deep"):
        with pytest.raises(StoreUnavailable, match="no store") as caught:
            open_store(tmp_path / name, create=False)
        assert caught.value.hint

    assert everything(tmp_path) == before


def test_reading_changes_nothing_where_there_is_one(tmp_path: Path) -> None:
    with open_store(tmp_path) as store, store.transaction() as transaction:
        info = transaction.add_bytes(b"content", "name")
    before = [row for row in everything(tmp_path) if row[0] != ".fromager"]

    with open_store(tmp_path, create=False) as store:
        assert store.read_file(info.path) == b"content"
        assert store.recall("a", "b") is None

    assert [row for row in everything(tmp_path) if row[0] != ".fromager"] == before


def test_parents_are_made(tmp_path: Path) -> None:
    with open_store(tmp_path / "a" / "b" / "store") as store:
        assert store.objects() == ()


def test_a_relative_root_is_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with open_store(Path("store")) as store:
        assert store.root == tmp_path / "store"


def test_many_processes_make_one_store(tmp_path: Path) -> None:
    def use(number: int) -> None:
        with open_store(tmp_path / "new" / "store") as store:
            store.remember("number", str(number), b"%d" % number)
            with store.transaction() as transaction:
                transaction.add_bytes(b"%d" % (number % 5), "blob")

    assert at_once(16, use) == [0] * 16
    with open_store(tmp_path / "new" / "store") as store:
        assert len(store.objects()) == 5
        assert [store.recall("number", str(n)) for n in range(16)] == [
            b"%d" % n for n in range(16)
        ]


def test_a_store_that_was_half_made_is_made_whole(tmp_path: Path) -> None:
    private = tmp_path / ".fromager"
    private.mkdir()
    (private / "db.sqlite").write_bytes(b"SQLite format 3\0torn")
    (private / "version.new").write_bytes(b"{")

    with open_store(tmp_path) as store:
        assert store.objects() == ()


def version(root: Path) -> Path:
    return root / ".fromager" / "version"


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"format":"x"}', "[" * 5000])
def test_a_damaged_version_is_said(tmp_path: Path, create: bool, content: str) -> None:
    open_store(tmp_path).close()
    version(tmp_path).write_text(content)

    with pytest.raises(StoreUnavailable, match="damaged") as caught:
        open_store(tmp_path, create=create)

    assert caught.value.hint


@pytest.mark.parametrize("create", [True, False])
def test_a_newer_format_is_refused(tmp_path: Path, create: bool) -> None:
    open_store(tmp_path).close()
    version(tmp_path).write_text(json.dumps({"format": 2}))

    with pytest.raises(StoreUnavailable, match="format is 2"):
        open_store(tmp_path, create=create)


@pytest.mark.parametrize("create", [True, False])
def test_a_newer_database_is_refused(tmp_path: Path, create: bool) -> None:
    open_store(tmp_path).close()
    connection = sqlite3.connect(tmp_path / ".fromager" / "db.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(StoreUnavailable, match="version 99"):
        open_store(tmp_path, create=create)


@pytest.mark.parametrize("content", [None, b"no database at all" * 100, b""])
@pytest.mark.parametrize("create", [True, False])
def test_a_lost_or_damaged_database_is_said(
    tmp_path: Path, create: bool, content: bytes | None
) -> None:
    open_store(tmp_path).close()
    database = tmp_path / ".fromager" / "db.sqlite"
    database.unlink()
    if content is not None:
        database.write_bytes(content)

    with pytest.raises(StoreUnavailable) as caught:
        open_store(tmp_path, create=create)

    assert caught.value.hint
    assert database.exists() == (content is not None)


def test_a_lost_version_does_not_lose_the_objects(tmp_path: Path) -> None:
    with open_store(tmp_path) as store, store.transaction() as transaction:
        transaction.add_bytes(b"content", "name")
    content = version(tmp_path).read_bytes()
    version(tmp_path).unlink()

    with pytest.raises(StoreUnavailable, match="missing"):
        open_store(tmp_path)
    version(tmp_path).write_bytes(content)

    with open_store(tmp_path) as store:
        assert len(store.objects()) == 1


def test_a_folder_with_other_things_becomes_no_store(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")

    with pytest.raises(StoreUnavailable, match=r"thesis\.txt") as caught:
        open_store(tmp_path)

    assert caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("name", ["file", "file/below"])
@pytest.mark.parametrize("create", [True, False])
def test_a_file_is_no_store(tmp_path: Path, name: str, create: bool) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreUnavailable) as caught:
        open_store(tmp_path / name, create=create)

    assert caught.value.hint
    assert (tmp_path / "file").read_text() == ""


def test_a_user_without_rights_can_do_all(shared: Path) -> None:
    code = """
with open_store(base / "store") as store:
    with store.scratch("work") as scratch:
        (scratch.path / "out/sub/deep").mkdir(parents=True)
        (scratch.path / "out/sub/file").write_bytes(b"1")
        (scratch.path / "out/sub/file").chmod(0)
        (scratch.path / "out/sub").chmod(0o555)
        (scratch.path / "out").chmod(0)
        with store.transaction() as transaction:
            info = transaction.add_directory(scratch.path / "out", "t", consume=True)
    with store.scratch("fails") as scratch:
        (scratch.path / "a/b").mkdir(parents=True)
        (scratch.path / "a/b").chmod(0)
        (scratch.path / "a").chmod(0o555)
    place = info.path.below(store.root)
    place.rename(place.with_name("moved"))
    place.mkdir()
    (place / "torn").mkdir()
    place.chmod(0o555)
    import sqlite3
    connection = sqlite3.connect(base / "store/.fromager/db.sqlite")
    connection.execute("DELETE FROM objects")
    connection.commit()
    connection.close()
    with store.transaction() as transaction:
        transaction.add_tree(store_tree := Directory.of({"sub": Directory.of({
            "deep": Directory(()), "file": File(blob_digest(b"1"), False, 1)})}), "t")
    assert store.read_file(info.path, "sub/file") == b"1"
    assert not list((base / "store/.fromager/staging").iterdir())
    assert not list((base / "store/.fromager/scratch").iterdir())
    source = base / "secret"
    source.write_bytes(b"")
    source.chmod(0)
    try:
        with store.transaction() as transaction:
            transaction.add_file(source, "secret")
    except UnsupportedFile as error:
        print(error)
"""
    assert "secret: cannot be read: Permission denied" in as_nobody(shared, code)


def test_another_users_store_is_read_and_never_written(shared: Path) -> None:
    with open_store(shared / "store") as store, store.transaction() as transaction:
        info = transaction.add_bytes(b"content", "name")
    before = everything(shared)

    code = f"""
path = StorePath.parse({str(info.path)!r})
with open_store(base / "store", create=False) as store:
    print(store.read_file(path))
    store.remember("a", "b", b"c")
    store.touch([path])
    for work in (store.transaction, lambda: store.scratch("x")):
        try:
            work()
        except StoreUnavailable as error:
            print(error, error.hint)
try:
    open_store(base / "store")
except StoreUnavailable as error:
    print(error, error.hint)
"""
    printed = as_nobody(shared, code)

    assert "b'content'" in printed
    assert printed.count("it belongs to user root") == 3
    assert printed.count("Use a store of your own") == 3
    assert everything(shared) == before


def test_another_users_store_is_read_while_it_is_written(shared: Path) -> None:
    with open_store(shared / "store") as store:
        with store.transaction() as transaction:
            info = transaction.add_bytes(b"content", "name")

        code = f"""
path = StorePath.parse({str(info.path)!r})
with open_store(base / "store", create=False) as store:
    print(store.read_file(path))
"""
        assert "b'content'" in as_nobody(shared, code)


def test_a_folder_that_may_not_be_written_is_said(shared: Path) -> None:
    shared.chmod(0o755)

    code = """
try:
    open_store(base / "store")
except StoreUnavailable as error:
    print(error, error.hint)
"""
    assert "Permission denied" in as_nobody(shared, code)
    assert list(shared.iterdir()) == []


@pytest.mark.parametrize("hidden", ["", "store", "store/.fromager"])
def test_a_store_that_may_not_be_seen_is_said(shared: Path, hidden: str) -> None:
    open_store(shared / "store").close()
    (shared / hidden).chmod(0o700)

    code = """
for create in (True, False):
    try:
        open_store(base / "store", create=create)
    except StoreUnavailable as error:
        print(error, error.hint)
"""
    assert as_nobody(shared, code, shared.parent).count("Permission denied") == 2


def test_a_store_made_read_only_is_said(shared: Path) -> None:
    code = """
with open_store(base / "store") as store:
    with store.transaction() as transaction:
        info = transaction.add_bytes(b"content", "name")
(base / "store/.fromager").chmod(0o555)
try:
    open_store(base / "store")
except StoreUnavailable as error:
    print(error, error.hint)
with open_store(base / "store", create=False) as store:
    print(store.read_file(info.path))
"""
    printed = as_nobody(shared, code)

    assert "is read-only Make it writable" in printed
    assert "b'content'" in printed


def test_what_a_dead_process_left_is_swept(tmp_path: Path) -> None:
    from support.processes import fork, wait

    def die() -> None:
        with (
            open_store(tmp_path / "store", effect=kill_at("write record")) as store,
            store.scratch("build") as scratch,
        ):
            (scratch.path / "file").write_bytes(b"")
            with store.transaction() as transaction:
                transaction.add_bytes(b"content", "name")

    assert wait(fork(die)) < 0
    private = tmp_path / "store" / ".fromager"
    assert len(list((private / "scratch").iterdir())) == 1

    with open_store(tmp_path / "store") as store:
        living = store.scratch("other")
        with living, open_store(tmp_path / "store") as second:
            assert [path.parent for path in (living.path,)] == [private / "scratch"]
            with second.scratch("third"):
                assert len(list((private / "scratch").iterdir())) == 2

        assert list((private / "scratch").iterdir()) == []
        assert list((private / "staging").iterdir()) == []
    assert list((private / "leases").iterdir()) == []


def test_the_record_of_a_key_names_no_place(tmp_path: Path) -> None:
    with open_store(tmp_path / "one") as one, open_store(tmp_path / "two") as two:
        infos = []
        for store in (one, two):
            with store.transaction() as transaction:
                infos.append(transaction.add_bytes(b"content", "name"))
        assert infos[0].path == infos[1].path
        assert isinstance(one, LocalStore)
        assert one.find(blob_digest(b"content").hex[:8])[0].path == infos[0].path
