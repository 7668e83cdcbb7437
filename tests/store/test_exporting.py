"""What leaves a store: copies, links and archives, whole or not at all."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fromager.store import (
    Directory,
    ExportRefused,
    File,
    LocalStore,
    ObjectDamaged,
    ObjectInfo,
    export,
    export_archive,
    export_linked,
    open_store,
)
from fromager.store.exporting import TIME

NAMES = st.sampled_from(["a", "b", "é x", "x.py"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


def add(store: LocalStore, folder: Path) -> ObjectInfo:
    with store.transaction() as transaction:
        return transaction.add_directory(folder, "thing")


@pytest.fixture
def thing(store: LocalStore, tmp_path: Path) -> ObjectInfo:
    """A tree with everything that trees can hold."""
    folder = tmp_path / "thing"
    (folder / "below" / "empty").mkdir(parents=True)
    (folder / "below" / "text").write_text("text")
    (folder / "run").write_bytes(b"#!/bin/sh\n")
    (folder / "run").chmod(0o755)
    (folder / "link").symlink_to("below/text")
    return add(store, folder)


@settings(max_examples=12, deadline=None)
@given(
    st.dictionaries(PATHS, st.tuples(st.binary(max_size=40), st.booleans()), max_size=6)
)
def test_whatever_is_exported_is_the_same_object_when_it_is_added(
    tmp_path_factory: pytest.TempPathFactory,
    files: dict[str, tuple[bytes, bool]],
) -> None:
    folder = tmp_path_factory.mktemp("export")
    (folder / "in").mkdir()
    for path, (content, executable) in files.items():
        if any(other.startswith(f"{path}/") for other in files):
            continue
        place = folder / "in" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        place.chmod(0o755 if executable else 0o644)
    with open_store(folder / "store") as store:
        added = add(store, folder / "in")
        export(store, added.path, folder / "copied")
        export_linked(store, added.path, folder / "linked")
        export_archive(store, added.path, folder / "a.tar.gz", compressed=True)
        with tarfile.open(folder / "a.tar.gz") as archive:
            archive.extractall(folder / "unpacked", filter="fully_trusted")

        assert add(store, folder / "copied") == added
        assert add(store, folder / "linked") == added
        assert add(store, folder / "unpacked" / added.path.name) == added


def test_a_copy_can_be_written_and_shares_nothing(
    store: LocalStore, thing: ObjectInfo, tmp_path: Path
) -> None:
    target = tmp_path / "copy"

    export(store, thing.path, target)

    modes = {p.name: p.lstat().st_mode & 0o777 for p in target.rglob("*")}
    assert modes["run"] == 0o755 and modes["text"] == 0o644
    assert (target / "run").stat().st_nlink == 1
    assert (target / "run").stat().st_mtime == TIME
    assert (target / "link").readlink() == Path("below/text")


def test_links_are_the_files_of_the_store(
    store: LocalStore, thing: ObjectInfo, tmp_path: Path
) -> None:
    export_linked(store, thing.path, tmp_path / "linked")

    own = store.place(thing.path) / "run"
    assert (tmp_path / "linked" / "run").samefile(own)


@pytest.mark.parametrize("compressed", [False, True])
def test_an_archive_has_the_same_bytes_every_time(
    store: LocalStore, thing: ObjectInfo, tmp_path: Path, *, compressed: bool
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"

    export_archive(store, thing.path, one, compressed=compressed)
    export_archive(store, thing.path, two, compressed=compressed)

    assert one.read_bytes() == two.read_bytes()
    with tarfile.open(one) as archive:
        rows = {row.name: row for row in archive}
    assert {"thing", "thing/below/empty", "thing/link"} <= set(rows)
    assert {(row.uid, row.mtime, row.uname) for row in rows.values()} == {(0, TIME, "")}


def test_a_blob_is_exported_as_a_file(store: LocalStore, tmp_path: Path) -> None:
    with store.transaction() as transaction:
        blob = transaction.add_bytes(b"content", "blob.txt")

    export(store, blob.path, tmp_path / "copy")
    export_linked(store, blob.path, tmp_path / "linked")

    assert (tmp_path / "copy").read_bytes() == b"content"
    assert (tmp_path / "linked").read_bytes() == b"content"


def test_nothing_that_is_there_is_written_over(
    store: LocalStore, thing: ObjectInfo, tmp_path: Path
) -> None:
    full, empty, link = tmp_path / "full", tmp_path / "empty", tmp_path / "link"
    full.mkdir()
    (full / "precious").touch()
    empty.mkdir()
    link.symlink_to(tmp_path / "nowhere")

    for target in (full, link, full / "precious"):
        with pytest.raises(ExportRefused, match="something is there already"):
            export(store, thing.path, target)
    with pytest.raises(ExportRefused, match="something is there already"):
        export_archive(store, thing.path, empty, compressed=False)
    with pytest.raises(ExportRefused, match="there is no folder"):
        export(store, thing.path, tmp_path / "no" / "folder")
    export(store, thing.path, empty)

    assert [path.name for path in full.iterdir()] == ["precious"]
    assert (empty / "run").exists()


@pytest.mark.parametrize("way", ["copy", "archive"])
def test_what_is_damaged_is_not_exported_and_nothing_is_left(
    store: LocalStore, thing: ObjectInfo, tmp_path: Path, way: str
) -> None:
    tree = store.tree(thing.path)
    assert isinstance(tree, Directory)
    node = tree.get("run")
    assert isinstance(node, File)
    blob = store.path_of_blob(node)
    blob.chmod(0o644)
    blob.write_bytes(b"#!/bin/no\n")
    before = sorted(tmp_path.iterdir())

    with pytest.raises(ObjectDamaged):
        if way == "copy":
            export(store, thing.path, tmp_path / "out")
        else:
            export_archive(store, thing.path, tmp_path / "out", compressed=True)

    assert sorted(tmp_path.iterdir()) == before
