"""What is heard of a command's reading, and when its answer may be kept."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

import pytest

from fromager.cli.recording import Copy, Recording
from fromager.cli.replay import replay, state

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TICK = 10_000_000
"""Nanoseconds within which the clock of a file system may stand still."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """One that was there before the command began, for all that its times say."""
    place = tmp_path / "file"
    place.write_text("text")
    return place


@pytest.fixture
def recording(file: Path) -> Recording:
    """One that began after the file was last touched."""
    made = Recording(max(state(str(file)) or [0]) + 2 * TICK)
    made.offer()
    return made


def is_kept(recording: Recording, folder: Path, code: int = 0) -> bool:
    place = folder / "answers" / "one.json"
    recording.save(str(place), code, "out\n", "err\n")
    return place.exists()


def test_an_answer_is_printed_as_it_was(
    recording: Recording,
    file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recording.hear("open", (str(file), "r", os.O_RDONLY))

    assert is_kept(recording, tmp_path)
    place = str(tmp_path / "answers" / "one.json")
    assert replay(place) == 0
    assert capsys.readouterr() == ("out\n", "err\n")
    file.write_text("other")
    assert replay(place) is None
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda one, file: one.hear("subprocess.Popen", ("true", ["true"], None, None)),
        lambda one, file: one.hear("socket.connect", (None, ("127.0.0.1", 1))),
        lambda one, file: one.hear("open", ("/dev/stdin", "r", os.O_RDONLY)),
        lambda one, file: one.spoil(),
        lambda one, file: (
            one.hear("open", (str(file), "r", os.O_RDONLY)) or file.write_text("new")
        ),
        lambda one, file: one.rests_on([str(file)]) or file.unlink(),
    ],
)
def test_what_may_be_otherwise_the_next_time_is_not_kept(
    recording: Recording,
    file: Path,
    tmp_path: Path,
    spoil: Callable[[Recording, Path], object],
) -> None:
    read, write = os.pipe()
    stdin = os.dup(0)
    try:
        os.dup2(read, 0)
        spoil(recording, file)
    finally:
        os.dup2(stdin, 0)
        for each in (read, write, stdin):
            os.close(each)

    assert not is_kept(recording, tmp_path)


def test_what_was_changed_since_the_command_began_is_not_relied_on(
    file: Path, tmp_path: Path
) -> None:
    recording = Recording(max(state(str(file)) or [0]))
    recording.offer()
    recording.rests_on([str(file)])

    assert not is_kept(recording, tmp_path)


def test_failures_and_what_was_not_offered_are_not_kept(
    recording: Recording, tmp_path: Path
) -> None:
    assert not is_kept(recording, tmp_path, code=1)
    assert not is_kept(Recording(), tmp_path)


def test_what_is_written_or_done_in_a_pause_is_not_heard(
    recording: Recording, file: Path, tmp_path: Path
) -> None:
    stream = io.StringIO()
    copy = Copy(stream, recording)
    copy.write("before ")
    with pytest.raises(TypeError):
        copy.write(b"no text")  # type: ignore[arg-type]
    with recording.paused():
        copy.write("built ")
        recording.hear("socket.connect", (None, None))
        recording.hear("open", (str(file), "r", os.O_RDONLY))
    copy.write("after")
    recording.hear("open", (str(file), "w", os.O_WRONLY | os.O_CREAT))
    file.write_text("written by the command")

    assert stream.getvalue() == "before built after"
    assert "".join(copy.parts) == "before after"
    assert is_kept(recording, tmp_path)


def test_the_first_steps_import_little() -> None:
    """They are taken before it is known whether anything else is needed."""
    import subprocess

    code = "import sys; import fromager.cli.start; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )

    heavy = {"click", "dataclasses", "pathlib", "sqlite3", "inspect", "typing"}
    assert heavy.isdisjoint(done.stdout.split())
