"""A project's folder as its author works in it: which files belong to it.

In a git working folder these are the files that git tracks and those that it would
not ignore. Elsewhere it is all but what tools leave behind.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fromager.derivations.errors import SourceError
from fromager.derivations.sources.git import describe
from fromager.derivations.sources.git_command import GitFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fromager.derivations.sources.git_command import GitCommand

_LEFT_OUT: Final = frozenset(
    {".git", ".hg", ".svn", ".bzr", "__pycache__", ".tox", ".nox", ".venv"}
    | {".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis"}
)
_ENVIRONMENT_MARK: Final = "pyvenv.cfg"


@dataclass(frozen=True, slots=True)
class WorkingFolder:
    """A folder's files, and what git says of it."""

    path: Path
    files: tuple[str, ...]
    """Below the folder, sorted; links are among them, folders are not."""
    commit: str | None = None
    """What is checked out; None outside of git, or before the first commit."""
    commit_time: int | None = None
    """Seconds since the epoch."""
    note: str | None = None
    """What people should know of how it was read."""


def read_folder(path: Path, git: GitCommand) -> WorkingFolder:
    """The files of the project in a folder.

    Raises:
        SourceError: the folder cannot be read, or holds what no source can.
    """
    try:
        output = git.run(
            ["ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            folder=path,
        )
    except SourceError as error:
        return WorkingFolder(path, _plain_files(path), note=_refusal(error, path))
    names = {os.fsdecode(name) for name in output.split(b"\0") if name}
    if not names:
        # A repository around it ignores the whole folder.
        return WorkingFolder(path, _plain_files(path))
    files = tuple(sorted(_present(path, names)))
    try:
        words = ["show", "--no-patch", "--format=%H %ct", "HEAD"]
        commit, seconds = git.run(words, folder=path).decode().split()
    except GitFailed:
        return WorkingFolder(path, files)
    return WorkingFolder(path, files, commit, max(0, int(seconds)))


def is_changed(folder: WorkingFolder, git: GitCommand) -> bool:
    """Whether a tracked file is not what the commit says."""
    words = ["status", "--porcelain", "--untracked-files=no", "--ignore-submodules"]
    return bool(git.run([*words, "--", "."], folder=folder.path).strip())


def nearest_tag(folder: WorkingFolder, git: GitCommand) -> tuple[str | None, int]:
    """The last tag before what is checked out, as `Git.nearest_tag`."""
    assert folder.commit is not None
    return describe(git, folder.path, folder.commit)


def _refusal(error: SourceError, path: Path) -> str | None:
    """Why git does not look at a folder that seems to be one of its own."""
    if not (path / ".git").exists() or "not a git repository" in str(error):
        return None
    return f"read without git, which refused it: {error}"


def _present(path: Path, names: set[str]) -> Iterator[str]:
    for name in names:
        try:
            found = (path / name).lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        if stat.S_ISDIR(found.st_mode):
            # A submodule, or a repository of its own: its files count as well.
            yield from (
                f"{name.rstrip('/')}/{each}" for each in _plain_files(path / name)
            )
        else:
            yield name


def _plain_files(path: Path) -> tuple[str, ...]:
    found: list[str] = []

    def refuse(error: OSError) -> None:
        raise SourceError(f"{error.filename} cannot be read: {error.strerror}")

    for folder, below, names in os.walk(path, onerror=refuse):
        here = Path(folder)
        links = [name for name in below if (here / name).is_symlink()]
        below[:] = [
            name
            for name in below
            if name not in _LEFT_OUT
            and name not in links
            and not (here / name / _ENVIRONMENT_MARK).is_file()
        ]
        found += [
            (here / name).relative_to(path).as_posix()
            for name in (*names, *links)
            if name not in _LEFT_OUT and not name.endswith((".pyc", ".pyo"))
        ]
    return tuple(sorted(found))
