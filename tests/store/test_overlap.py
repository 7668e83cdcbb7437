"""Calls that wait together: all are made, in order, and none outlives an error."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from fromager.store import Policy, open_store
from fromager.store.overlap import THREADS, WORTH, overlap
from support.processes import fork, wait

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("count", [0, 1, WORTH - 1, WORTH, 5 * WORTH + 3])
def test_each_item_is_done_once_and_results_keep_their_order(count: int) -> None:
    done: list[int] = []

    def work(number: int) -> int:
        done.append(number)
        return 2 * number

    assert overlap(work, range(count)) == [2 * number for number in range(count)]
    assert sorted(done) == list(range(count))


def test_calls_are_under_way_at_the_same_time() -> None:
    together = threading.Barrier(THREADS, timeout=60)
    first = threading.local()

    def work(number: int) -> None:
        # Each thread waits once, until all of them have come.
        if not hasattr(first, "waited"):
            first.waited = True
            together.wait()

    overlap(work, range(WORTH))

    assert not together.broken


def test_an_error_is_raised_when_no_call_is_under_way_any_more() -> None:
    before = threading.active_count()

    def work(number: int) -> None:
        if number == 3 * WORTH // 2:
            raise OSError(5, "no")

    with pytest.raises(OSError, match="no"):
        overlap(work, range(2 * WORTH))
    assert threading.active_count() == before


@pytest.mark.parametrize(
    "what", ["delete object", "delete record", "discard object", "delete blob"]
)
def test_a_collection_that_is_killed_in_several_threads_can_be_finished(
    tmp_path: Path, what: str
) -> None:
    many = 2 * WORTH
    folder = tmp_path / "folder"
    folder.mkdir()
    with (
        open_store(tmp_path / "store") as store,
        store.transaction() as transaction,
    ):
        for number in range(many):
            transaction.add_bytes(b"blob %d" % number, f"blob{number}")
            (folder / "file").write_bytes(b"tree %d" % number)
            transaction.add_directory(folder, f"tree{number}")

    left = [many // 2]

    def die(name: str) -> None:
        if name == what:
            left[0] -= 1
            if left[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def collect_and_die() -> None:
        with open_store(tmp_path / "store", effect=die) as store:
            store.collector().collect(Policy(), lambda holder: None)

    assert wait(fork(collect_and_die)) == -signal.SIGKILL
    with open_store(tmp_path / "store") as store:
        assert store.care().verify().damages == ()
        with store.transaction() as transaction:
            again = transaction.add_bytes(b"blob 1", "blob1")
        assert store.read_file(again.path) == b"blob 1"
    with open_store(tmp_path / "store") as store:
        store.collector().collect(Policy(), lambda holder: None)
        found = store.care().verify()
        assert (found.damages, found.leftovers, found.objects) == ((), (), 0)
