"""Operations that are cut off anywhere leave a sound store, and succeed when repeated."""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING

import pytest

from fromager.store import open_store
from support.crashes import (
    TROUBLES,
    Attempt,
    Operation,
    cut_power,
    examine,
    kill_at_every_call,
    kill_at_every_effect,
    make_trouble,
    prepared,
    thoroughness,
    unannounced,
)
from support.operations import ADD, AT_ONCE, CARELESS, LARGE, OPERATIONS
from support.processes import Killer, fork, wait
from support.syscalls import supervision

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MORE = thoroughness()
SUPERVISION = supervision()
needs_supervision = pytest.mark.skipif(SUPERVISION is not None, reason=f"{SUPERVISION}")


@pytest.mark.parametrize("operation", (*OPERATIONS, LARGE), ids=str)
def test_a_kill_at_any_effect_loses_nothing(operation: Operation) -> None:
    assert kill_at_every_effect(operation)


@pytest.mark.parametrize("operation", (*OPERATIONS, LARGE), ids=str)
def test_every_change_of_the_disk_is_announced(operation: Operation) -> None:
    assert unannounced(operation) == []


def test_a_change_that_is_not_announced_is_found() -> None:
    def scribble(attempt: Attempt) -> None:
        (attempt.folder / "new").write_bytes(b"")

    assert unannounced(Operation("scribble", lambda attempt: None, scribble))


@needs_supervision
@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_a_kill_at_any_system_call_loses_nothing(operation: Operation) -> None:
    assert kill_at_every_call(operation, most=150) > 1


@needs_supervision
def test_a_kill_of_two_at_any_system_call_loses_nothing() -> None:
    assert kill_at_every_call(AT_ONCE, most=40 * MORE) > 1


@needs_supervision
@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_a_power_cut_at_any_system_call_loses_nothing(operation: Operation) -> None:
    assert cut_power(operation, most=150, samples=40 * MORE, seed=1) > 1


@needs_supervision
def test_a_power_cut_beside_two_at_any_system_call_loses_nothing() -> None:
    assert cut_power(AT_ONCE, most=20 * MORE, samples=20 * MORE, seed=1) > 1


@needs_supervision
def test_a_power_cut_finds_out_who_says_too_early_that_it_is_done() -> None:
    with pytest.raises(AssertionError, match="lost"):
        cut_power(CARELESS, most=150, samples=0, seed=1)


@needs_supervision
@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_trouble_with_the_disk_is_told_and_loses_nothing(operation: Operation) -> None:
    for trouble in TROUBLES:
        assert make_trouble(operation, trouble, most=2 * MORE)


def test_who_is_killed_does_not_disturb_who_works_beside_it() -> None:
    """The living must neither wait for the dead nor lose what it has staged."""
    names: list[str] = []
    with prepared(ADD) as (folder, _):
        ADD.act(Attempt(folder, names.append))
    for at in range(1, len(names) + 1):
        with prepared(ADD) as (folder, before):

            def work(effect: Callable[[str], None] | None, at: Path = folder) -> None:
                ADD.act(Attempt(at, effect))

            dying = fork(partial(work, Killer(at)))
            living = fork(partial(work, None))

            # What the other was first to add, this one need not: it may survive.
            assert wait(dying) in (-signal.SIGKILL, 0)
            assert wait(living) == 0
            with open_store(folder / "store") as store:
                assert len(store.objects()) == 5
            examine(ADD, folder, before)
