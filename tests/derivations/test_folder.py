"""The files that belong to a project's folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from fromager.derivations.sources.folder import is_changed, nearest_tag, read_folder
from fromager.derivations.sources.git_command import GitCommand, GitSettings
from support.repositories import WHEN, Repository

if TYPE_CHECKING:
    from pathlib import Path

GIT = GitCommand(
    GitSettings(
        {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
        }
    )
)


def write(folder: Path, *paths: str) -> None:
    for path in paths:
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(path)


def test_what_tools_leave_behind_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, "a.py", "sub/b.py", "sub/__pycache__/b.pyc", "c.pyc", ".hg/x")
    write(tmp_path, ".tox/x", "env/pyvenv.cfg", "env/bin/python", ".mypy_cache/x")
    (tmp_path / "link").symlink_to("a.py")
    (tmp_path / "folder").symlink_to("sub")

    found = read_folder(tmp_path, GIT)

    assert found.files == ("a.py", "folder", "link", "sub/b.py")
    assert found.commit is None and found.note is None


def test_in_a_repository_git_says_what_belongs_to_it(tmp_path: Path) -> None:
    repository = Repository.make(tmp_path / "demo")
    repository.commit(
        {".gitignore": "*.log\n", "a.py": "1", "gone.py": "2", "sub/b.py": "3"},
        tag="v1.0",
    )
    write(repository.folder, "new.py", "x.log")
    (repository.folder / "gone.py").unlink()

    found = read_folder(repository.folder, GIT)

    assert found.files == (".gitignore", "a.py", "new.py", "sub/b.py")
    assert (found.commit, found.commit_time) == (repository.head, WHEN)
    assert nearest_tag(found, GIT) == ("v1.0", 0)
    assert is_changed(found, GIT)


def test_a_folder_in_a_repository_is_no_more_than_itself(tmp_path: Path) -> None:
    repository = Repository.make(tmp_path / "demo")
    repository.commit({"a.py": "1", "sub/b.py": "3"})

    found = read_folder(repository.folder / "sub", GIT)

    assert found.files == ("b.py",)
    assert not is_changed(found, GIT)


def test_a_folder_that_the_repository_ignores_is_read_as_any_other(
    tmp_path: Path,
) -> None:
    repository = Repository.make(tmp_path / "demo")
    repository.commit({".gitignore": "build/\n"})
    write(repository.folder, "build/a.py")

    assert read_folder(repository.folder / "build", GIT).files == ("a.py",)


def test_a_submodule_is_read_as_it_lies_there(tmp_path: Path) -> None:
    inner = Repository.make(tmp_path / "inner")
    inner.commit({"i.py": "1"})
    outer = Repository.make(tmp_path / "outer")
    outer.add_submodule(inner.url, "libs/inner")

    found = read_folder(outer.folder, GIT)

    assert found.files == (".gitmodules", "libs/inner/i.py")


def test_a_machine_without_git_reads_a_folder_as_any_other(tmp_path: Path) -> None:
    repository = Repository.make(tmp_path / "demo")
    repository.commit({"a.py": "1"})

    found = read_folder(repository.folder, GitCommand(GitSettings({}, "/nowhere/git")))

    assert found.files == ("a.py",)
    assert found.note is not None and "without git" in found.note


def test_a_repository_does_not_make_its_reader_run_anything(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {marker}\n")
    script.chmod(0o755)
    repository = Repository.make(tmp_path / "demo")
    repository.commit({"a.py": "1"})
    with (repository.folder / ".git" / "config").open("a") as stream:
        stream.write(f"[core]\nfsmonitor = {script}\nhooksPath = {tmp_path}\n")

    read_folder(repository.folder, GIT)

    assert not marker.exists()


def test_a_folder_that_is_gone_is_an_error(tmp_path: Path) -> None:
    from fromager.derivations.errors import SourceError

    with pytest.raises(SourceError):
        read_folder(tmp_path / "none", GIT)
