"""Trees made file by file: the same objects as from a folder, and nothing else."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fromager.store import (
    LocalStore,
    StoreError,
    UnsupportedFile,
    open_store,
)

NAMES = st.sampled_from(["a", "b", "c", "é", "x.py"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(PATHS, st.tuples(st.binary(max_size=40), st.booleans()), max_size=8)
)
def test_a_built_tree_is_the_object_of_the_same_folder(
    tmp_path_factory: pytest.TempPathFactory,
    files: dict[str, tuple[bytes, bool]],
) -> None:
    files = {
        path: content
        for path, content in files.items()
        if not any(other.startswith(f"{path}/") for other in files)
    }
    folder = tmp_path_factory.mktemp("tree")
    for path, (content, executable) in files.items():
        place = folder / "in" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        place.chmod(0o755 if executable else 0o644)
    (folder / "in").mkdir(exist_ok=True)
    with open_store(folder / "store") as store:
        with store.transaction() as transaction:
            builder = transaction.build_tree("tree")
            for path, (content, executable) in files.items():
                builder.file(path, io.BytesIO(content), executable=executable)
            built = builder.add()
        assert (store.root / str(built.path)).is_dir()
        with store.transaction() as transaction:
            assert transaction.add_directory(folder / "in", "tree") == built


def test_a_large_file_is_held_once(store: LocalStore, tmp_path: Path) -> None:
    content = bytes(3 << 20)
    with store.transaction() as transaction:
        builder = transaction.build_tree("tree")
        builder.file("one", io.BytesIO(content))
        builder.file("two", io.BytesIO(content))
        built = builder.add()
    one, two = (store.root / str(built.path) / name for name in ("one", "two"))
    assert one.samefile(two)
    assert one.read_bytes() == content
    assert one.stat().st_mode & 0o777 == 0o444
    assert built.size == 2 * len(content)


def test_what_is_the_same_and_links_and_empty_folders_are_kept(
    store: LocalStore,
) -> None:
    with store.transaction() as transaction:
        builder = transaction.build_tree("tree")
        builder.folder("full")
        builder.file("full/run", io.BytesIO(b"#!"), executable=True)
        builder.folder("empty")
        builder.same("again", "full/run")
        builder.link("link", "full/run")
        built = builder.add()
    top = store.root / str(built.path)
    assert (top / "again").samefile(top / "full" / "run")
    assert (top / "link").readlink() == Path("full/run")
    assert list((top / "empty").iterdir()) == []
    assert sorted(place.name for place in top.iterdir()) == [
        *("again", "empty", "full", "link")
    ]


@pytest.mark.parametrize("name", ["x" * 256, "a\0b"])
def test_a_name_that_no_file_can_have_is_refused(store: LocalStore, name: str) -> None:
    with pytest.raises((UnsupportedFile, ValueError)), store.transaction() as add:
        builder = add.build_tree("tree")
        builder.file(name, io.BytesIO(b"x"))
        builder.add()
    assert list(store.objects()) == []


def test_a_file_in_place_of_a_folder_is_refused(store: LocalStore) -> None:
    with pytest.raises(StoreError), store.transaction() as transaction:
        builder = transaction.build_tree("tree")
        builder.file("a", io.BytesIO(b"x"))
        builder.link("a/b", "x")
        builder.add()
    assert list(store.objects()) == []
