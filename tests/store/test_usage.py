"""How much space is said to be taken is what the disk says."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fromager.store import LocalStore, ObjectMissing, StorePath, blob_digest, open_store
from support.garbage import orphan
from support.trees import sketches, write_sketch

if TYPE_CHECKING:
    from pathlib import Path

    from fromager.store import Transaction


def blocks(*paths: Path) -> int:
    """Bytes on the disk below these paths, each file once; folders take none."""
    files = {
        (status.st_dev, status.st_ino): status.st_blocks * 512
        for path in paths
        for place in (path, *path.rglob("*"))
        if place.is_file() and not place.is_symlink()
        for status in [place.stat()]
    }
    return sum(files.values())


def add_bytes(store: LocalStore, **contents: bytes) -> dict[str, StorePath]:
    with store.transaction() as transaction:
        return {n: transaction.add_bytes(c, n).path for n, c in contents.items()}


def test_what_two_objects_share_is_exclusive_to_both_together(
    store: LocalStore,
) -> None:
    paths = add_bytes(store, one=b"1" * 10_000, same=b"1" * 10_000, other=b"2" * 5_000)

    one = store.space.of([paths["one"]])
    both = store.space.of([paths["one"], paths["same"]])
    other = store.space.of([paths["other"]])

    assert (one.apparent, both.apparent, other.apparent) == (10_000, 20_000, 5_000)
    assert one.disk == both.disk >= 10_000
    assert (one.exclusive, both.exclusive) == (0, both.disk)
    assert other.exclusive == other.disk >= 5_000


def test_an_object_counts_once_however_often_it_is_named(store: LocalStore) -> None:
    path = add_bytes(store, one=b"1" * 10_000)["one"]

    assert store.space.of([path, path]) == store.space.of([path])


def test_files_that_are_equal_in_one_tree_take_space_once(
    store: LocalStore, tmp_path: Path
) -> None:
    source = write_sketch(tmp_path / "in", {"a": b"1" * 9000, "d": {"b": b"1" * 9000}})
    with store.transaction() as transaction:
        path = transaction.add_directory(source, "it").path

    usage = store.space.of([path])

    assert usage.apparent == 18_000
    assert usage.disk == usage.exclusive == blocks(path.below(store.root)) < 18_000


def test_sums_agree_with_the_disk_for_any_objects(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    base = tmp_path_factory.mktemp("usage")

    @given(st.lists(sketches(), min_size=2, max_size=4), st.data())
    @settings(max_examples=8, deadline=None)
    def check(drawn: list[dict[str, object]], data: st.DataObject) -> None:
        place = base / os.urandom(8).hex()
        with open_store(place) as store:
            with store.transaction() as transaction:
                paths = [added(transaction, place, sketch) for sketch in drawn]
            some = data.draw(st.lists(st.sampled_from(paths), unique=True))
            rest = {path.below(store.root) for path in set(paths) - set(some)}
            mine = {path.below(store.root) for path in some}

            usage = store.space.of(some)
            total = store.space.total()

            assert usage.apparent == sum(store.tree(path).size for path in some)
            assert usage.disk == blocks(*mine)
            assert usage.exclusive == blocks(*mine, *rest) - blocks(*rest)
            assert (total.objects, total.unused) == (blocks(*mine, *rest), 0)
            assert total.total == blocks(store.root)

    def added(transaction: Transaction, place: Path, sketch: object) -> StorePath:
        source = place.with_name(os.urandom(8).hex())
        write_sketch(source, sketch)  # type: ignore[arg-type]
        return transaction.add_directory(source, "it").path

    check()


def test_contents_that_no_object_has_are_unused(store: LocalStore) -> None:
    with store.transaction() as transaction:
        path = transaction.add_bytes(b"2", "two").path
    path.below(store.root).unlink()
    orphan(store.root, b"1" * 10_000)

    usage = store.space.total()

    assert usage.objects == 0
    assert usage.unused == blocks(store.root / ".fromager/blobs") > 10_000


def test_the_usage_of_what_is_not_there_is_refused(store: LocalStore) -> None:
    with pytest.raises(ObjectMissing):
        store.space.of([StorePath.of(blob_digest(b"nothing"), "nothing")])


def test_referrers_are_found_directly_and_transitively(store: LocalStore) -> None:
    with store.transaction() as transaction:
        base = transaction.add_bytes(b"0", "base").path
        left = transaction.add_bytes(b"1", "left", references=[base]).path
        right = transaction.add_bytes(b"2", "right", references=[base]).path
        top = transaction.add_bytes(b"3", "top", references=[left, right]).path

    assert store.referrers([base]) == tuple(sorted([left, right]))
    assert store.referrers([base], recursive=True) == tuple(sorted([left, right, top]))
    assert store.referrers([left, right]) == (top,)
    assert store.referrers([base, left]) == tuple(sorted([left, right, top]))
    assert store.referrers([top], recursive=True) == ()


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=10))
@settings(max_examples=8, deadline=None)
def test_an_object_is_a_referrer_of_what_is_in_its_closure(
    tmp_path_factory: pytest.TempPathFactory, edges: list[list[int]]
) -> None:
    with open_store(tmp_path_factory.mktemp("graph") / "store") as store:
        with store.transaction() as transaction:
            paths: list[StorePath] = []
            for number, below in enumerate(edges):
                references = [paths[each] for each in below if each < number]
                content = b"%d" % number
                info = transaction.add_bytes(content, "it", references=references)
                paths.append(info.path)

        for path in paths:
            reached = [other for other in paths if path in store.closure([other])]
            found = store.referrers([path], recursive=True)
            assert set(found) == set(reached) - {path}
