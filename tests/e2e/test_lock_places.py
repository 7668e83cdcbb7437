"""Locks of what requirements take from places: folders, archives, commits."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from packaging.pylock import Pylock

from support.index import local_index
from support.projects import scm_members, sdist, sdist_members
from support.repositories import Repository
from support.store_check import check_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.command_line import Outcome, Place

    Offer = Callable[..., None]


def lock(place: Place, *words: str) -> Outcome:
    outcome = place.run("lock", *words)
    assert outcome.code == 0, outcome.err
    return outcome


def locked(place: Place, name: str) -> Any:
    """The entry of a package."""
    table = tomllib.loads((place.folder / "pylock.toml").read_text(encoding="utf-8"))
    Pylock.from_dict(table).validate()
    return next(each for each in table["packages"] if each["name"] == name)


def text(place: Place) -> str:
    return (place.folder / "pylock.toml").read_text(encoding="utf-8")


def project(folder: Path, name: str, **options: Any) -> Path:
    """A project in a folder."""
    for path, content in sdist_members(name, **options).items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
    return folder


def key(outcome: Outcome, name: str) -> str:
    found: str = outcome.wheel(name)["key"]
    return found


def test_a_folder_is_locked_with_its_content_and_moves_with_the_lock(
    place: Place, fresh: Place, offer: Offer
) -> None:
    offer("lpneeded")
    offer("lptool")
    own = {"dependencies": ["lpneeded"], "requires": ["lptool"]}
    project(place.folder / "my demo", "lpfolder", **own)
    lock(place, "./my demo")
    here = place.realise("--lock", "pylock.toml")
    moved = fresh.folder / "moved"
    moved.mkdir()
    shutil.copytree(place.folder / "my demo", moved / "my demo")
    shutil.copy(place.folder / "pylock.toml", moved)

    there = fresh.realise("--lock", "moved/pylock.toml")

    entry = locked(place, "lpfolder")
    assert entry["directory"] == {"path": "my demo"}
    assert "version" not in entry
    assert entry["tool"]["fromager"]["content"].startswith("blake3:")
    assert "lpfolder @ my%20demo/" in text(place)
    assert str(place.folder) not in text(place)
    assert key(here, "lpfolder") == key(there, "lpfolder")
    assert [row["name"] for row in here.json["wheels"]] == ["lpfolder", "lpneeded"]
    assert here.wheel("lpfolder")["requested"]


def test_a_folder_that_changed_is_refused(place: Place) -> None:
    folder = project(place.folder / "demo", "lpchanged")
    lock(place, "./demo")
    place.realise("--lock", "pylock.toml")
    before = text(place)
    (folder / "lpchanged" / "__init__.py").write_text("VALUE = 'other'\n")

    refused = place.run("realise", "--lock", "pylock.toml")
    stale = place.run("lock", "--check")
    again = lock(place)

    check_error(refused, 4, "holds other files than it did when it was locked")
    assert stale.code == 1
    assert "the files of lpchanged==1.0 at" in again.err
    assert text(place) != before
    assert place.run("realise", "--lock", "pylock.toml").code == 0


def test_a_commit_is_locked_and_kept_until_it_is_given_up(
    place: Place, fresh: Place
) -> None:
    repository = Repository.make(place.folder / "repo")
    first = repository.commit(sdist_members("lpcommit"))
    asked = f"lpcommit @ git+{repository.url}@main"
    lock(place, asked)
    before = text(place)
    here = place.realise("--lock", "pylock.toml")
    again = place.realise("--lock", "pylock.toml", "--offline")
    second = repository.commit({"lpcommit/__init__.py": "VALUE = 'later'\n"})

    there = fresh.realise("--lock", "pylock.toml")
    kept = lock(place)
    same = text(place)
    moved = lock(place, "-P", "lpcommit")

    assert (again.processes, again.connections) == ((), 0)
    vcs = locked(place, "lpcommit")["vcs"]
    assert (vcs["type"], vcs["requested-revision"]) == ("git", "main")
    assert vcs["commit-id"] == second and first in before
    assert key(here, "lpcommit") == key(there, "lpcommit")
    assert same == before and "is taken from" not in kept.err
    assert f"@{second}, it was taken from" in moved.err


def test_the_version_out_of_git_is_in_the_lock(place: Place, fresh: Place) -> None:
    repository = Repository.make(place.folder / "repo")
    repository.commit(scm_members("lpscm"), tag="v3.1")
    lock(place, f"git+{repository.url}")

    there = fresh.realise("--lock", "pylock.toml")

    assert there.wheel("lpscm")["version"] == "3.1"
    assert "SETUPTOOLS_SCM_PRETEND_VERSION_FOR_LPSCM=3.1" in text(place)


def test_archives_are_locked_by_hash_wherever_they_are(
    place: Place, fresh: Place
) -> None:
    filename, content = sdist("lplocal", "1.0")
    (place.folder / filename).write_bytes(content)
    with local_index(dict([sdist("lpremote", "1.0")])) as files:
        url = f"{files.url.removesuffix('simple/')}files/lpremote-1.0.tar.gz"
        lock(place, f"./{filename}", f"lpremote @ {url}")
        here = place.realise("--lock", "pylock.toml")
        relocked = lock(place, "--check")

    assert locked(place, "lplocal")["archive"]["path"] == filename
    assert locked(place, "lpremote")["archive"]["url"] == url
    assert here.json["collection"] is not None
    assert relocked.code == 0
    (place.folder / filename).write_bytes(sdist("lplocal", "1.0", value="x")[1])
    check_error(fresh.run("realise", "lplocal", "--lock", "pylock.toml"), 1, "sha256")


def test_what_a_constraint_places_is_locked_and_locked_again(
    place: Place, offer: Offer
) -> None:
    offer("lpuser", dependencies=["lpplaced"])
    project(place.folder / "placed", "lpplaced", version="7.0")
    (place.folder / "c.txt").write_text("lpplaced @ ./placed\n")
    lock(place, "lpuser", "-c", "c.txt")
    before = text(place)

    built = place.realise("--lock", "pylock.toml")
    lock(place)

    assert built.wheel("lpplaced")["version"] == "7.0"
    assert text(place) == before


def test_a_changed_folder_is_looked_at_though_the_lock_was_built_before(
    place: Place,
) -> None:
    folder = project(place.folder / "demo", "lpagain")
    lock(place, "./demo")
    place.realise("--lock", "pylock.toml")
    (folder / "new.txt").write_text("x")

    outcome = place.run("realise", "--lock", "pylock.toml", "--offline")

    assert outcome.code == 4


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_installers_read_places_of_a_lock(
    place: Place, tmp_path: Path, installer: str
) -> None:
    project(place.folder / "demo", "lpread")
    repository = Repository.make(place.folder / "repo")
    repository.commit(sdist_members("lpgit"))
    lock(place, "./demo", f"git+{repository.url}")
    words = {
        "pip": ["pip", "install", "--quiet", "--no-build-isolation"],
        "uv": ["uv", "pip", "install", "--quiet", "--no-build-isolation"],
    }

    done = subprocess.run(
        [sys.executable, "-m", *words[installer], "--target", "t", "-r", "pylock.toml"],
        cwd=place.folder,
        env={**place.environ, "UV_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    for name in ("lpread", "lpgit"):
        assert (place.folder / "t" / name / "__init__.py").exists()


def test_two_locks_are_compared_in_words(place: Place, offer: Offer) -> None:
    offer("lpdiff", "1.0", requires=["lpwith"])
    offer("lpwith", "1.0")
    lock(place, "lpdiff", "-o", "old.toml")
    offer("lpwith", "2.0")
    lock(place, "lpdiff>=1", "-o", "new.toml", "--refresh")

    told = place.run("lock", "diff", "old.toml", "new.toml")
    rows = place.run("lock", "diff", "old.toml", "new.toml", "--json").json["changes"]
    same = place.run("lock", "diff", "old.toml", "old.toml")

    assert told.code == 2
    assert told.out.splitlines() == [
        "the requirement lpdiff is gone",
        "the requirement lpdiff>=1 is new",
        "lpwith is 2.0, it was 1.0 to build lpdiff==1.0",
    ]
    assert [row["aspect"] for row in rows] == ["request", "request", "environment"]
    assert rows[2]["build_of"] == "lpdiff==1.0"
    assert (same.code, same.out) == (0, "")


@pytest.mark.parametrize("content", [None, "<<<<<<<", "lock-version = '1.0'"])
def test_what_is_no_lock_cannot_be_compared(place: Place, content: str | None) -> None:
    if content is not None:
        (place.folder / "bad.toml").write_text(content)

    outcome = place.run("lock", "diff", "bad.toml", "bad.toml")

    assert outcome.code in (1, 2) and len(outcome.errors) == 1
    assert os.fspath("bad.toml") in outcome.err
