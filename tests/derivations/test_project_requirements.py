"""pyproject.toml as a list of requirements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fromager.derivations.errors import InputError
from fromager.derivations.project_requirements import read_project

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PROJECT = """
[project]
name = "own"
dependencies = [
    "foo>=1",
    "bar @ https://x.test/bar-1.0.tar.gz",
]
[project.optional-dependencies]
Fast_Path = ["speed", "own[all]"]
all = ["own[fast-path]", "more; python_version < '4'"]
[dependency-groups]
test = ["pytest", {include-group = "lint"}]
lint = ["ruff"]
circle = [{include-group = "circle"}]
bad = ["not a requirement!"]
"""


def read(
    folder: Path, *, extras: Sequence[str] = (), groups: Sequence[str] = ()
) -> list[str]:
    path = folder / "pyproject.toml"
    path.write_text(PROJECT)
    found = read_project(path, extras=extras, groups=groups)
    texts = [str(each.requirement) for each in found.requirements]
    return [*texts, *(str(each) for each in found.direct)]


def test_dependencies_tell_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(PROJECT)

    found = read_project(path)

    assert [each.origin for each in found.requirements] == [f"{path}:5"]
    assert [each.origin for each in found.direct] == [f"{path}:6"]
    assert read(tmp_path) == ["foo>=1", "bar @ https://x.test/bar-1.0.tar.gz"]


def test_extras_are_added_and_may_name_each_other(tmp_path: Path) -> None:
    found = read(tmp_path, extras=["fast-path"])

    assert found[:3] == ["foo>=1", "speed", 'more; python_version < "4"']


def test_a_group_is_read_with_those_it_includes(tmp_path: Path) -> None:
    assert read(tmp_path, groups=["Test"]) == ["pytest", "ruff"]


@pytest.mark.parametrize(
    ("extras", "groups", "said"),
    [
        (["none"], [], "no extra 'none'"),
        ([], ["none"], "no group 'none'"),
        ([], ["circle"], "includes itself"),
        ([], ["bad"], "group bad"),
    ],
)
def test_what_is_not_there_is_an_error(
    tmp_path: Path, extras: list[str], groups: list[str], said: str
) -> None:
    with pytest.raises(InputError, match=said) as caught:
        read(tmp_path, extras=extras, groups=groups)

    assert "pyproject.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"no table \[project\]"),
        ("[project", "not valid TOML"),
        ("project = 3", "project is no table"),
        ("[project]\ndynamic = ['dependencies']", "only the build backend knows"),
        ("[project]\ndependencies = 'foo'", "no list of strings"),
        ("[project]\ndependencies = ['a b']", r"pyproject\.toml:2: "),
        ("[project]\ndependencies = ['a @ ./none']", "no file or folder"),
    ],
)
def test_a_file_that_says_nothing_is_named(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(text)

    with pytest.raises(InputError, match=said) as caught:
        read_project(path)

    assert str(path) in str(caught.value)


def test_sources_of_uv_are_not_used_and_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text("[project]\n[tool.uv.sources]\nfoo = {path = '../foo'}\n")

    (note,) = read_project(path).notes

    assert "tool.uv.sources" in note
