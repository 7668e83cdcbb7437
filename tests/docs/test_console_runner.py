"""The runner of the pages' sessions, so that a page can fail."""

import os
from pathlib import Path

import pytest

from support import console


def page(folder: Path, text: str) -> list[console.Block]:
    path = folder / "page.md"
    path.write_text(text)
    return list(console.blocks(path, folder))


def play(folder: Path, text: str) -> list[str]:
    blocks = page(folder, f"```console\n{text}```\n")
    session = [command for block in blocks for command in console.commands(block)]
    outcomes = console.run(session, folder, {"PATH": os.environ["PATH"]}, 60)
    return console.failures(session, outcomes)


@pytest.mark.parametrize(
    "text",
    [
        "$ echo one\none\n",
        "$ printf 'one\\ntwo\\n'\none\ntwo\n",
        "$ printf 'one\\ntwo\\nthree\\n'\none\n...\nthree\n",
        "$ printf 'one\\nthree\\n'\none\n...\nthree\n",
        "$ echo took 1.5 s\ntook ... s\n",
        "$ echo one >&2\none\n",
        "$ here=5\n$ echo $here\n5\n",
        "$ for i in 1 2; do\n>   echo $i\n> done\n1\n2\n",
        "$ (exit 5)\n$ echo $?\n5\n",
        '$ echo "it\'s" \'"x"\'\nit\'s "x"\n',
        "$ true\n",
    ],
)
def test_a_session_that_is_true_passes(tmp_path: Path, text: str) -> None:
    assert play(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("$ echo one\ntwo\n", "page.md:2: expected\ntwo\ngot\n$ echo one\none\n"),
        ("$ echo one\n", "page.md:2: expected\n\ngot\n$ echo one\none\n"),
        ("$ true\n$ true\none\n", "page.md:3: expected\none\n"),
        ("$ echo one two\none\n", "page.md:2: expected"),
        ("$ printf 'a\\nb\\n'\na...\n", "page.md:2: expected"),
        ("$ exit 3\n", "page.md:2: did not end"),
        ("$ false\n", "page.md:2: exit status 1"),
        ("$ echo 'unclosed\n", "page.md:2: exit status"),
    ],
)
def test_a_session_that_is_false_fails(
    tmp_path: Path, text: str, reported: str
) -> None:
    (failure,) = play(tmp_path, text)

    assert failure.startswith(reported)


def test_a_command_that_hangs_is_ended(tmp_path: Path) -> None:
    (block,) = page(tmp_path, "```console\n$ sleep 100 | cat\n```\n")
    session = console.commands(block)

    outcomes = console.run(session, tmp_path, {"PATH": os.environ["PATH"]}, 0.2)

    assert console.failures(session, outcomes) == [
        "page.md:2: did not end\n$ sleep 100 | cat"
    ]


@pytest.mark.parametrize("name", ["", "text", "bash", "sh title=x", "consol"])
def test_a_session_by_another_name_is_found(tmp_path: Path, name: str) -> None:
    blocks = page(tmp_path, f"text\n\n```{name}\n$ true\n```\n")

    assert console.stray_sessions(blocks) == ["page.md:3"]


def test_blocks_of_other_kinds_are_left_alone(tmp_path: Path) -> None:
    text = '````markdown\n```json\n{"a": 1}\n```\n````\n1. x\n   ```toml\n   a = 1\n   ```\n'

    found = page(tmp_path, text)

    assert [block.name for block in found] == ["markdown", "toml"]
    assert found[1].lines == ("a = 1",)
    assert console.stray_sessions(found) == []


def test_output_without_a_command_is_refused(tmp_path: Path) -> None:
    (block,) = page(tmp_path, "```console\none\n```\n")

    with pytest.raises(ValueError, match=r"page\.md:2: output without a command"):
        console.commands(block)
