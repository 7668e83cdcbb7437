"""Options of the whole program may stand before the command or behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fromager.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "words",
    [
        ["--store", "FOLDER", "store", "ls"],
        ["store", "ls", "--store", "FOLDER"],
        ["--store", "elsewhere", "store", "ls", "--store", "FOLDER"],
    ],
)
def test_the_place_of_an_option_does_not_matter_and_the_last_one_wins(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "nothing")

    status = main([folder if word == "FOLDER" else word for word in words])

    assert status == 1
    assert folder in capsys.readouterr().err


def test_the_help_of_a_command_does_not_repeat_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["realise", "--help"])

    shown = capsys.readouterr().out
    assert "--jobs" in shown
    assert "--offline" not in shown
