"""A database made anew knows all that matters, whatever had become of the old one."""

from __future__ import annotations

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from fromager.store import (
    DatabaseUnusable,
    LocalStore,
    Realisation,
    RebuiltDatabase,
    StoreUnavailable,
    blob_digest,
    open_store,
    rebuild_database,
)
from support.damaging import KEY, NOW, Victim, flip, make_victim, rewrite
from support.processes import Killer, at_once, fork, wait
from support.trees import damages

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def victim(quick_path: Path) -> Victim:
    return make_victim(quick_path)


def rebuild(victim: Victim, **options: Any) -> RebuiltDatabase:
    return rebuild_database(victim.root, clock=lambda: float(NOW), **options)


def everything(store: LocalStore) -> list[object]:
    """All that a store says of itself, but for times."""
    rows = [
        (info.path, info.digest, info.kind, info.size, info.references)
        for info in store.objects()
    ]
    claims = [store.producers(path) for path, *_ in rows]
    return [rows, claims, store.subjects("wheel"), store.history("wheel", "thing==1")]


def known(root: Path) -> list[object]:
    with open_store(root, create=False) as store:
        assert list(damages(store)) == []
        return everything(store)


def _torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def _scrambled(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for at in range(4096, len(content), 7):
        content[at] ^= 0x55
    path.write_bytes(content)


LOSSES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "half written": _torn,
    "not a database": lambda path: path.write_bytes(b"SQLite format 3\0torn"),
    "scrambled": _scrambled,
}


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_is_lost_with_the_database(victim: Victim, name: str) -> None:
    before = known(victim.root)
    LOSSES[name](victim.private / "db.sqlite")

    rebuilt = rebuild(victim)

    assert rebuilt == RebuiltDatabase(3, 1, (), ())
    assert known(victim.root) == before
    with open_store(victim.root) as store:
        assert store.care().verify().damages == ()


@pytest.mark.parametrize("name", ["missing", "empty", "half written", "not a database"])
def test_a_lost_database_is_said_and_what_to_do(victim: Victim, name: str) -> None:
    LOSSES[name](victim.private / "db.sqlite")

    for create in (True, False):
        with (
            pytest.raises(DatabaseUnusable) as caught,
            open_store(victim.root, create=create) as store,
        ):
            store.objects()
        assert "made anew" in str(caught.value.hint)


def test_a_newer_database_is_refused_and_can_be_made_anew(victim: Victim) -> None:
    victim.sql("CREATE TABLE future (id INTEGER)")
    victim.sql("PRAGMA user_version = 99")
    with pytest.raises(DatabaseUnusable, match="version 99, this fromager knows"):
        open_store(victim.root)

    rebuild(victim)

    with open_store(victim.root) as store:
        assert len(store.objects()) == 3
    assert victim.sql("SELECT name FROM sqlite_master WHERE name = 'future'") == []


def test_what_is_damaged_is_withheld_from_the_beginning(victim: Victim) -> None:
    rewrite(victim.place / "lib/b.py", b"Shared")

    rebuilt = rebuild(victim, processes=2)

    assert {damage.object for damage in rebuilt.damages} == {
        victim.thing.path,
        victim.other.path,
    }
    with open_store(victim.root) as store:
        assert [info.path for info in store.objects()] == [victim.derivation.path]
        assert store.care().withheld() == tuple(
            sorted([victim.thing.path, victim.other.path])
        )


def test_without_contents_only_what_is_seen_is_withheld(victim: Victim) -> None:
    rewrite(victim.place / "lib/b.py", b"Shared")
    (victim.other.path.below(victim.root) / "own").chmod(0o755)

    rebuilt = rebuild(victim, contents=False)

    assert {damage.object for damage in rebuilt.damages} == {victim.other.path}
    with open_store(victim.root) as store:
        assert store.care().verify().damaged == tuple(
            sorted([victim.thing.path, victim.other.path])
        )


def test_what_refers_to_something_lost_is_withheld(victim: Victim) -> None:
    victim.derivation.path.below(victim.root).unlink()
    (victim.private / "records" / f"{victim.derivation.path}.json").unlink()

    rebuilt = rebuild(victim)

    (damage,) = rebuilt.damages
    assert damage.object == victim.thing.path
    assert str(victim.derivation.path) in damage.detail
    with open_store(victim.root) as store:
        assert store.realisations(KEY) == ()


def test_records_that_say_nothing_are_told(victim: Victim) -> None:
    rewrite(victim.record, b"{}")
    rewrite(victim.claim_file, b"{}")

    rebuilt = rebuild(victim)

    assert (rebuilt.objects, rebuilt.claims) == (2, 0)
    assert [damage.place for damage in rebuilt.unreadable] == sorted(
        str(path.relative_to(victim.root))
        for path in (victim.record, victim.claim_file)
    )


