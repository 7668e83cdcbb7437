"""A store above others that are only read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fromager.store import (
    Directory,
    File,
    ObjectDamaged,
    ObjectMissing,
    OtherStore,
    Realisation,
    ReferenceMissing,
    StoreUnavailable,
    blob_digest,
    open_layers,
    open_store,
    rebuild_database,
)
from support.trees import damages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fromager.store import Digest, LocalStore, ObjectInfo, StorePath

KEY = blob_digest(b"key")


def add(
    store: LocalStore, content: bytes, name: str = "name", *references: StorePath
) -> ObjectInfo:
    with store.transaction() as transaction:
        return transaction.add_bytes(content, name, references=references)


def claim(
    store: LocalStore, content: bytes, *, key: Digest = KEY, started: int = 1
) -> Realisation:
    with store.transaction() as transaction:
        drv = transaction.add_bytes(b"drv", "x.drv")
        output = transaction.add_bytes(content, "out")
        realisation = Realisation(
            key, drv.path, "wheel", "a==1", output.path, output.digest, started=started
        )
        transaction.register(realisation)
    return realisation


def check_own(layered: LocalStore) -> None:
    """What lies in the store on top is sound by itself."""
    with open_store(layered.root, create=False) as alone:
        assert list(damages(alone)) == []


def everything(root: Path) -> list[tuple[str, int, int]]:
    """All below a folder, with the times at which names or contents changed."""
    return sorted(
        (
            str(path.relative_to(root)),
            path.lstat().st_mtime_ns,
            path.lstat().st_ctime_ns,
        )
        for path in (root, *root.rglob("*"))
    )


@pytest.fixture
def lower(tmp_path: Path) -> Path:
    """A store that is only read."""
    open_store(tmp_path / "lower").close()
    return tmp_path / "lower"


@pytest.fixture
def layered(tmp_path: Path, lower: Path) -> Iterator[LocalStore]:
    with open_layers(tmp_path / "upper", [lower], clock=lambda: 1_800_000_000.0) as top:
        yield top


def test_a_change_of_any_layer_changes_the_state(tmp_path: Path) -> None:
    with open_store(tmp_path / "lower") as lower:
        add(lower, b"1")
        with open_layers(tmp_path / "upper", [tmp_path / "lower"]) as upper:
            states = [upper.state]
            add(upper, b"2")
            states.append(upper.state)
            add(lower, b"3")
            states.append(upper.state)

    assert len(set(states)) == 3


def test_what_lies_below_is_valid_above(layered: LocalStore, lower: Path) -> None:
    with open_store(lower) as store, store.transaction() as transaction:
        blob = transaction.add_bytes(b"below", "blob")
        file = transaction.put_blob(b"1")
        tree = transaction.add_tree(Directory.of({"a": file}), "tree")
    own = add(layered, b"above", "own")

    assert layered.info(blob.path) == blob
    assert layered.tree(tree.path) == Directory.of({"a": file})
    assert layered.read_file(tree.path, "a") == b"1"
    assert layered.place(tree.path) == lower / str(tree.path)
    assert layered.place(own.path) == layered.root / str(own.path)
    several = [tree.path, own.path, blob.path]
    assert layered.places(several) == [layered.place(path) for path in several]
    assert layered.objects() == tuple(
        sorted((blob, tree, own), key=lambda info: str(info.path))
    )
    assert layered.find("bl") == (blob,)
    assert layered.roots == (layered.root, lower)
    assert layered.path_of_blob(file).read_bytes() == b"1"


def test_what_is_nowhere_is_missing(layered: LocalStore) -> None:
    path = add(layered, b"1").path
    (layered.root / str(path)).unlink()

    for ask in (layered.place, layered.tree, layered.read_file):
        with pytest.raises(ObjectMissing):
            ask(path)
    with pytest.raises(ObjectMissing):
        layered.places([add(layered, b"2").path, path])
    assert layered.info(path) is None


def test_nothing_that_is_done_above_touches_what_is_below(
    tmp_path: Path, lower: Path
) -> None:
    with open_store(lower) as store:
        below = add(store, b"below")
        claim(store, b"built")
        store.remember("namespace", "key", b"below")
    before = everything(lower)

    with open_layers(tmp_path / "upper", [lower]) as layered:
        assert add(layered, b"below") == below
        add(layered, b"above", "above", below.path)
        claim(layered, b"built", started=2)
        layered.touch([below.path])
        layered.closure([below.path])
        layered.link_root(tmp_path / "link", layered.place(below.path))
        # What is remembered is an index: each store has its own.
        assert layered.recall("namespace", "key") is None
        layered.remember("namespace", "key", b"above")
        with layered.build_lock(KEY, lambda holder: None), layered.scratch("work"):
            pass

    assert everything(lower) == before


def test_what_lies_below_is_not_written_again(
    tmp_path: Path, layered: LocalStore, lower: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(b"content")
    with open_store(lower) as store, store.transaction() as transaction:
        below = transaction.add_directory(source, "tree")

    with layered.transaction() as transaction:
        again = transaction.add_directory(source, "tree")

    assert again == below
    assert not (layered.root / str(below.path)).exists()


def test_a_tree_is_made_of_files_from_below(layered: LocalStore, lower: Path) -> None:
    with open_store(lower) as store, store.transaction() as transaction:
        file = transaction.put_blob(b"content", executable=True)
        transaction.add_tree(Directory.of({"a": file}), "one")

    with layered.transaction() as transaction:
        tree = Directory.of({"b": file, "c": transaction.put_blob(b"2"), "d": file})
        info = transaction.add_tree(tree, "two")

    place = layered.root / str(info.path)
    assert (place / "b").read_bytes() == b"content"
    assert (place / "b").stat().st_mode & 0o777 == 0o555
    assert (place / "b").samefile(place / "d")
    with open_store(layered.root, create=False) as alone:
        assert alone.read_file(info.path, "b") == b"content"
    check_own(layered)


def test_damage_below_is_not_taken_over(layered: LocalStore, lower: Path) -> None:
    with open_store(lower) as store, store.transaction() as transaction:
        file = transaction.put_blob(b"content")
        transaction.add_tree(Directory.of({"a": file}), "one")
    with open_store(lower) as store:
        blob = store.path_of_blob(file)
    blob.chmod(0o644)
    blob.write_bytes(b"CONTENT")

    with (
        pytest.raises(ObjectDamaged, match=str(blob)),
        layered.transaction() as transaction,
    ):
        transaction.add_tree(Directory.of({"b": file}), "two")


def test_a_tree_is_copied_out_of_all_stores(
    tmp_path: Path, layered: LocalStore, lower: Path
) -> None:
    with open_store(lower) as store, store.transaction() as transaction:
        file = transaction.put_blob(b"below")
        transaction.add_tree(Directory.of({"a": file}), "one")
    with layered.transaction() as transaction:
        own = transaction.put_blob(b"above")
        transaction.add_tree(Directory.of({"a": own}), "two")

    layered.materialise(Directory.of({"a": file, "b": own}), tmp_path / "out", mtime=5)

    assert (tmp_path / "out/a").read_bytes() == b"below"
    assert (tmp_path / "out/b").read_bytes() == b"above"
    with pytest.raises(ObjectMissing):
        layered.materialise(
            Directory.of({"a": File(blob_digest(b"no"))}), tmp_path / "no", mtime=5
        )


def test_realisations_of_all_stores_are_found_newest_first(
    layered: LocalStore, lower: Path
) -> None:
    with open_store(lower) as store:
        old = claim(store, b"below", started=1)
        newest = claim(store, b"below", started=3)
    middle = claim(layered, b"below", started=2)

    claims = (newest, middle, old)
    assert layered.realisations(KEY) == claims
    assert layered.history("wheel", "a==1") == claims
    assert layered.producers(old.output) == claims
    assert layered.realised(old.derivation) == claims
    assert layered.subjects("wheel") == ("a==1",)


def test_logs_are_found_in_all_stores(
    tmp_path: Path, layered: LocalStore, lower: Path
) -> None:
    (tmp_path / "log").write_bytes(b"below")
    with open_store(lower) as store:
        store.save_log(KEY, tmp_path / "log")
    assert layered.read_log(KEY) == b"below"

    (tmp_path / "log").write_bytes(b"above")
    layered.save_log(KEY, tmp_path / "log")

    assert layered.read_log(KEY) == b"above"
    assert layered.read_log(blob_digest(b"other")) is None


def test_a_closure_goes_through_all_stores(layered: LocalStore, lower: Path) -> None:
    with open_store(lower) as store:
        deep = add(store, b"1", "deep")
        middle = add(store, b"2", "middle", deep.path)
    top = add(layered, b"3", "top", middle.path)

    info = layered.info(top.path)
    assert info is not None
    assert info.references == (middle.path,)
    assert layered.closure([top.path]) == tuple(
        sorted((deep.path, middle.path, top.path), key=str)
    )


def test_a_claim_for_what_lies_nowhere_is_refused(
    tmp_path: Path, layered: LocalStore
) -> None:
    with open_store(tmp_path / "other") as other:
        elsewhere = add(other, b"elsewhere")

    with pytest.raises(ObjectMissing, match=str(elsewhere.path)):
        add(layered, b"3", "top", elsewhere.path)


def test_a_lost_lower_store_is_said_where_a_reference_leads_there(
    layered: LocalStore, lower: Path
) -> None:
    with open_store(lower) as store:
        below = claim(store, b"below")
    top = add(layered, b"3", "top", below.output)
    own = claim(layered, b"below", started=2)

    with open_store(layered.root) as alone:
        # Nothing is claimed that is not there: it would be built again.
        assert alone.realisations(KEY) == ()
        assert own in alone.history("wheel", "a==1")
        with pytest.raises(ReferenceMissing, match=str(below.output)) as caught:
            alone.closure([top.path])

    assert "beneath" in (caught.value.hint or "")


def test_a_reference_below_is_one_above_once_it_is_built_there(
    layered: LocalStore, lower: Path
) -> None:
    with open_store(lower) as store:
        below = add(store, b"below")
    top = add(layered, b"3", "top", below.path)

    with open_store(layered.root) as alone:
        add(alone, b"below")
        info = alone.info(top.path)

        assert info is not None
        assert info.references == (below.path,)
        assert alone.closure([top.path]) == tuple(
            sorted((top.path, below.path), key=str)
        )


def test_more_references_of_what_lies_below_are_kept_above(
    layered: LocalStore, lower: Path
) -> None:
    with open_store(lower) as store:
        one, two = add(store, b"1", "one"), add(store, b"2", "two")
        below = add(store, b"3", "three", one.path)

    more = add(layered, b"3", "three", two.path)

    assert set(more.references) == {one.path, two.path}
    assert more.path == below.path
    assert layered.place(more.path) == layered.root / str(more.path)
    assert layered.info(more.path) == more
    check_own(layered)


def test_of_several_stores_the_first_answers(tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("one", "two", "three")]
    infos = []
    for number, place in enumerate(places):
        with open_store(place) as store:
            common = add(store, b"common", "common")
            infos.append(add(store, b"%d" % number, f"own-{number}"))

    with open_layers(places[0], [places[1], places[2], places[1]]) as layered:
        assert layered.place(common.path) == places[0] / str(common.path)
        assert [layered.place(i.path).parent for i in infos] == places
        assert len(layered.objects()) == 4
        assert layered.roots == tuple(places)


def test_without_a_store_to_write_to_everything_can_be_read(
    tmp_path: Path, lower: Path
) -> None:
    with open_store(lower) as store:
        below = add(store, b"below")
        store.remember("a", "b", b"c")
    before = everything(lower)

    with open_layers(None, [lower], create=False) as layered:
        assert layered.read_file(below.path) == b"below"
        # The one on top remembers for itself.
        assert layered.recall("a", "b") == b"c"
        layered.remember("a", "b", b"d")
        with pytest.raises(StoreUnavailable, match="read-only"):
            layered.transaction()
        with pytest.raises(StoreUnavailable, match="read-only"):
            layered.scratch("x")
    with pytest.raises(StoreUnavailable, match="read-only") as caught:
        open_layers(None, [lower])

    assert caught.value.hint
    assert everything(lower) == before


def test_a_lower_store_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="missing") as caught:
        open_layers(tmp_path / "upper", [tmp_path / "missing"])

    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("link", [True, False])
def test_a_store_does_not_lie_beneath_itself(
    tmp_path: Path, lower: Path, link: bool
) -> None:
    other = tmp_path / "other"
    if link:
        other.symlink_to(lower)

    with pytest.raises(StoreUnavailable, match="both"):
        open_layers(lower, [other if link else lower])


def test_a_lower_store_may_be_written_by_others_meanwhile(
    layered: LocalStore, lower: Path
) -> None:
    for number in range(3):
        with open_store(lower) as store:
            one = add(store, b"%d" % number)
            assert layered.info(one.path) == one
            two = add(store, b"more %d" % number)
            assert layered.info(two.path) == two
        assert layered.info(two.path) == two


@settings(max_examples=20)
@given(
    placed=st.lists(st.sets(st.sampled_from([0, 1, 2])), min_size=1, max_size=6),
    edges=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=10),
)
def test_a_closure_follows_the_references_of_every_store(
    tmp_path_factory: pytest.TempPathFactory,
    placed: list[set[int]],
    edges: list[tuple[int, int]],
) -> None:
    """Objects spread over three layers, each with the references known at its time."""
    base = tmp_path_factory.mktemp("layers")
    roots = [base / f"layer-{number}" for number in range(3)]
    stores = [open_layers(roots[number], roots[number + 1 :]) for number in (2, 1, 0)][
        ::-1
    ]
    paths: list[StorePath] = []
    known: dict[StorePath, set[StorePath]] = {}
    for number, layers in enumerate(placed):
        below = {paths[to] for frm, to in edges if frm == number and to < number}
        for layer in layers or {2}:
            have = [path for path in below if stores[layer].info(path) is not None]
            info = add(stores[layer], b"%d" % number, "node", *have)
            known.setdefault(info.path, set()).update(have)
        paths.append(info.path)

    top = stores[0]
    assert {info.path for info in top.objects()} == set(paths)
    for path in paths:
        assert set(top.closure([path])) == walk(known, path)
        assert top.read_file(path) == b"%d" % paths.index(path)
    for store in stores:
        store.close()


def walk(edges: dict[StorePath, set[StorePath]], start: StorePath) -> set[StorePath]:
    seen, pending = {start}, [start]
    while pending:
        new = edges[pending.pop()] - seen
        seen |= new
        pending += new
    return seen


def test_references_below_survive_a_new_database(tmp_path: Path, lower: Path) -> None:
    with open_store(lower) as store:
        below = add(store, b"below")
    with open_layers(tmp_path / "upper", [lower]) as layered:
        top = add(layered, b"top", "top", below.path)

    with open_layers(None, [lower], create=False) as beneath:
        rebuilt = rebuild_database(
            tmp_path / "upper", clock=lambda: 5.0, beneath=beneath
        )

    assert rebuilt.damages == ()
    with open_layers(tmp_path / "upper", [lower]) as layered:
        assert layered.closure([top.path]) == tuple(
            sorted((top.path, below.path), key=str)
        )


def test_a_new_database_withholds_what_needs_a_store_that_was_not_named(
    tmp_path: Path, lower: Path
) -> None:
    with open_store(lower) as store:
        below = add(store, b"below")
    with open_layers(tmp_path / "upper", [lower]) as layered:
        top = add(layered, b"top", "top", below.path)

    rebuilt = rebuild_database(tmp_path / "upper", clock=lambda: 5.0)

    assert [damage.object for damage in rebuilt.damages] == [top.path]


def test_what_was_found_damaged_above_is_served_from_below(
    layered: LocalStore, lower: Path
) -> None:
    own = add(layered, b"content")
    with open_store(lower) as store:
        add(store, b"content")
    place = layered.root / str(own.path)
    place.chmod(0o644)
    place.write_bytes(b"CONTENT")

    found = layered.care().verify()

    assert {damage.object for damage in found.damages} == {own.path}
    assert layered.read_file(own.path) == b"content"
    assert layered.place(own.path).parent == lower
    repairs = layered.care().repair(None, [OtherStore(each) for each in layered.lower])
    assert repairs.irreparable == ()
    assert layered.place(own.path).parent == layered.root


def test_what_refers_to_an_object_is_found_in_all_layers(
    tmp_path: Path, lower: Path
) -> None:
    with open_store(lower) as below:
        base = add(below, b"base", "base").path
        middle = add(below, b"middle", "middle", base).path
    with open_layers(tmp_path / "top", [lower], create=True) as store:
        top = add(store, b"top", "top", middle).path
        direct = add(store, b"direct", "direct", base).path

        assert store.referrers([base]) == tuple(sorted([middle, direct]))
        assert store.referrers([base], recursive=True) == tuple(
            sorted([middle, direct, top])
        )


def test_space_is_told_of_objects_wherever_they_lie(
    tmp_path: Path, lower: Path
) -> None:
    with open_store(lower) as below:
        path = add(below, b"1" * 10_000).path
        expected = below.space.of([path])
    with open_layers(tmp_path / "top", [lower], create=True) as store:
        assert store.space.of([path]) == expected
        assert store.space.total().objects == 0
