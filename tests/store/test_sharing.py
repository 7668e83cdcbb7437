"""Tasks done by several processes: each once, whatever becomes of the others."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fromager.store import StoreError
from fromager.store.sharing import SharedSet, share
from support.processes import fork, wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def alone(test: Callable[[], None]) -> None:
    """Do this in a process without the threads that other tests may have left."""
    assert wait(fork(test)) == 0


@pytest.mark.parametrize("processes", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 999, 1000, 1001, 5000])
def test_each_task_is_done_once(processes: int, count: int) -> None:
    parts = share(list(range(count)), list[int], processes)

    assert sorted(task for part in parts for task in part) == list(range(count))
    assert len(parts) <= processes


def test_tasks_are_done_in_other_processes() -> None:
    def work(mine: Iterator[int]) -> set[int]:
        return {os.getpid() for _ in mine} | {os.getpid()}

    def test() -> None:
        parts = share(range(1000), work, 3)

        assert len({process for part in parts for process in part}) == 3
        assert parts[0] == {os.getpid()}

    alone(test)


def test_a_large_answer_comes_whole() -> None:
    parts = share(range(200), lambda mine: [b"x" * 10_000 for _ in mine], 3)

    assert sum(len(part) for part in parts) == 200


def test_with_other_threads_this_process_does_all() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert share([1, 2, 3], list[int], 2) == [[1, 2, 3]]
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("death", ["killed", "raised"])
def test_the_death_of_a_helper_is_said(death: str) -> None:
    def test() -> None:
        parent = os.getpid()

        def work(mine: Iterator[int]) -> int:
            if os.getpid() != parent:
                if death == "killed":
                    os.kill(os.getpid(), signal.SIGKILL)
                raise ValueError
            return sum(mine)

        with pytest.raises(StoreError, match="died"):
            share(range(100), work, 2)

    alone(test)


def test_an_error_here_ends_the_helpers() -> None:
    parent = os.getpid()
    reader, writer = os.pipe()

    def work(mine: Iterator[int]) -> None:
        if os.getpid() == parent:
            raise KeyboardInterrupt
        os.read(reader, 1)  # until it is killed

    with pytest.raises(KeyboardInterrupt):
        share(range(10), work, 2)

    os.close(reader)
    os.close(writer)


@given(st.lists(st.integers(0, 2**64 - 1), max_size=60))
def test_a_number_is_claimed_only_by_the_first(numbers: list[int]) -> None:
    claimed = SharedSet(slots=1 << 10)
    seen: set[int] = set()
    for number in numbers:
        first = (number or 1) not in seen
        assert claimed.claim(number) == first
        seen.add(number or 1)


@given(st.lists(st.integers(0, 40), max_size=60))
def test_a_full_set_forgets_and_never_invents(numbers: list[int]) -> None:
    claimed = SharedSet(slots=4)
    seen: set[int] = set()
    for number in numbers:
        if not claimed.claim(number):
            assert (number or 1) in seen
        seen.add(number or 1)


def test_what_another_process_claimed_is_claimed() -> None:
    claimed = SharedSet()

    parts = share(
        [5] * 3000, lambda mine: sum(claimed.claim(number) for number in mine), 2
    )

    # Two may claim at the same instant; both then do the work.
    assert 1 <= sum(parts) <= 2
