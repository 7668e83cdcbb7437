"""Locks between threads and between processes."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from fromager.store import Caller, LocalStore, blob_digest, open_store
from fromager.store.locks import acquire, read_holder
from support.processes import at_once, fork, wait

if TYPE_CHECKING:
    from pathlib import Path

KEY = blob_digest(b"key")


def unexpected(holder: str) -> None:
    raise AssertionError(holder)


def lock_files(store: LocalStore) -> list[str]:
    return [path.name for path in (store.root / ".fromager" / "locks").iterdir()]


def test_a_free_key_is_locked_at_once(store: LocalStore) -> None:
    with store.build_lock(KEY, unexpected):
        assert lock_files(store) == [KEY.hex]

    assert lock_files(store) == []


def test_locks_of_two_keys_do_not_meet(store: LocalStore) -> None:
    def second() -> int:
        with store.build_lock(blob_digest(b"other"), unexpected):
            return len(lock_files(store))

    with store.build_lock(KEY, unexpected), ThreadPoolExecutor(1) as threads:
        assert threads.submit(second).result() == 2


def test_a_thread_waits_and_is_told_for_whom(store: LocalStore) -> None:
    told: list[str] = []
    waits, order = threading.Event(), []

    def waiting(holder: str) -> None:
        told.append(holder)
        waits.set()

    def second() -> None:
        with store.build_lock(KEY, waiting):
            order.append("second")

    with ThreadPoolExecutor(1) as threads:
        with store.build_lock(KEY, unexpected):
            future = threads.submit(second)
            assert waits.wait(30)
            order.append("first")
        future.result()

    assert order == ["first", "second"]
    (holder,) = told
    assert re.fullmatch(
        rf"process {os.getpid()} on \S+ since 2027-01-15 08:00:00 UTC", holder
    )
    assert lock_files(store) == []


def test_processes_hold_a_key_one_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("0")

    def work(number: int) -> None:
        with open_store(tmp_path / "store") as store:
            for _ in range(20):
                with store.build_lock(KEY, lambda holder: None):
                    count = int((tmp_path / "count").read_text())
                    (tmp_path / "count").write_text(str(count + 1))

    assert at_once(4, work) == [0] * 4
    assert (tmp_path / "count").read_text() == "80"


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")

    def die() -> None:
        with open_store(tmp_path / "store") as mine, mine.build_lock(KEY, unexpected):
            os.kill(os.getpid(), signal.SIGKILL)

    with store:
        assert wait(fork(die)) == -signal.SIGKILL
        with store.build_lock(KEY, unexpected):
            pass


def test_a_key_is_free_after_an_error(store: LocalStore) -> None:
    with pytest.raises(KeyError), store.build_lock(KEY, unexpected):
        raise KeyError

    with store.build_lock(KEY, unexpected):
        pass


def test_a_lock_that_is_held_is_not_had(tmp_path: Path) -> None:
    first = acquire(tmp_path / "lock")
    assert first is not None

    assert acquire(tmp_path / "lock", blocking=False) is None

    os.close(first)
    second = acquire(tmp_path / "lock", blocking=False)
    assert second is not None
    os.close(second)


def test_a_lock_file_is_not_made_where_it_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        acquire(tmp_path / "lock", create=False)


def test_an_unknown_holder_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")

    assert read_holder(tmp_path / "missing") == "another process"
    assert read_holder(tmp_path / "empty") == "another process"


@dataclass
class Heard:
    """Who was waited for, and a way to wait until that is known."""

    holders: list[str] = field(default_factory=list)
    event: threading.Event = field(default_factory=threading.Event)

    def __call__(self, holder: str) -> None:
        self.holders.append(holder)
        self.event.set()


def holding_writer(root: Path, gate: int, ready: int) -> None:
    """Hold the right to write until the gate is closed, as a command does."""
    store = open_store(root, caller=Caller("fromager sweep"))
    with store._writer.held():
        os.write(ready, b"1")
        os.read(gate, 1)


@pytest.mark.parametrize("ending", ["leaves", "is killed"])
def test_who_waits_for_the_writer_is_told_once_and_then_writes(
    tmp_path: Path, ending: str
) -> None:
    open_store(tmp_path).close()
    (gate, opener), (said, ready) = os.pipe(), os.pipe()

    def hold() -> None:
        os.close(opener)
        holding_writer(tmp_path, gate, ready)

    child = fork(hold)
    os.read(said, 1)
    heard = Heard()

    store = open_store(
        tmp_path, caller=Caller("fromager realise", heard, patience=0.05)
    )

    def write(number: int) -> None:
        store.remember("number", str(number), b"1")
        with store.transaction() as transaction:
            transaction.add_bytes(b"content", "name")

    with store, ThreadPoolExecutor(3) as threads:
        futures = [threads.submit(write, number) for number in range(3)]
        assert heard.event.wait(30)
        assert not any(future.done() for future in futures)
        if ending == "is killed":
            os.kill(child, signal.SIGKILL)
        os.close(opener)
        for future in futures:
            future.result(30)

    assert wait(child) == (-signal.SIGKILL if ending == "is killed" else 0)
    (holder,) = heard.holders
    assert re.fullmatch(
        rf"process {child} on \S+ \(fromager sweep\) since [-\d]+ [:\d]+ UTC", holder
    )
    with open_store(tmp_path, create=False) as store:
        assert len(store.objects()) == 1


def test_a_short_wait_for_the_writer_is_silent(tmp_path: Path) -> None:
    def write(number: int) -> None:
        with open_store(tmp_path, caller=Caller(waiting=unexpected)) as store:
            for turn in range(10):
                store.remember("turn", f"{number}-{turn}", b"")

    assert at_once(4, write) == [0] * 4
    with open_store(tmp_path) as store:
        assert all(
            store.recall("turn", f"{number}-{turn}") == b""
            for number in range(4)
            for turn in range(10)
        )


def test_a_full_disk_does_not_keep_the_holder_from_working(store: LocalStore) -> None:
    lock = store.root / ".fromager" / "locks" / "writer"
    with suppress(FileNotFoundError):
        lock.unlink()
    lock.symlink_to("/dev/full")

    with store.transaction() as transaction:
        info = transaction.add_bytes(b"content", "name")

    assert store.info(info.path) == info


def test_a_log_that_readers_kept_long_becomes_short(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fromager.store.writer._LOG_LIMIT", 1 << 20)
    database = store.root / ".fromager" / "db.sqlite"
    log = database.with_name("db.sqlite-wal")
    reader = sqlite3.connect(database, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM objects").fetchone()

    for number in range(12):
        store.remember("big", str(number), os.urandom(200_000))
    grown = log.stat().st_size
    reader.close()
    for number in range(70):
        store.remember("small", str(number), b"")

    assert grown > 2 << 20
    assert log.stat().st_size < 1 << 20
