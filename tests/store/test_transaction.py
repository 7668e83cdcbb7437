"""What a transaction adds, how it lies on disk, and what it refuses."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from errno import EMLINK
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings

from fromager.store import (
    Directory,
    File,
    InvalidName,
    InvalidRecord,
    Link,
    LocalStore,
    ObjectMissing,
    Realisation,
    StoreError,
    StorePath,
    UnsupportedFile,
    blob_digest,
    open_store,
)
from support.soundness import faults
from support.trees import (
    Program,
    Sketch,
    damages,
    leftovers,
    on_disk,
    sketches,
    tree_of,
    write_sketch,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fromager.store import ObjectInfo

FOLDER: dict[str, Sketch] = {
    "a.txt": b"text",
    "copy.txt": b"text",
    "run": Program(b"text"),
    "link": Link("../outside"),
    "empty": {},
    "sub": {"b": b"", "deeper": {"c": b"c" * 5000}},
    "caf\udce9": b"latin",
}


def add(store: LocalStore, source: Path, name: str = "tree") -> ObjectInfo:
    with store.transaction() as transaction:
        return transaction.add_directory(source, name)


@contextmanager
def umask(value: int) -> Iterator[None]:
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


def test_a_folder_is_added_as_it_is(store: LocalStore, tmp_path: Path) -> None:
    info = add(store, write_sketch(tmp_path / "in", FOLDER))

    tree = tree_of(FOLDER)
    assert info.path == StorePath.of(tree.digest, "tree")
    assert (info.digest, info.kind, info.size) == (tree.digest, "tree", 5017)
    assert on_disk(os.fsencode(info.path.below(store.root))) == tree
    assert store.tree(info.path) == tree
    assert store.info(info.path) == info
    assert list(damages(store)) == []


def test_any_folder_is_added_and_read_back(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    base = tmp_path_factory.mktemp("trees")

    with open_store(base / "store") as store:

        @given(sketches())
        @settings(suppress_health_check=[HealthCheck.too_slow], max_examples=40)
        def check(sketch: dict[str, Sketch]) -> None:
            source = base / os.urandom(8).hex()
            info = add(store, write_sketch(source, sketch))
            again = add(store, info.path.below(store.root))
            store.materialise(
                tree_of(sketch), copy := source.with_suffix(".m"), mtime=7
            )

            assert info.digest == tree_of(sketch).digest
            assert again == info
            assert add(store, copy) == info

        check()
        assert list(damages(store)) == []
        assert leftovers(store) == []


def test_times_and_other_modes_do_not_matter(store: LocalStore, tmp_path: Path) -> None:
    one = write_sketch(tmp_path / "one", FOLDER)
    other = write_sketch(tmp_path / "other", FOLDER)
    (other / "a.txt").chmod(0o640)
    (other / "run").chmod(0o711)
    (other / "sub").chmod(0o777)
    os.utime(other / "a.txt", (5, 5))

    assert add(store, one) == add(store, other)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o027, 0o077, 0o377])
def test_the_umask_does_not_matter(tmp_path: Path, mask: int) -> None:
    source = write_sketch(tmp_path / "in", FOLDER)

    with open_store(tmp_path / "store") as store:
        with umask(mask):
            add(store, source)

        assert list(damages(store)) == []


def test_equal_files_are_one_file(store: LocalStore, tmp_path: Path) -> None:
    info = add(store, write_sketch(tmp_path / "in", FOLDER))
    with store.transaction() as transaction:
        blob = transaction.add_bytes(b"text", "other")

    place = info.path.below(store.root)
    same = [place / "a.txt", place / "copy.txt", blob.path.below(store.root)]
    assert len({path.stat().st_ino for path in same}) == 1
    assert (place / "run").stat().st_ino != same[0].stat().st_ino


def test_what_is_valid_is_not_written_again(tmp_path: Path) -> None:
    source = write_sketch(tmp_path / "in", FOLDER)
    effects: list[str] = []
    with open_store(tmp_path / "store", effect=effects.append) as store:
        first = add(store, source)
        effects.clear()

        again = add(store, source)
        with store.transaction() as transaction:
            transaction.add_tree(tree_of(FOLDER), "tree")
            transaction.put_blob(b"text")

        assert again == first
        assert effects == []


def test_a_known_file_is_linked_into_a_new_tree(tmp_path: Path) -> None:
    effects: list[str] = []
    with open_store(tmp_path / "store", effect=effects.append) as store:
        add(store, write_sketch(tmp_path / "in", FOLDER))
        effects.clear()

        add(store, write_sketch(tmp_path / "new", FOLDER | {"one more": b"new"}))

    assert effects.count("write blob") == 1
    assert effects.count("sync") == 1


def test_one_transaction_syncs_once(tmp_path: Path) -> None:
    effects: list[str] = []
    with (
        open_store(tmp_path / "store", effect=effects.append) as store,
        store.transaction() as transaction,
    ):
        for number in range(20):
            transaction.add_bytes(b"%d" % number, f"blob-{number}")

    assert effects.count("sync") == 1
    assert effects.count("commit") == 1


def test_a_program_added_as_a_file_is_a_plain_blob(
    store: LocalStore, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"#!")
    program.chmod(0o755)

    with store.transaction() as transaction:
        info = transaction.add_file(program, "program")

    assert store.tree(info.path) == File(blob_digest(b"#!"))
    assert info.path.below(store.root).stat().st_mode & 0o7777 == 0o444


def test_a_link_given_as_a_file_stands_for_its_target(
    store: LocalStore, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")

    with store.transaction() as transaction:
        info = transaction.add_file(tmp_path / "link", "file", consume=True)

    assert store.read_file(info.path) == b"content"
    assert (tmp_path / "link").is_symlink()


def test_a_tree_is_made_of_held_files(store: LocalStore) -> None:
    with store.transaction() as transaction:
        one = transaction.put_blob(b"one")
        two = transaction.put_blob(b"two", executable=True)
        tree = Directory.of({"one": one, "sub": Directory.of({"two": two})})
        info = transaction.add_tree(tree, "made")

    assert on_disk(os.fsencode(info.path.below(store.root))) == tree
    assert info.size == 6


def test_a_tree_of_files_that_are_not_held_is_refused(store: LocalStore) -> None:
    tree = Directory.of({"a": File(blob_digest(b"nowhere"))})

    with pytest.raises(ObjectMissing), store.transaction() as transaction:
        transaction.add_tree(tree, "tree")

    assert store.objects() == ()
    assert leftovers(store) == []


def test_nothing_is_added_if_the_transaction_fails(
    store: LocalStore, tmp_path: Path
) -> None:
    source = write_sketch(tmp_path / "in", FOLDER)

    with pytest.raises(KeyError), store.transaction() as transaction:
        transaction.add_directory(source, "tree")
        raise KeyError

    assert store.objects() == ()
    assert leftovers(store) == []
    assert on_disk(os.fsencode(source)) == tree_of(FOLDER)


def test_a_transaction_that_has_ended_adds_nothing(store: LocalStore) -> None:
    with store.transaction() as transaction:
        pass

    with pytest.raises(StoreError):
        transaction.add_bytes(b"", "late")


def test_references_are_kept_and_must_be_valid(store: LocalStore) -> None:
    nowhere = StorePath.of(blob_digest(b"nowhere"), "nowhere")
    with store.transaction() as transaction:
        one = transaction.add_bytes(b"1", "one")
        two = transaction.add_bytes(b"2", "two", references=[one.path])

    with pytest.raises(ObjectMissing), store.transaction() as transaction:
        transaction.add_bytes(b"3", "three", references=[nowhere, one.path])

    found = store.info(two.path)
    assert found is not None and found.references == (one.path,)
    assert [info.path.name for info in store.objects()] in (
        ["one", "two"],
        ["two", "one"],
    )
    assert leftovers(store) == []


def test_more_references_of_a_known_object_are_added(store: LocalStore) -> None:
    with store.transaction() as transaction:
        one = transaction.add_bytes(b"1", "one")
        two = transaction.add_bytes(b"2", "two")
        top = transaction.add_bytes(b"3", "top", references=[one.path])

    with store.transaction() as transaction:
        more = transaction.add_bytes(b"3", "top", references=[two.path])

    assert set(more.references) == {one.path, two.path}
    assert store.info(top.path) == more


def test_an_object_may_be_added_twice_in_one_transaction(store: LocalStore) -> None:
    with store.transaction() as transaction:
        one = transaction.add_bytes(b"1", "one")
        again = transaction.add_bytes(b"1", "one")
        alias = transaction.add_bytes(b"1", "alias")

    assert one == again
    assert {info.path for info in store.objects()} == {one.path, alias.path}


def test_an_object_whose_files_were_deleted_is_made_anew(store: LocalStore) -> None:
    with store.transaction() as transaction:
        info = transaction.add_bytes(b"1", "one")
    info.path.below(store.root).unlink()
    assert store.info(info.path) is None

    with store.transaction() as transaction:
        transaction.add_bytes(b"1", "one")

    assert store.read_file(info.path) == b"1"


def test_an_object_that_is_made_anew_refers_to_what_it_did(store: LocalStore) -> None:
    with store.transaction() as transaction:
        other = transaction.add_bytes(b"2", "other")
        info = transaction.add_bytes(b"1", "one", references=[other.path])
    info.path.below(store.root).unlink()

    with store.transaction() as transaction:
        again = transaction.add_bytes(b"1", "one")

    assert again == info == store.info(info.path)
    assert faults(store) == []


@pytest.mark.parametrize("left", ["file", "folder", "link"])
def test_what_lies_at_a_place_without_a_row_is_never_trusted(
    store: LocalStore, left: str
) -> None:
    tree = Directory.of({"a": File(blob_digest(b"1"), False, 1)})
    place = StorePath.of(tree.digest, "tree").below(store.root)
    if left == "folder":
        place.mkdir()
        (place / "a").write_bytes(b"torn")
        place.chmod(0o555)
    elif left == "file":
        place.write_bytes(b"torn")
    else:
        place.symlink_to("nowhere")

    with store.transaction() as transaction:
        transaction.put_blob(b"1")
        transaction.add_tree(tree, "tree")

    assert list(damages(store)) == []
    assert leftovers(store) == []


def test_a_file_of_the_pool_that_was_cut_is_replaced(store: LocalStore) -> None:
    with store.transaction() as transaction:
        transaction.add_bytes(b"content", "one")
    blob = store.path_of_blob(File(blob_digest(b"content")))
    blob.unlink()
    blob.write_bytes(b"")

    with store.transaction() as transaction:
        other = transaction.add_bytes(b"content", "other")

    assert store.read_file(other.path) == b"content"
    assert blob.read_bytes() == b"content"


def test_consumed_files_are_moved(store: LocalStore, tmp_path: Path) -> None:
    source = write_sketch(tmp_path / "in", FOLDER)
    inode = (source / "sub" / "deeper" / "c").stat().st_ino

    with store.transaction() as transaction:
        info = transaction.add_directory(source, "tree", consume=True)

    place = info.path.below(store.root)
    assert (place / "sub" / "deeper" / "c").stat().st_ino == inode
    assert on_disk(os.fsencode(place)) == tree_of(FOLDER)
    assert list(damages(store)) == []


def test_a_file_with_other_names_is_copied_though_consumed(
    store: LocalStore, tmp_path: Path
) -> None:
    source = write_sketch(tmp_path / "in", {"a": b"content"})
    (tmp_path / "elsewhere").hardlink_to(source / "a")

    with store.transaction() as transaction:
        info = transaction.add_directory(source, "tree", consume=True)
    (tmp_path / "elsewhere").write_bytes(b"changed")

    assert store.read_file(info.path, "a") == b"content"


def test_a_build_may_leave_any_modes(store: LocalStore, tmp_path: Path) -> None:
    source = write_sketch(tmp_path / "in", FOLDER)
    (source / "a.txt").chmod(0)
    (source / "sub" / "deeper").chmod(0)
    (source / "sub").chmod(0)

    with store.transaction() as transaction:
        info = transaction.add_directory(source, "tree", consume=True)

    assert info.digest == tree_of(FOLDER).digest


@pytest.mark.parametrize("size", [(1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3_000_000])
@pytest.mark.parametrize("consume", [False, True])
@pytest.mark.parametrize("age", [0, 10_000])
def test_files_of_all_sizes_are_whole(
    store: LocalStore, tmp_path: Path, size: int, consume: bool, age: int
) -> None:
    content = os.urandom(size)
    source = write_sketch(tmp_path / "in", {"large": content})
    os.utime(source / "large", (age, age))

    with store.transaction() as transaction:
        info = transaction.add_directory(source, "tree", consume=consume)

    assert store.read_file(info.path, "large") == content
    assert list(damages(store)) == []


def test_a_sparse_file_is_whole(store: LocalStore, tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as stream:
        stream.seek(4_000_000)
        stream.write(b"end")

    with store.transaction() as transaction:
        info = transaction.add_file(tmp_path / "sparse", "sparse")

    assert store.read_file(info.path) == b"\0" * 4_000_000 + b"end"


def special(place: Path, kind: str) -> None:
    match kind:
        case "pipe":
            os.mkfifo(place)
        case "socket":
            with socket.socket(socket.AF_UNIX) as opened:
                opened.bind(str(place))
        case "setuid":
            place.write_bytes(b"")
            place.chmod(0o4755)
        case "setgid":
            place.write_bytes(b"")
            place.chmod(0o2755)


@pytest.mark.parametrize("kind", ["pipe", "socket", "setuid", "setgid"])
@pytest.mark.parametrize("consume", [False, True])
def test_special_files_are_refused(
    store: LocalStore, tmp_path: Path, kind: str, consume: bool
) -> None:
    source = write_sketch(tmp_path / "in", {"ok": b"", "sub": {}})
    special(source / "sub" / "odd", kind)

    with (
        pytest.raises(UnsupportedFile, match="odd"),
        store.transaction() as transaction,
    ):
        transaction.add_directory(source, "tree", consume=consume)
    with (
        pytest.raises(UnsupportedFile, match="odd"),
        store.transaction() as transaction,
    ):
        transaction.add_file(source / "sub" / "odd", "file")

    assert store.objects() == ()
    assert leftovers(store) == []


@pytest.mark.parametrize("missing", ["nothing", "file/below", "loop"])
def test_a_source_that_cannot_be_read_is_named(
    store: LocalStore, tmp_path: Path, missing: str
) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "loop").symlink_to("loop")

    for method in ("add_directory", "add_file"):
        with (
            pytest.raises(UnsupportedFile, match=missing),
            store.transaction() as transaction,
        ):
            getattr(transaction, method)(tmp_path / missing, "name")


def test_a_file_is_no_folder_and_a_folder_no_file(
    store: LocalStore, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(UnsupportedFile), store.transaction() as transaction:
        transaction.add_directory(tmp_path / "file", "name")
    with pytest.raises(UnsupportedFile), store.transaction() as transaction:
        transaction.add_file(tmp_path, "name")


def test_an_improper_name_is_refused_before_anything_is_done(
    store: LocalStore, tmp_path: Path
) -> None:
    with pytest.raises(InvalidName), store.transaction() as transaction:
        transaction.add_directory(tmp_path / "not there", "a/b")


def nested(base: Path, levels: int) -> Path:
    base.mkdir()
    base.joinpath(*"d" * levels).mkdir(parents=True)
    return base


def test_deep_folders_are_added_up_to_a_limit(
    store: LocalStore, tmp_path: Path
) -> None:
    info = add(store, nested(tmp_path / "deep", 512))

    with pytest.raises(UnsupportedFile, match="too deep"):
        add(store, nested(tmp_path / "deeper", 513))
    store.materialise(store.tree(info.path), tmp_path / "copy", mtime=1)  # type: ignore[arg-type]

    assert add(store, tmp_path / "copy") == info
    assert leftovers(store) == []


def test_a_tree_too_deep_for_the_store_is_refused(store: LocalStore) -> None:
    tree = Directory(())
    for _ in range(600):
        tree = Directory.of({"d": tree})
    long = Directory(())
    for _ in range(20):
        long = Directory.of({"d" * 250: long})

    for refused in (tree, long):
        with pytest.raises(UnsupportedFile), store.transaction() as transaction:
            transaction.add_tree(refused, "tree")

    assert leftovers(store) == []


def claim(
    output: ObjectInfo, derivation: ObjectInfo, key: bytes = b"key"
) -> Realisation:
    return Realisation(
        key=blob_digest(key),
        derivation=derivation.path,
        kind="wheel",
        subject="thing==1",
        output=output.path,
        output_digest=output.digest,
        started=5,
    )


def test_a_claim_is_valid_with_its_objects(store: LocalStore) -> None:
    with store.transaction() as transaction:
        output = transaction.add_bytes(b"out", "out")
        derivation = transaction.add_bytes(b"drv", "x.drv")
        made = claim(output, derivation)
        transaction.register(made)
        assert store.realisations(made.key) == ()

    assert store.realisations(made.key) == (made,)
    assert store.history("wheel", "thing==1") == (made,)
    assert store.producers(output.path) == (made,)


def test_a_claim_for_what_is_not_there_is_refused(store: LocalStore) -> None:
    with store.transaction() as transaction:
        output = transaction.add_bytes(b"out", "out")
    with pytest.raises(KeyError), store.transaction() as transaction:
        lost = transaction.add_bytes(b"drv", "x.drv")
        raise KeyError

    with pytest.raises(ObjectMissing), store.transaction() as transaction:
        transaction.register(claim(output, lost))

    assert store.producers(output.path) == ()


def test_a_claim_must_agree_with_itself(store: LocalStore) -> None:
    with store.transaction() as transaction:
        output = transaction.add_bytes(b"out", "out")
        other = transaction.add_bytes(b"other", "other")
    wrong = Realisation(
        blob_digest(b"k"), other.path, "wheel", "x==1", output.path, other.digest
    )

    with pytest.raises(InvalidRecord), store.transaction() as transaction:
        transaction.register(wrong)


def test_a_file_may_have_more_copies_than_links(tmp_path: Path) -> None:
    class Limit:
        """A file system on which a third link fails."""

        def __call__(self, name: str) -> None:
            if name == "link":
                self.count += 1
                if self.count % 3 == 0:
                    raise OSError(EMLINK, os.strerror(EMLINK))

        count = 0

    with open_store(tmp_path / "store", effect=Limit()) as store:
        first = add(
            store, write_sketch(tmp_path / "1", {f"{n}": b"" for n in range(8)})
        )
        with store.transaction() as transaction:
            again = transaction.add_tree(
                tree_of({f"{n}": b"" for n in range(9)}), "tree"
            )

        assert list(damages(store)) == []
        assert first != again


def test_the_pool_gets_a_file_though_no_link_is_left(tmp_path: Path) -> None:
    def limit(name: str) -> None:
        if name == "link blob":
            raise OSError(EMLINK, os.strerror(EMLINK))

    with open_store(tmp_path / "store", effect=limit) as store:
        add(store, write_sketch(tmp_path / "1", FOLDER))

        assert list(damages(store)) == []
        assert store.path_of_blob(File(blob_digest(b"text"))).read_bytes() == b"text"
