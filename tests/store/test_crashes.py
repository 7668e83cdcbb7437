"""Operations that are cut off anywhere leave a sound store, and succeed when repeated."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from errno import EIO, ENOSPC
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fromager.store import StoreFull, StoreUnavailable, open_store
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
    quick_folder,
    thoroughness,
    unannounced,
)
from support.operations import ADD, AT_ONCE, CARELESS, LARGE, OPERATIONS
from support.processes import Killer, fork, wait
from support.syscalls import Fail, Kill, supervise, supervision

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.syscalls import Call, Judgement

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
    assert kill_at_every_call(operation, most=30 * MORE) > 1


@needs_supervision
def test_a_kill_of_two_at_any_system_call_loses_nothing() -> None:
    assert kill_at_every_call(AT_ONCE, most=12 * MORE) > 1


@needs_supervision
@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_a_power_cut_at_any_system_call_loses_nothing(operation: Operation) -> None:
    assert cut_power(operation, most=20 * MORE, samples=15 * MORE, seed=1) > 1


@needs_supervision
def test_a_power_cut_beside_two_at_any_system_call_loses_nothing() -> None:
    assert cut_power(AT_ONCE, most=6 * MORE, samples=8 * MORE, seed=1) > 1


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
    for at in range(1, len(names) + 1, 1 if MORE > 1 else 4):
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


@needs_supervision
@pytest.mark.parametrize("sync", [1, 2])
@pytest.mark.parametrize("later", range(0, 24, 4))
def test_a_commit_that_failed_and_counts_after_all_has_its_objects(
    sync: int, later: int
) -> None:
    """What the log holds when its sync fails may be found whole after a crash."""
    left = {"syncs": sync, "calls": later}

    def judge(call: Call) -> Judgement:
        if left["syncs"]:
            log = call.name == "fdatasync" and call.paths[0].endswith(b"-wal")
            left["syncs"] -= log
            return Fail(EIO) if log and not left["syncs"] else None
        left["calls"] -= 1
        return Kill() if left["calls"] < 0 else None

    with prepared(ADD) as (folder, before):

        def work() -> None:
            with pytest.raises(StoreUnavailable):
                ADD.act(Attempt(folder))

        assert supervise(work, judge) in (0, -signal.SIGKILL)
        examine(ADD, folder, before)


@needs_supervision
def test_a_new_database_that_could_not_be_completed_does_not_become_the_stores() -> (
    None
):
    """SQLite says nothing if its log cannot be moved into a database that is closed."""
    (rebuild,) = (each for each in OPERATIONS if each.name == "rebuild the database")
    written: list[Call] = []

    def judge(call: Call) -> Judgement:
        if call.name == "pwrite64" and call.paths[0].endswith(b"db.sqlite.new"):
            written.append(call)
            return Fail(ENOSPC) if len(written) > 1 else None
        return None

    with prepared(rebuild) as (folder, before):

        def work() -> None:
            with pytest.raises(StoreFull):
                rebuild.act(Attempt(folder))

        assert supervise(work, judge) == 0
        assert len(written) > 1
        examine(rebuild, folder, before)


@needs_supervision
@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts file systems")
@pytest.mark.skipif(shutil.which("unshare") is None, reason="there is no unshare")
def test_a_power_cut_of_a_real_file_system_loses_nothing() -> None:
    tests = Path(__file__).parents[1]
    script = tests / "support" / "ext4_cuts.py"
    with quick_folder() as folder:
        done = subprocess.run(
            [
                *("unshare", "-m", "--propagation", "private", sys.executable),
                *(str(script), str(folder), str(max(1, 20 // MORE))),
            ],
            env={**os.environ, "PYTHONPATH": str(tests)},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode == 77:
        pytest.skip(f"no ext4 can be mounted: {done.stderr}")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10
