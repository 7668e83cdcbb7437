"""A command that is given again prints what it printed, until something has changed."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.command_line import Outcome, Place

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Offer = Callable[..., None]

IMPORT = "import time:"


def ask(place: Place, *words: str) -> tuple[Outcome, bool]:
    """Run the command as a process; and whether it gave an answer that was kept.

    That is known by what it did not even import.
    """
    process = subprocess.run(
        [sys.executable, "-P", "-X", "importtime", "-m", "fromager.cli", *words],
        env=place.environ,
        cwd=place.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = process.stderr.splitlines(keepends=True)
    imported = {line.rpartition("|")[2].strip() for line in lines if IMPORT in line}
    said = "".join(line for line in lines if not line.startswith(IMPORT))
    outcome = Outcome(process.returncode, process.stdout, said)
    return outcome, "click" not in imported


def settle(place: Place, *words: str) -> Outcome:
    """Run it until its answer is kept, and give that."""
    for _ in range(4):
        outcome, kept = ask(place, *words)
        assert outcome.code == 0, outcome.err
        if kept:
            return outcome
    raise AssertionError(f"the answer to {words} is not kept")


@pytest.mark.parametrize("command", ["realise", "lock"])
def test_an_answer_is_given_again_until_what_it_rests_on_changes(
    place: Place, offer: Offer, command: str
) -> None:
    name = f"answer-{command}"
    offer(name, requires=[f"{name}-tool"])
    offer(f"{name}-tool")
    wanted = place.folder / "wanted.txt"
    wanted.write_text(f"{name}\n")
    words = (command, "-r", str(wanted), *(("-o", "-") if command == "lock" else ()))
    first = place.call(*words)
    assert first.code == 0, first.err

    kept = settle(place, *words)
    assert (kept.out, kept.err) == (first.out, place.call(*words).err)

    def publish() -> None:
        offer(name, "0.9", requires=[f"{name}-tool"])
        assert place.run(*words, "--refresh").code == 0

    folder = place.folder
    changes: dict[str, Callable[[], object]] = {
        "requirements": lambda: wanted.write_text(f"{name} # the same\n"),
        "project": lambda: write(folder / "fromager.toml", "jobs = 1\n"),
        "user": lambda: write(folder / ".config/fromager/fromager.toml", "cores = 1\n"),
        "override": lambda: write(folder / f"overrides/settings/{name}.toml", ""),
        "variable": lambda: place.variables.update(FROMAGER_TIMEOUT="99"),
        "path": lambda: place.variables.update(PATH=f"/none:{place.environ['PATH']}"),
        "index": publish,
    }
    for what, change in changes.items():
        change()
        outcome, was_kept = ask(place, *words)
        assert not was_kept, what
        assert (outcome.code, outcome.out) == (0, first.out), outcome.err
        assert settle(place, *words).out == first.out, what

    wanted.write_text(f"{name}==0.9\n")
    outcome, was_kept = ask(place, *words)
    assert not was_kept
    assert outcome.out != first.out


def test_the_configuration_of_others_counts_where_it_is_read(
    place: Place, offer: Offer
) -> None:
    offer("configured")
    words, config = ("lock", "-o", "-", "configured"), place.folder / ".config"
    text = f"[global]\nindex-url = {place.index}\n"
    place.index = ""
    write(config / "pip/pip.conf", text)
    place.call(*words)

    settle(place, *words)
    write(config / "pip/pip.conf", f"{text}# changed\n")
    assert not ask(place, *words)[1]
    settle(place, *words)
    write(place.folder / "uv.toml", "")
    assert not ask(place, *words)[1]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_what_was_collected_is_built_again(fresh: Place, offer: Offer) -> None:
    offer("gone")
    words = ("realise", "gone")
    fresh.call(*words)
    path = settle(fresh, *words).paths[0]

    assert fresh.call("gc").code == 0
    assert not path.exists()
    outcome, was_kept = ask(fresh, *words)

    assert not was_kept
    assert outcome.built == ["gone==1.0"]
    assert path.exists()


def test_a_lock_that_was_deleted_is_written_again(place: Place, offer: Offer) -> None:
    offer("locked_again")
    words = ("lock", "locked-again")
    place.call(*words)
    settle(place, *words)
    lock = place.folder / "pylock.toml"
    text = lock.read_text()

    lock.unlink()
    outcome, was_kept = ask(place, *words)

    assert outcome.code == 0
    assert not was_kept
    assert lock.read_text() == text
    settle(place, *words)
    lock.write_text(text.replace("locked-again", "locked-other"))
    assert not ask(place, *words)[1]


def test_what_does_more_than_print_is_done_each_time(
    place: Place, offer: Offer
) -> None:
    offer("done_again")
    for more in (("--out-link", "result"), ("--root", "mine"), ("--verbose",)):
        for _ in range(3):
            outcome, was_kept = ask(place, "realise", "done-again", *more)
            assert outcome.code == 0, outcome.err
            assert not was_kept
    for words in (("realise", "done-none"), ("realise", "--refresh", "done-again")):
        assert not any(ask(place, *words)[1] for _ in range(3))


def test_an_answer_is_kept_for_a_time_and_for_its_owner_alone(
    place: Place, offer: Offer
) -> None:
    offer("timed")
    words = ("lock", "-o", "-", "timed")
    settle(place, *words)
    folder = place.folder / ".cache" / "fromager" / "answers"
    (kept,) = folder.iterdir()

    assert (folder.stat().st_mode | kept.stat().st_mode) & 0o077 == 0
    answer = json.loads(kept.read_text())
    kept.write_text(json.dumps({**answer, "until": 0}))
    assert not ask(place, *words)[1]
    settle(place, *words)
    kept.write_text("[1")
    assert not ask(place, *words)[1]
