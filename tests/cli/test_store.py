"""`fromager store`: adding, and looking at what refers to what and what it takes."""

from __future__ import annotations

import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from fromager.cli.console import Console
from fromager.store import StorePath, blob_digest, open_store
from support.command_line import Place
from support.processes import fork, wait
from support.store_check import check_error
from support.trees import tree_of, write_sketch

if TYPE_CHECKING:
    from support.trees import Sketch

FOLDER: dict[str, Sketch] = {"a": b"text", "sub": {"b": b"more"}}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "work").mkdir()
    return Place(tmp_path / "work", tmp_path / "store", "")


def test_a_file_becomes_a_blob_and_a_folder_a_tree(place: Place) -> None:
    (place.folder / "notes.txt").write_bytes(b"notes")
    write_sketch(place.folder / "project", FOLDER)

    outcome = place.run("store", "add", "notes.txt", "project/")

    digests = blob_digest(b"notes"), tree_of(FOLDER).digest
    names = "notes.txt", "project"
    expected = map(StorePath.of, digests, names)
    assert outcome.paths == [each.below(place.store) for each in expected]
    assert (outcome.code, outcome.err) == (0, "")


def test_json_says_what_was_added(place: Place) -> None:
    write_sketch(place.folder / "project", FOLDER)

    (row,) = place.run("store", "add", "--json", "project").json["objects"]

    digest = tree_of(FOLDER).digest
    assert row == {
        "path": str(StorePath.of(digest, "project").below(place.store)),
        "digest": str(digest),
        "kind": "tree",
        "bytes": 8,
    }


def test_a_name_may_be_given(place: Place) -> None:
    (place.folder / "bad name").write_bytes(b"1")

    (path,) = place.run("store", "add", "bad name", "--name", "good").paths

    assert path.name.endswith("-good")


@pytest.mark.parametrize("path", [".", "../work", "sub/.."])
def test_a_folder_has_its_own_name_however_it_is_written(
    place: Place, path: str
) -> None:
    (place.folder / "sub").mkdir()

    (added,) = place.run("store", "add", path).paths

    assert added.name.endswith("-work")


def test_a_link_stands_for_what_it_leads_to(place: Place) -> None:
    write_sketch(place.folder / "project", FOLDER)
    (place.folder / "link").symlink_to("project")

    (path,) = place.run("store", "add", "link").paths

    assert path == StorePath.of(tree_of(FOLDER).digest, "link").below(place.store)


def test_what_is_added_again_is_the_same_and_changes_nothing(place: Place) -> None:
    write_sketch(place.folder / "project", FOLDER)
    first = place.run("store", "add", "project")
    with open_store(place.store) as store:
        before = store.objects()

    again = place.run("store", "add", "project")

    with open_store(place.store) as store:
        assert store.objects() == before
    assert again.out == first.out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nowhere"], 2, "nowhere.*No such file"),
        (["loop"], 2, "loop"),
        (["pipe"], 1, "pipe.*no regular file"),
        (["bad name"], 2, "bad name.*\n.*--name"),
        (["ok", "--name", "a/b"], 2, "a/b"),
        (["ok", "--name", ""], 2, "empty"),
        (["ok", "--name", "x" * 300], 2, "300 characters"),
        (["ok", "nowhere"], 2, "nowhere"),
        (["no\x1b[31mwhere"], 2, r"no\\x1b\[31mwhere"),
        (["folder"], 1, "folder/pipe"),
        ([".."], 2, "the store itself"),
    ],
)
def test_what_cannot_be_added_is_one_error_and_adds_nothing(
    place: Place, words: list[str], code: int, said: str
) -> None:
    place.run("store", "add", str(write_sketch(place.folder / "first", {})))
    for name in ("ok", "bad name"):
        (place.folder / name).write_bytes(b"")
    (place.folder / "loop").symlink_to("loop")
    (place.folder / "folder").mkdir()
    for name in ("pipe", "folder/pipe"):
        os.mkfifo(place.folder / name)

    outcome = place.run("store", "add", *words)

    check_error(outcome, code, said)
    with open_store(place.store) as store:
        assert [info.path.name for info in store.objects()] == ["first"]


def test_no_store_is_made_if_there_is_nothing_to_add(place: Place) -> None:
    place.run("store", "add", "nowhere")

    assert not place.store.exists()


def test_one_name_is_not_for_several_files(place: Place) -> None:
    outcome = place.run("store", "add", "a", "b", "--name", "c")

    assert outcome.code == 2
    assert "--name" in outcome.err