def test_the_order_of_claims_stays(victim: Victim) -> None:
    claims = []
    with open_store(victim.root) as store:
        for number in range(20):
            claim = Realisation(
                *(KEY, victim.derivation.path, "wheel", "thing==1"),
                *(victim.thing.path, victim.thing.digest, str(number), number // 5),
            )
            with store.transaction() as transaction:
                transaction.register(claim)
            claims.append(claim)
        before = store.realisations(KEY)
    assert list(before[:15]) == claims[:4:-1]

    rebuild(victim)

    with open_store(victim.root) as store:
        assert store.realisations(KEY) == before


def test_a_folder_that_was_left_open_is_closed(victim: Victim) -> None:
    victim.place.chmod(0o755)
    os.utime(victim.place)

    assert rebuild(victim).damages == ()
    assert known(victim.root)


@pytest.mark.parametrize("content", [None, b"", b"{}", b"torn"])
def test_a_lost_mark_is_made_anew(victim: Victim, content: bytes | None) -> None:
    version = victim.private / "version"
    agreed = version.read_bytes()
    version.unlink()
    if content is not None:
        version.write_bytes(content)

    with pytest.raises(DatabaseUnusable):
        open_store(victim.root)
    rebuild(victim)

    assert version.read_bytes() == agreed
    assert known(victim.root)


def test_a_newer_store_is_left_alone(victim: Victim) -> None:
    (victim.private / "version").write_bytes(b'{"format": 2}')

    with pytest.raises(StoreUnavailable, match="its format is 2"):
        rebuild(victim)

    assert (victim.private / "version").read_bytes() == b'{"format": 2}'


def test_where_there_is_no_store_nothing_is_made(quick_path: Path) -> None:
    for path in (quick_path, quick_path / "none"):
        with pytest.raises(StoreUnavailable, match="no store"):
            rebuild_database(path, clock=lambda: 0.0)
    assert list(quick_path.iterdir()) == []


def test_another_users_store_is_left_alone(victim: Victim) -> None:
    shutil.chown(victim.private, 12345)

    with pytest.raises(StoreUnavailable, match="it belongs to user 12345"):
        rebuild(victim)


def add(store: LocalStore, text: str) -> None:
    with store.transaction() as transaction:
        info = transaction.add_bytes(text.encode(), text)
        key = blob_digest(text.encode())
        transaction.register(
            Realisation(key, info.path, "test", text, info.path, info.digest)
        )


def test_who_has_the_old_database_open_goes_on_with_the_new_one(
    victim: Victim,
) -> None:
    with open_store(victim.root) as store, open_store(victim.root) as reader:
        add(store, "before")
        assert len(reader.objects()) == 4

        rebuild(victim)

        add(store, "after")
        assert len(reader.objects()) == 5
        store.remember("a", "b", b"c")
        assert reader.recall("a", "b") == b"c"
    with open_store(victim.root) as store:
        assert {"before", "after"} <= set(store.subjects("test"))
        assert store.recall("a", "b") == b"c"


def test_nothing_is_lost_beside_processes_that_write(victim: Victim) -> None:
    def work(number: int) -> None:
        if number == 0:
            for _ in range(8):
                rebuild(victim)
            return
        with open_store(victim.root) as store:
            for turn in range(25):
                add(store, f"{number}-{turn}")
                assert store.subjects("test")

    assert at_once(5, work) == [0] * 5
    with open_store(victim.root) as store:
        assert set(store.subjects("test")) == {
            f"{number}-{turn}" for number in range(1, 5) for turn in range(25)
        }
        assert len(store.objects()) == 3 + 100
        assert store.care().verify().damages == ()


def test_threads_of_one_process_go_on(victim: Victim) -> None:
    stop = threading.Event()
    with open_store(victim.root) as store, ThreadPoolExecutor(3) as threads:

        def read() -> None:
            while not stop.is_set():
                assert len(store.objects()) == 3

        readers = [threads.submit(read) for _ in range(3)]
        for _ in range(5):
            rebuild(victim)
        stop.set()
        for reader in readers:
            reader.result()


def test_a_kill_at_any_effect_leaves_the_old_one_or_the_new_one(
    quick_path: Path,
) -> None:
    at = 0
    killed = True
    while killed:
        at += 1
        victim = make_victim(quick_path / str(at))
        before = known(victim.root)
        # The log of the old one holds what is not in it yet.
        with open_store(victim.root) as keeper:
            add(keeper, "late")

            def die(victim: Victim = victim, at: int = at) -> None:
                rebuild(victim, effect=Killer(at))

            killed = wait(fork(die)) != 0
            assert keeper.subjects("test") == ("late",)
            add(keeper, "later")
        after = known(victim.root)
        assert after != before
        with open_store(victim.root) as store:
            assert set(store.subjects("test")) == {"late", "later"}
            assert store.care().verify().damages == ()
        rebuild(victim)
        assert known(victim.root) == after
    assert at > 5


def test_a_succession_that_was_cut_off_is_finished_by_the_next(
    victim: Victim,
) -> None:
    """The successor is named, and the log of the old one is gone already."""

    class Stop(Exception):
        pass

    def stop(name: str) -> None:
        if name == "replace database":
            raise Stop

    with pytest.raises(Stop):
        rebuild(victim, effect=stop)
    assert (victim.private / "db.sqlite.next").exists()
    rewrite(victim.private / "db.sqlite", flip(b"not to be used any more"))

    with open_store(victim.root, create=False) as store:
        assert len(store.objects()) == 3
    assert not (victim.private / "db.sqlite.next").exists()
