"""Damage in a store with builds: found, never served, and repaired on the command line."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from fromager.store import File, StorePath, open_store
from support.command_line import Place
from support.damaging import flip, make_victim, rewrite
from support.index import local_index
from support.projects import sdist
from support.trees import damages

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.command_line import Outcome
    from support.index import LocalIndex


PROJECTS = (
    sdist("tool", "1.0", offers="build_meta"),
    sdist("demo", "1.0", requires=["tool"], backend="tool.build_meta"),
)


@pytest.fixture(scope="module")
def original(session_store: Path) -> Path:
    """A store in which a package and its tool were built."""
    with local_index(dict(PROJECTS)) as index:
        place = Place(session_store.parent, session_store.parent / "repair", index.url)
        place.realise("demo")
    return place.store


@pytest.fixture
def built(fresh: Place, original: Path, index: LocalIndex) -> Place:
    """A copy of that store, and an index that has the sources still."""
    # It keeps hard links.
    subprocess.run(["cp", "-a", original, fresh.store], check=True)
    for filename, content in PROJECTS:
        index.add(filename, content)
    return fresh


def spoil(place: Place, kinds: set[str]) -> set[str]:
    """Damage one file of every output of these kinds; the objects that have it."""
    with open_store(place.store, create=False) as store:
        paths = {
            claim.output
            for kind in kinds
            for subject in store.subjects(kind)
            for claim in store.history(kind, subject)
        }
        for path in paths:
            content = store.tree(path)
            files = [("", content)] if isinstance(content, File) else content.walk()
            for member, node in files:
                if isinstance(node, File) and node.size:
                    rewrite_once(path.below(store.root) / member)
                    break
    outcome = place.run("store", "verify", "--json")
    assert outcome.code == 6, outcome.err
    found = {row["object"] for row in outcome.json["damages"]}
    assert {str(path) for path in paths} <= found
    return found


def rewrite_once(path: Path) -> None:
    """Objects may share a file: it is damaged once."""
    content = path.read_bytes()
    if content[:1] != b"\xff":
        rewrite(path, b"\xff" + content[1:])


def is_served(place: Place, file: str) -> bool:
    """Whether the object in which a file lies is valid."""
    with open_store(place.store, create=False) as store:
        return store.info(StorePath.parse(file.split("/")[-2])) is not None


def check_sound(place: Place) -> None:
    outcome = place.run("store", "verify")
    assert (outcome.code, outcome.out) == (0, ""), outcome.out
    with open_store(place.store, create=False) as store:
        assert list(damages(store)) == []


KINDS = ("fetch", "source", "layout", "environment", "requires", "wheel")


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_step_gave_is_built_again(built: Place, kind: str) -> None:
    found = spoil(built, {kind})

    outcome = built.run("store", "repair")

    assert outcome.code == 0, outcome.err
    assert {line.split(":")[0] for line in outcome.out.splitlines()} == found
    assert "building again" in outcome.out
    check_sound(built)


def test_what_is_built_from_what_is_damaged_comes_after_it(built: Place) -> None:
    spoil(built, set(KINDS))

    outcome = built.run("store", "repair")

    assert outcome.code == 0, outcome.err
    check_sound(built)
    assert built.realise("demo").builds == 0


def test_nothing_is_built_again_where_that_is_not_wanted(built: Place) -> None:
    found = spoil(built, {"wheel"})

    outcome = built.run("store", "repair", "--no-build", "--json")

    assert outcome.code == 6
    assert {row["place"] for row in outcome.json["irreparable"]} == found
    assert outcome.builds == 0


def test_a_damaged_wheel_is_not_served_and_is_built_anew(built: Place) -> None:
    first = built.realise("demo").wheel("demo")["path"]
    spoil(built, {"wheel"})
    assert not is_served(built, first)

    outcome = built.realise("demo")

    assert outcome.builds
    assert outcome.wheel("demo")["path"] == first
    assert is_served(built, first)


def test_nothing_damaged_is_built_with(
    built: Place, offer: Callable[..., None]
) -> None:
    """The environment that holds the tool is damaged, and so is the tool's layout."""
    spoil(built, {"environment", "layout"})
    offer("other", requires=["tool"], backend="tool.build_meta")

    built.realise("other")

    with open_store(built.store, create=False) as store:
        (claim,) = store.history("wheel", "other==1.0")
        for key in dict(claim.inputs).values():
            assert store.realisations(key)
        assert list(damages(store)) == []