def test_an_empty_path_is_not_the_working_folder(place: Place) -> None:
    outcome = place.run("store", "add", "")

    assert outcome.code == 2
    assert "PATH is empty" in outcome.err


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [
        ("utf-8", b"f caf\xc3\xa9\nf caf\xe9\n"),
        ("latin-1", b"f caf\xe9\nf caf\\udce9\n"),
        ("ascii", b"f caf\\xe9\nf caf\\udce9\n"),
    ],
)
def test_a_name_of_any_bytes_is_printed_in_any_encoding(
    place: Place, encoding: str, printed: bytes
) -> None:
    (place.folder / "folder").mkdir()
    for name in (b"caf\xc3\xa9", b"caf\xe9"):
        (place.folder / "folder" / os.fsdecode(name)).write_bytes(b"")
    place.run("store", "add", "folder")

    program = [sys.executable, "-c", "from fromager.cli.start import run; run()"]
    done = subprocess.run(
        [*program, "--store", str(place.store), "store", "ls", "folder"],
        env={**os.environ, "PYTHONIOENCODING": f"{encoding}:strict"},
        capture_output=True,
        check=False,
    )

    assert (done.stdout, done.stderr, done.returncode) == (printed, b"", 0)


def test_what_goes_to_a_terminal_does_not_steer_it() -> None:
    terminal, pipe = StringIO(), StringIO()

    for out, shown in ((terminal, True), (pipe, False)):
        Console(out, out, shown=shown).data("f \x1b[31mred\x9b\ttab")

    assert terminal.getvalue() == "f \\x1b[31mred\\x9b\ttab\n"
    assert pipe.getvalue() == "f \x1b[31mred\x9b\ttab\n"


def test_a_file_that_may_not_be_read_is_named() -> None:
    with TemporaryDirectory() as folder:
        base = Path(folder)
        base.chmod(0o777)
        (base / "secret").write_bytes(b"")
        (base / "secret").chmod(0)

        def add() -> None:
            if os.geteuid() == 0:
                os.setuid(65534)
            outcome = Place(base, base / "store", "").run("store", "add", "secret")
            check_error(outcome, 1, "secret.*Permission denied")

        assert wait(fork(add)) == 0


def test_what_needs_an_object_is_listed(place: Place) -> None:
    with open_store(place.store) as store, store.transaction() as transaction:
        base = transaction.add_bytes(b"0", "base").path
        middle = transaction.add_bytes(b"1", "middle", references=[base]).path
        top = transaction.add_bytes(b"2", "top", references=[middle]).path

    direct = place.run("store", "referrers", "base")
    every = place.run("store", "referrers", "base", "--recursive", "--json")

    assert direct.out == f"{middle}\n"
    assert every.json["referrers"] == sorted([str(middle), str(top)])


def test_space_is_told_for_each_object_and_for_all(place: Place) -> None:
    with open_store(place.store) as store, store.transaction() as transaction:
        one = transaction.add_bytes(b"1" * 5000, "one").path
        transaction.add_bytes(b"1" * 5000, "same")
        transaction.add_bytes(b"2" * 3000, "top", references=[one])

    shown = place.run("store", "du", "one", "same")
    value = place.run("store", "du", "one", "top", "--json").json
    closure = place.run("store", "du", "top", "--closure", "--json").json

    assert [line.split()[:2] for line in shown.out.splitlines()[1:]] == [
        ["4.9", "KiB"],
        ["4.9", "KiB"],
        ["9.8", "KiB"],
    ]
    assert [row["apparent"] for row in value["objects"]] == [5000, 3000]
    assert value["total"]["apparent"] == 8000
    assert value["objects"][0]["exclusive"] == 0
    assert closure["total"]["apparent"] == 8000


def test_space_of_the_whole_store_is_told_by_what_it_is_for(place: Place) -> None:
    with open_store(place.store) as store, store.transaction() as transaction:
        transaction.add_bytes(b"1" * 5000, "one")

    value = place.run("store", "du", "--json").json
    shown = place.run("store", "du")

    assert value["store"]["objects"] >= 5000
    assert value["total"] == sum(value["store"].values())
    assert shown.out.splitlines()[0].endswith("objects")
    assert shown.out.splitlines()[-1].endswith("total")


@pytest.mark.parametrize("words", [["ls"], ["du"], ["referrers", "x"], ["du", "x"]])
def test_looking_makes_no_store(place: Place, words: list[str]) -> None:
    outcome = place.run("store", *words)

    check_error(outcome, 1, "no store")
    assert not place.store.exists()
