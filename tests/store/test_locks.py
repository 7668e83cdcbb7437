"""Locks between threads and between processes."""

from __future__ import annotations

import os
import re
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from fromager.store import LocalStore, blob_digest, open_store
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
    with (
        store.build_lock(KEY, unexpected),
        store.build_lock(blob_digest(b"other"), unexpected),
    ):
        assert len(lock_files(store)) == 2


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