def test_a_damaged_object_is_said_to_be_so(built: Place) -> None:
    damaged = min(spoil(built, {"environment"}))

    for command in ("info", "ls", "closure", "cat"):
        outcome = built.run("store", command, damaged)
        assert outcome.code == 6, outcome.err
        assert "was found damaged" in outcome.error
        assert f"fromager store repair {damaged}" in outcome.error


def run(folder: Path, *words: str) -> Outcome:
    """A command on the store of `make_victim`."""
    return Place(folder, folder / "store", "").run("store", *words)


def test_verify_tells_what_and_how_much(tmp_path: Path) -> None:
    victim = make_victim(tmp_path)

    sound = run(tmp_path, "verify")
    assert (sound.code, sound.out) == (0, "")
    assert "verified 3 objects: 7 files, 44 bytes" in sound.err

    rewrite(victim.place / "run", flip(b"#!shared"))
    outcome = run(tmp_path, "verify")
    assert outcome.code == 6
    (line,) = outcome.out.splitlines()
    assert line.startswith(f"{victim.thing.path}/run: it has other bytes: expected ")
    assert "1 object damaged, and not served any more" in outcome.error
    assert "hint: fromager store repair" in outcome.error


def test_verify_takes_prefixes_of_what_is_damaged_too(tmp_path: Path) -> None:
    victim = make_victim(tmp_path)
    (victim.place / "run").chmod(0o755)
    prefix = str(victim.thing.path)[:8]

    for _ in range(2):
        outcome = run(tmp_path, "verify", prefix, "--json")
        assert outcome.code == 6
        assert outcome.json["objects"] == 1
        (row,) = outcome.json["damages"]
        assert row["kind"] == "mode"
        assert row["place"] == f"{victim.thing.path}/run"
    assert run(tmp_path, "repair", prefix).code == 0
    assert run(tmp_path, "verify", str(victim.place)).code == 0


@pytest.mark.parametrize("text", ["10", "10x", "", "-5s", "1h 5"])
def test_a_length_of_time_that_is_none_is_said(tmp_path: Path, text: str) -> None:
    make_victim(tmp_path)

    outcome = run(tmp_path, "verify", f"--budget={text}")

    assert outcome.code == 2
    assert "is no length of time; write 60s, 90m" in outcome.err


def test_a_scrub_leaves_out_what_was_just_written(tmp_path: Path) -> None:
    make_victim(tmp_path)
    assert run(tmp_path, "verify").code == 0

    outcome = run(tmp_path, "verify", "--max-age", "1d12h", "--budget", "1m", "--json")

    assert (outcome.code, outcome.json["objects"]) == (0, 0)


def test_repair_takes_objects_from_another_store(tmp_path: Path) -> None:
    victim = make_victim(tmp_path)
    other = make_victim(tmp_path / "other")
    rewrite(victim.place / "run", flip(b"#!shared"))
    run(tmp_path, "verify")

    alone = run(tmp_path, "repair", "--no-build")
    assert alone.code == 6
    assert "no intact copy of " in alone.error

    outcome = run(tmp_path, "repair", "--from", str(other.root))
    assert outcome.code == 0, outcome.err
    assert outcome.out == f"{victim.thing.path}: repaired, from {other.root}\n"
    assert run(tmp_path, "repair").err == "nothing is known to be damaged\n"


def test_the_database_is_made_anew_on_the_command_line(tmp_path: Path) -> None:
    victim = make_victim(tmp_path)
    listed = run(tmp_path, "ls").out
    (victim.private / "db.sqlite").write_bytes(b"torn")

    refused = run(tmp_path, "ls")
    assert refused.code == 6
    assert "hint: fromager store rebuild-db" in refused.error

    outcome = run(tmp_path, "rebuild-db")
    assert (outcome.code, outcome.out) == (0, ""), outcome.err
    assert "the database holds 3 objects and 1 realisation" in outcome.err
    assert run(tmp_path, "ls").out == listed

    rewrite(victim.place / "run", flip(b"#!shared"))
    quick = run(tmp_path, "rebuild-db", "--no-contents", "--json")
    assert (quick.code, quick.json["damages"]) == (0, [])
    thorough = run(tmp_path, "rebuild-db", "--json")
    assert thorough.code == 6
    assert thorough.json["damages"][0]["object"] == str(victim.thing.path)


def test_where_there_is_no_store_nothing_is_made(tmp_path: Path) -> None:
    for words in (("verify",), ("repair",), ("rebuild-db",)):
        outcome = run(tmp_path, *words)
        assert outcome.code == 1
        assert "there is no store at this place" in outcome.error
    assert [path.name for path in tmp_path.iterdir()] == []
