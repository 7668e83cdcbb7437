"""Several commands at once, commands that are stopped, and commands that are killed."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.store_check import check_store

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from support.command_line import Place
    from support.index import LocalIndex

    Offer = Callable[..., None]

SOON = 20.0
LONG = 300_000
"""So many lines take an interpreter seconds to compile."""


def wait_for(process: subprocess.Popen[str], *texts: str) -> str:
    """What a process said, up to where all the texts had come."""
    assert process.stderr is not None
    said = ""
    while not all(text in said for text in texts):
        line = process.stderr.readline()
        assert line, said
        said += line
    return said


def processes_in(place: Place) -> list[str]:
    """Processes that have a folder of the store mounted or open, by command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if os.fsencode(place.store) in command:
            found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found


def end_of(place: Place) -> None:
    """Wait until no process of a store is left; the kernel needs a moment."""
    deadline = time.monotonic() + SOON
    while processes_in(place) and time.monotonic() < deadline:
        os.sched_yield()
    assert processes_in(place) == []


def begin_of(place: Place, program: str) -> None:
    """Wait until a process of a store runs a program in the sandbox."""
    deadline = time.monotonic() + SOON
    while not any(program in command for command in processes_in(place)):
        assert time.monotonic() < deadline
        os.sched_yield()


def interrupt(process: subprocess.Popen[str], number: int = signal.SIGINT) -> None:
    os.killpg(process.pid, number)


def test_four_commands_at_once_build_each_thing_once(
    fresh: Place, offer: Offer
) -> None:
    offer("base")
    for name in ("a", "b", "c", "d"):
        offer(f"user_{name}", requires=["base"], imports=["base"])

    running = [
        fresh.start("realise", *words)
        for words in (
            ("user-a", "user-b"),
            ("user-b", "user-c"),
            ("user-c", "user-d"),
            ("user-d", "user-a"),
        )
    ]
    outcomes = [fresh.finish(process) for process in running]

    assert [outcome.code for outcome in outcomes] == [0, 0, 0, 0], outcomes
    built = Counter(subject for outcome in outcomes for subject in outcome.built)
    names = ("base", "user-a", "user-b", "user-c", "user-d")
    assert built == {f"{name}==1.0": 1 for name in names}
    check_store(fresh)


def test_as_many_builds_run_at_once_as_there_are_jobs(
    place: Place, offer: Offer
) -> None:
    for name in ("first", "second"):
        offer(f"waiting_{name}", quirk="hang")

    process = place.start(
        "-v", "realise", "--jobs", "2", "waiting-first", "waiting-second"
    )
    wait_for(process, "waiting-first==1.0> hanging", "waiting-second==1.0> hanging")
    interrupt(process)

    assert place.finish(process, SOON).code == 130
    end_of(place)


def test_ctrl_c_ends_a_build_and_the_command(fresh: Place, offer: Offer) -> None:
    offer("stopped", quirk="hang")

    process = fresh.start("-v", "realise", "stopped")
    wait_for(process, "hanging")
    interrupt(process)
    outcome = fresh.finish(process, SOON)

    assert outcome.code == 130
    assert "interrupted" in outcome.err
    assert "Traceback" not in outcome.err
    assert "failed" not in outcome.err
    end_of(fresh)
    check_store(fresh)
    offer("stopped")
    assert fresh.run("realise", "--refresh", "stopped").code == 0


@pytest.mark.parametrize("again", [False, True], ids=["realise", "check"])
def test_a_layout_that_ctrl_c_cuts_off_has_not_failed(
    fresh: Place, offer: Offer, again: bool
) -> None:
    offer("slow_tool", files={"slow_tool/__init__.py": "x = 1\n" * LONG})
    offer("user", requires=["slow-tool"])
    words = ("realise", "user")
    if again:
        fresh.realise("user")
        layout = fresh.run("store", "ls").out.splitlines()
        words = ("check", next(path for path in layout if path.endswith("-layout")))

    process = fresh.start(*words)
    begin_of(fresh, "bytecode.py")
    interrupt(process)
    outcome = fresh.finish(process, SOON)

    assert outcome.code == 130
    assert outcome.err.splitlines()[-1] == "interrupted"
    assert "failed" not in outcome.err
    assert "unknown" not in outcome.out
    end_of(fresh)
    check_store(fresh)


def test_ctrl_c_twice_ends_everything_at_once(fresh: Place, offer: Offer) -> None:
    offer("stubborn", quirk="hang")

    process = fresh.start("-v", "realise", "stubborn")
    wait_for(process, "hanging")
    interrupt(process)
    interrupt(process)
    outcome = fresh.finish(process, SOON)

    assert outcome.code in (130, -signal.SIGINT)
    assert "Traceback" not in outcome.err
    end_of(fresh)
    offer("stubborn")
    assert fresh.run("realise", "--refresh", "stubborn").code == 0
    check_store(fresh)


def test_being_told_to_terminate_is_like_ctrl_c(place: Place, offer: Offer) -> None:
    offer("terminated", quirk="hang")

    process = place.start("-v", "realise", "terminated")
    wait_for(process, "hanging")
    os.kill(process.pid, signal.SIGTERM)
    outcome = place.finish(process, SOON)

    assert outcome.code == 130
    assert "Traceback" not in outcome.err
    end_of(place)


def test_ctrl_c_ends_the_pause_before_another_try(
    place: Place, index: LocalIndex
) -> None:
    index.fail("paused", status=503, headers={"Retry-After": "60"})

    process = place.start("realise", "paused")
    wait_for(process, "503")
    interrupt(process)
    outcome = place.finish(process, SOON)

    assert outcome.code == 130
    assert "Traceback" not in outcome.err


def test_ctrl_c_is_not_kept_waiting_by_a_server(
    place: Place, index: LocalIndex
) -> None:
    index.fail("/simple/dozing", delay=8.0)
    index.fail("/simple/awake", status=503, headers={"Retry-After": "1"})

    process = place.start("realise", "awake", "dozing")
    wait_for(process, "503")
    before = time.monotonic()
    interrupt(process)
    outcome = place.finish(process, SOON)

    assert outcome.code in (130, -signal.SIGINT)
    assert time.monotonic() - before < 5
    assert "Traceback" not in outcome.err


def test_a_command_that_was_killed_leaves_nothing_that_stays(
    fresh: Place, offer: Offer
) -> None:
    offer("killed", requires=["killed-tool"], quirk="hang")
    offer("killed_tool")

    process = fresh.start("-v", "realise", "killed")
    wait_for(process, "hanging")
    os.kill(process.pid, signal.SIGKILL)
    assert fresh.finish(process, SOON).code == -signal.SIGKILL
    end_of(fresh)

    offer("killed", requires=["killed-tool"], imports=["killed_tool"])
    outcome = fresh.run("realise", "--refresh", "killed")

    assert outcome.code == 0, outcome.err
    assert outcome.built == ["killed==1.0"]
    check_store(fresh)


def test_who_waits_for_another_command_says_for_whom(
    place: Place, offer: Offer
) -> None:
    offer("shared_work", quirk="hang")
    first = place.start("-v", "realise", "shared-work")
    wait_for(first, "hanging")

    second = place.start("realise", "shared-work")
    said = wait_for(second, "waiting for")

    assert str(first.pid) in said
    for process in (first, second):
        interrupt(process)
        assert place.finish(process, SOON).code == 130
    end_of(place)
