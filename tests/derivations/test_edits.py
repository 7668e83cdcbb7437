"""Edits of source trees, and that none of them leaves the tree."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from fromager.derivations.sources.edits import (
    AddFile,
    Edit,
    EditBuildRequires,
    EditedTree,
    EditFailed,
    EditLines,
    RemoveFiles,
    SetPkgInfo,
    SetVersion,
    with_fields,
)

if TYPE_CHECKING:
    from pathlib import Path


def edited(folder: Path, edit: Edit, build_dir: str = "", **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_toml", ".toml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    edit.apply(EditedTree(folder, build_dir))
    return folder


def test_lines_are_replaced_and_line_ends_stay(tmp_path: Path) -> None:
    edit = EditLines(("*",), r"^(\w)=(\d)$", r"\2=\1")

    edited(tmp_path, edit, a="x=1\r\nrest\ny=2", b="none\n")

    assert (tmp_path / "a").read_bytes() == b"1=x\r\nrest\n2=y"
    assert (tmp_path / "b").read_bytes() == b"none\n"


def test_lines_are_dropped(tmp_path: Path) -> None:
    edited(tmp_path, EditLines(("a",), "^x"), a="x1\ny\nx2\n")

    assert (tmp_path / "a").read_text() == "y\n"


def test_bytes_that_are_no_text_stay(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xff\nx\n")

    edited(tmp_path, EditLines(("a",), "x", "y"))

    assert (tmp_path / "a").read_bytes() == b"\xff\ny\n"


@pytest.mark.parametrize(
    "edit",
    [
        EditLines(("a",), "absent", "x", origin="f:3"),
        EditLines(("absent",), "x", "y", origin="f:3"),
        EditLines(("a",), "x", r"\7", origin="f:3"),
        RemoveFiles(("absent",), origin="f:3"),
        AddFile("link/x", b"", origin="f:3"),
        AddFile("folder", b"", origin="f:3"),
    ],
)
def test_an_edit_that_does_not_fit_is_an_error_with_its_place(
    tmp_path: Path, edit: Edit
) -> None:
    (tmp_path / "link").symlink_to("/")
    (tmp_path / "folder").mkdir()

    with pytest.raises(EditFailed, match=r"^f:3: "):
        edited(tmp_path, edit, a="x\n")


def test_patterns_do_not_lead_out_of_the_tree(tmp_path: Path) -> None:
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    tree.mkdir()
    outside.mkdir()
    (outside / "a").write_text("x\n")
    (tree / "link").symlink_to(outside)

    edited(tree, EditLines(("link/a", "**/a"), "x", "y", ignore_missing=True))
    edited(tree, RemoveFiles(("link/*",), ignore_missing=True))

    assert (outside / "a").read_text() == "x\n"


def test_build_requirements_are_changed_and_the_rest_stays(tmp_path: Path) -> None:
    text = (
        "# kept\n[build-system]\nrequires = ['A.b<1', 'gone', \"c; python_version<'4'\"]\n"
        "build-backend = 'x'  # kept too\n"
    )

    edit = EditBuildRequires(("a-b>=2", "new"), ("gone", "not-there"))
    edited(tmp_path, edit, pyproject_toml=text)

    result = (tmp_path / "pyproject.toml").read_text()
    assert tomllib.loads(result)["build-system"] == {
        "requires": ["c; python_version<'4'", "a-b>=2", "new"],
        "build-backend": "x",
    }
    assert "# kept\n" in result
    assert "# kept too" in result


def test_a_pyproject_that_is_missing_says_what_it_meant(tmp_path: Path) -> None:
    edited(tmp_path, EditBuildRequires(("cython",)))

    table = tomllib.loads((tmp_path / "pyproject.toml").read_text())
    assert table == {"build-system": {"requires": ["setuptools>=40.8.0", "cython"]}}


def test_the_project_may_lie_in_a_folder(tmp_path: Path) -> None:
    edited(tmp_path, EditBuildRequires((), ("x",)), "py", py__pyproject_toml="")

    assert not (tmp_path / "pyproject.toml").exists()
    assert "setuptools" in (tmp_path / "py" / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    "text", ["[", "build-system = 1", "[build-system]\nrequires=1"]
)
def test_a_pyproject_that_cannot_be_edited_is_an_error(
    tmp_path: Path, text: str
) -> None:
    with pytest.raises(EditFailed, match="pyproject"):
        edited(tmp_path, EditBuildRequires(("x",), origin=""), pyproject_toml=text)


def test_the_version_is_set_wherever_it_stands(tmp_path: Path) -> None:
    project = "[project]\nname = 'x'\ndynamic = ['version', 'readme']\n"
    (tmp_path / "PKG-INFO").write_text(
        "Name: x\nVersion: 0\n\nVersion: 0 in the text\n"
    )

    edited(tmp_path, SetVersion("1.5"), pyproject_toml=project)

    table = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]
    assert table == {"name": "x", "version": "1.5", "dynamic": ["readme"]}
    pkg_info = (tmp_path / "PKG-INFO").read_text()
    assert pkg_info == "Name: x\nVersion: 1.5\n\nVersion: 0 in the text\n"


def test_a_missing_pkg_info_is_made(tmp_path: Path) -> None:
    edited(tmp_path, SetPkgInfo((("Name", "x"), ("Version", "1.5"))))

    text = (tmp_path / "PKG-INFO").read_text()
    assert text == "Metadata-Version: 2.1\nName: x\nVersion: 1.5\n"


def test_files_are_dropped_in_and_removed(tmp_path: Path) -> None:
    edited(tmp_path, AddFile("a/b.sh", b"x", executable=True))
    edited(tmp_path, RemoveFiles(("c*", "d")), c1="", c2="", d__e="")

    assert (tmp_path / "a/b.sh").stat().st_mode & 0o777 == 0o755
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a"]


def test_fields_keep_their_place_and_their_neighbours() -> None:
    before = b"A: 1\nb: 2\n more\nC: 3\n\nbody\n\nB: 4\n"

    assert with_fields(before, {"B": "9"}).startswith(b"A: 1\nB: 9\n")
    assert with_fields(before, {}) == before


def test_equal_edits_of_different_files_of_settings_are_equal() -> None:
    a = AddFile("x", b"1", origin="f:1")
    b = AddFile("x", b"1", source="other", origin="g:2")

    assert a == b
    assert a.value == b.value
    assert AddFile("x", b"2").value != a.value
