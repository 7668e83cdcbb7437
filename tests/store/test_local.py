"""Questions to a store, and the places that it lends."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fromager.store import (
    Directory,
    File,
    InvalidName,
    Link,
    LinkRefused,
    LocalStore,
    ObjectDamaged,
    ObjectMissing,
    Realisation,
    StorePath,
    StoreUnavailable,
    UnsupportedFile,
    blob_digest,
    open_store,
)
from support.processes import at_once
from support.trees import Program, on_disk, tree_of, write_sketch

if TYPE_CHECKING:
    from pathlib import Path

    from fromager.store import ObjectInfo


def blob(
    store: LocalStore, content: bytes, name: str, *references: StorePath
) -> ObjectInfo:
    with store.transaction() as transaction:
        return transaction.add_bytes(content, name, references=references)


def test_what_is_not_there_is_not_known(store: LocalStore) -> None:
    path = StorePath.of(blob_digest(b""), "nothing")

    assert store.info(path) is None
    assert store.find("nothing") == ()
    assert store.objects() == ()
    assert store.realisations(blob_digest(b"")) == ()
    assert store.read_log(blob_digest(b"")) is None
    for ask in (store.tree, store.read_file, lambda path: store.closure([path])):
        with pytest.raises(ObjectMissing, match=str(path)):
            ask(path)


def test_objects_are_found_by_the_beginning_of_path_name_or_digest(
    store: LocalStore,
) -> None:
    one, two = blob(store, b"1", "one-1.0"), blob(store, b"2", "one-2.0")

    assert store.find("one-2") == (two,)
    assert set(store.find("one")) == {one, two}
    assert store.find(str(one.path)) == (one,)
    assert store.find(one.path.hash[:7]) == (one,)
    assert store.find(str(two.digest)) == (two,)
    assert store.find(two.digest.hex[:9]) == (two,)
    assert store.find("blake3:" + two.digest.hex[:9]) == (two,)
    assert set(store.find("")) == set(store.objects()) == {one, two}
    assert store.find("%") == store.find("on_") == store.find("*") == ()


@settings(max_examples=25)
@given(st.data())
def test_a_closure_is_all_that_is_reached(data: st.DataObject) -> None:
    import tempfile
    from pathlib import Path

    edges = [
        data.draw(st.sets(st.integers(0, max(0, n - 1)), max_size=3)) if n else set()
        for n in range(data.draw(st.integers(1, 10)))
    ]

    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder)) as store:
        paths: list[StorePath] = []
        with store.transaction() as transaction:
            for number, below in enumerate(edges):
                info = transaction.add_bytes(
                    b"%d" % number, "node", references=[paths[n] for n in below]
                )
                paths.append(info.path)
        start = data.draw(st.sets(st.integers(0, len(edges) - 1)))
        reached, pending = set(start), list(start)
        while pending:
            new = edges[pending.pop()] - reached
            reached |= new
            pending += new

        found = store.closure(paths[n] for n in start)

        assert found == tuple(sorted({paths[n] for n in reached}, key=str))
        assert store.closure(found) == found


def test_a_long_chain_has_a_closure(store: LocalStore) -> None:
    path: tuple[StorePath, ...] = ()
    with store.transaction() as transaction:
        for number in range(1200):
            path = (transaction.add_bytes(b"%d" % number, "n", references=path).path,)

    assert len(store.closure(path)) == 1200


def claim(
    output: ObjectInfo, *, key: bytes = b"k", subject: str = "a==1", started: int = 0
) -> Realisation:
    return Realisation(
        key=blob_digest(key),
        derivation=output.path,
        kind="wheel",
        subject=subject,
        output=output.path,
        output_digest=output.digest,
        started=started,
    )


def test_claims_are_given_newest_first(store: LocalStore) -> None:
    one, two = blob(store, b"1", "out"), blob(store, b"2", "out")
    claims = [
        claim(one, started=5),
        claim(two, started=7),
        claim(one, started=6),
        claim(one, key=b"other", started=1),
        claim(one, subject="b==1", key=b"b", started=9),
    ]
    with store.transaction() as transaction:
        for made in claims:
            transaction.register(made)

    assert [c.started for c in store.realisations(blob_digest(b"k"))] == [7, 6, 5]
    assert [c.started for c in store.history("wheel", "a==1")] == [7, 6, 5, 1]
    assert [c.started for c in store.producers(one.path)] == [9, 6, 5, 1]
    assert [c.started for c in store.realised(two.path)] == [7]
    key = blob_digest(b"k")
    for text in (str(key), key.hex, str(key)[:20], key.hex[:12]):
        assert [c.started for c in store.keyed(text)] == [7, 6, 5], text
    assert store.keyed(f"{key.hex[:12]}!") == ()
    assert store.history("sdist", "a==1") == ()
    assert store.subjects("wheel") == ("b==1", "a==1")


def test_a_claim_whose_output_is_gone_is_history_only(store: LocalStore) -> None:
    out = blob(store, b"1", "out")
    with store.transaction() as transaction:
        transaction.register(claim(out))

    out.path.below(store.root).unlink()

    assert store.realisations(blob_digest(b"k")) == ()
    assert len(store.history("wheel", "a==1")) == 1


def test_what_is_asked_of_one_object_does_not_grow_with_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    connect = sqlite3.connect

    def followed(*arguments: Any, **more: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **more)
        connection.set_trace_callback(asked.append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", followed)
    with open_store(tmp_path / "store") as store:
        out = blob(store, b"1", "out")
        with store.transaction() as transaction:
            transaction.register(claim(out))
        asked.clear()

        assert len(store.realisations(blob_digest(b"k"))) == 1
        assert store.rely_on([out.path])
        assert store.info(out.path) is not None
        assert store.recall("a", "key") is None
        database = store.root / ".fromager" / "db.sqlite"
        with closing(connect(database)) as connection:
            steps = [
                (query, row[-1])
                for query in asked
                if query.lstrip().startswith("SELECT")
                for row in connection.execute(f"EXPLAIN QUERY PLAN {query}")
            ]

    assert len({query for query, _ in steps}) >= 3
    assert [step for step in steps if step[1].startswith("SCAN")] == []


def test_the_same_claim_is_kept_once(store: LocalStore) -> None:
    out = blob(store, b"1", "out")
    for _ in range(2):
        with store.transaction() as transaction:
            transaction.register(claim(out))

    assert len(store.producers(out.path)) == 1
    records = store.root / ".fromager" / "realisations"
    assert len(list(records.glob("*/*/*.json"))) == 1


def test_facts_are_remembered_and_replaced(store: LocalStore) -> None:
    store.remember("a", "key", b"1")
    store.remember("b", "key", b"2")
    store.remember("a", "key", b"3")

    assert store.recall("a", "key") == b"3"
    assert store.recall("b", "key") == b"2"
    assert store.recall("a", "other") is None


def test_facts_outlive_the_process(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.remember("a", "key", bytes(range(256)) * 1000)

    with open_store(tmp_path, create=False) as store:
        assert store.recall("a", "key") == bytes(range(256)) * 1000


def test_what_cannot_be_remembered_is_no_error(store: LocalStore) -> None:
    (store.root / ".fromager" / "locks").rmdir()

    store.remember("a", "key", b"1")
    store.touch([])

    assert store.recall("a", "key") is None


def test_many_write_at_once(tmp_path: Path) -> None:
    def work(number: int) -> None:
        with open_store(tmp_path) as store, ThreadPoolExecutor(4) as threads:

            def one(turn: int) -> None:
                store.remember("n", f"{number}-{turn}", b"x")
                blob(store, b"%d" % turn, f"blob-{number}")
                assert store.recall("n", f"{number}-{turn}") == b"x"
                assert len(store.objects()) > 0

            list(threads.map(one, range(10)))

    assert at_once(4, work) == [0] * 4
    with open_store(tmp_path) as store:
        assert len(store.objects()) == 40


def test_files_are_read_from_blobs_and_trees(store: LocalStore, tmp_path: Path) -> None:
    source = write_sketch(
        tmp_path / "in", {"sub": {"caf\udce9": b"x"}, "l": Link("sub")}
    )
    with store.transaction() as transaction:
        tree = transaction.add_directory(source, "tree")
        one = transaction.add_bytes(b"1", "one")

    assert store.read_file(one.path) == b"1"
    assert store.read_file(tree.path, "sub/caf\udce9") == b"x"
    for missing in ("nothing", "sub/nothing", "sub/caf\udce9/x", "../one", ""):
        with pytest.raises(ObjectMissing):
            store.read_file(tree.path, missing)
    with pytest.raises(ObjectMissing):
        store.read_file(one.path, "member")
    for member in ("sub", "l", None):
        with pytest.raises(UnsupportedFile):
            store.read_file(tree.path, member)


def test_the_state_is_another_one_after_each_change(store: LocalStore) -> None:
    states = [store.state]
    for content in (b"1", b"2"):
        with store.transaction() as transaction:
            transaction.add_bytes(content, "name")
        states.append(store.state)

    assert len(set(states)) == 3
    assert store.find("name")
    assert store.state == states[-1]


def test_damage_is_never_served(store: LocalStore) -> None:
    info = blob(store, b"content", "one")
    info.path.below(store.root).chmod(0o644)
    info.path.below(store.root).write_bytes(b"conTent")

    with pytest.raises(ObjectDamaged) as caught:
        store.read_file(info.path)

    assert str(info.digest) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"[" * 5000, None])
def test_a_damaged_record_is_said(store: LocalStore, content: bytes | None) -> None:
    info = blob(store, b"content", "one")
    record = store.root / ".fromager" / "records" / f"{info.path}.json"
    record.unlink()
    if content is not None:
        record.write_bytes(content)

    with open_store(store.root) as later, pytest.raises(ObjectDamaged):
        later.tree(info.path)


def test_what_objects_hold_is_read_by_many_threads(store: LocalStore) -> None:
    with store.transaction() as transaction:
        infos = [transaction.add_bytes(b"%d" % n, "blob") for n in range(300)]

    with open_store(store.root) as later, ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda info: later.tree(info.path), infos * 3))

    assert [node for node in found if not isinstance(node, File)] == []
    assert [node.digest for node in found] == [info.digest for info in infos] * 3


def test_the_record_of_another_object_is_damage(store: LocalStore) -> None:
    one, two = blob(store, b"1", "one"), blob(store, b"2", "two")
    records = store.root / ".fromager" / "records"
    (records / f"{one.path}.json").replace(records / f"{two.path}.json")

    with open_store(store.root) as later, pytest.raises(ObjectDamaged):
        later.tree(two.path)


def test_a_scratch_folder_is_private_and_goes(store: LocalStore) -> None:
    with store.scratch("work") as scratch:
        assert scratch.path.stat().st_mode & 0o7777 == 0o700
        assert scratch.path.is_relative_to(store.root / ".fromager" / "scratch")
        (scratch.path / "a" / "b").mkdir(parents=True)
        (scratch.path / "a" / "file").write_bytes(b"")
        (scratch.path / "a" / "link").symlink_to("/")
        (scratch.path / "a" / "b").chmod(0)
        (scratch.path / "a").chmod(0o555)

    assert not scratch.path.exists()


def test_a_scratch_folder_goes_after_an_error_too(store: LocalStore) -> None:
    with pytest.raises(KeyError), store.scratch("work") as scratch:
        raise KeyError

    assert not scratch.path.exists()


def test_scratch_folders_of_one_name_are_two(store: LocalStore) -> None:
    with store.scratch("work") as one, store.scratch("work") as two:
        assert one.path != two.path


def test_a_scratch_folder_may_be_kept(store: LocalStore) -> None:
    kept = []
    for number in range(3):
        with store.scratch("work") as scratch:
            (scratch.path / "file").write_text(str(number))
            kept.append(scratch.keep())
            assert scratch.path == kept[-1]

    assert [path.name for path in kept] == ["work-1", "work-2", "work-3"]
    assert [(path / "file").read_text() for path in kept] == ["0", "1", "2"]
    assert kept[0].parent == store.root / ".fromager" / "failed"


def test_a_scratch_folder_has_a_proper_name(store: LocalStore) -> None:
    with pytest.raises(InvalidName):
        store.scratch("../x")


def test_a_folder_far_too_deep_is_removed(store: LocalStore) -> None:
    with store.scratch("deep") as scratch:
        here = os.open(scratch.path, os.O_RDONLY)
        for _ in range(3000):
            os.mkdir("deeper", dir_fd=here)
            below = os.open("deeper", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        os.close(here)

    assert not scratch.path.exists()


def test_a_log_is_kept_compressed(store: LocalStore, tmp_path: Path) -> None:
    key = blob_digest(b"key")
    content = b"line\n" * 200_000
    (tmp_path / "log").write_bytes(content)

    store.save_log(key, tmp_path / "log")

    assert store.read_log(key) == content
    packed = (
        store.root / ".fromager" / "logs" / key.hex[:2] / f"{key.hex}.log.gz"
    ).read_bytes()
    assert gzip.decompress(packed) == content
    assert packed[4:8] == bytes(4)
    assert len(packed) < 10_000


def test_the_last_log_replaces_the_one_before(
    store: LocalStore, tmp_path: Path
) -> None:
    key = blob_digest(b"key")
    for content in (b"", b"second"):
        (tmp_path / "log").write_bytes(content)
        store.save_log(key, tmp_path / "log")
        assert store.read_log(key) == content


def test_a_damaged_log_is_as_good_as_none(store: LocalStore, tmp_path: Path) -> None:
    key = blob_digest(b"key")
    (tmp_path / "log").write_bytes(b"text" * 100)
    store.save_log(key, tmp_path / "log")
    place = store.root / ".fromager" / "logs" / key.hex[:2] / f"{key.hex}.log.gz"
    content = place.read_bytes()
    place.chmod(0o644)

    for damaged in (b"", content[:-9], b"x" + content):
        place.write_bytes(damaged)
        assert store.read_log(key) is None


def listed(store: LocalStore) -> set[str]:
    folder = store.root / ".fromager" / "roots" / "links"
    return {json.loads(path.read_bytes())["link"] for path in folder.iterdir()}


def test_a_link_is_made_replaced_and_listed(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        target = blob(store, name.encode(), name).path.below(store.root)
        store.link_root(Path("result"), target)

        assert (tmp_path / "result").readlink() == target
        assert listed(store) == {str(tmp_path / "result")}
    assert {path.name for path in tmp_path.iterdir()} == {"result", "store"}


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_only_a_link_is_replaced(store: LocalStore, tmp_path: Path, kind: str) -> None:
    place = tmp_path / "result"
    place.write_bytes(b"mine") if kind == "file" else place.mkdir()
    target = blob(store, b"1", "one").path.below(store.root)

    with pytest.raises(LinkRefused) as caught:
        store.link_root(place, target)

    assert caught.value.hint
    assert not place.is_symlink()
    assert listed(store) == set()


def test_a_link_in_no_folder_is_refused(store: LocalStore, tmp_path: Path) -> None:
    target = blob(store, b"1", "one").path.below(store.root)

    with pytest.raises(LinkRefused, match="No such file"):
        store.link_root(tmp_path / "missing" / "result", target)


def test_a_link_to_no_object_is_refused(store: LocalStore, tmp_path: Path) -> None:
    gone = StorePath.of(blob_digest(b"1"), "one").below(store.root)

    for target in (tmp_path, store.root, store.root / ".fromager", gone):
        with pytest.raises(ObjectMissing):
            store.link_root(tmp_path / "result", target)
    assert listed(store) == set()


def test_a_copy_is_writable_and_shares_nothing(
    store: LocalStore, tmp_path: Path
) -> None:
    sketch = {
        "file": b"content",
        "large": b"l" * 3_000_000,
        "run": Program(b"#!"),
        "sub": {"empty": {}, "link": Link("../file")},
    }
    with store.transaction() as transaction:
        info = transaction.add_directory(write_sketch(tmp_path / "in", sketch), "tree")  # type: ignore[arg-type]
    tree = store.tree(info.path)
    assert isinstance(tree, Directory)
    copy = tmp_path / "copy"

    store.materialise(tree, copy, mtime=1_000_000_000)

    assert on_disk(os.fsencode(copy)) == tree_of(sketch)  # type: ignore[arg-type]
    found = {path: path.lstat() for path in (copy, *copy.rglob("*"))}
    assert {status.st_mtime for status in found.values()} == {1_000_000_000}
    modes = {path.name: status.st_mode & 0o7777 for path, status in found.items()}
    del modes["link"]
    folders = dict.fromkeys(("copy", "sub", "empty"), 0o755)
    assert modes == folders | {"run": 0o755, "file": 0o644, "large": 0o644}
    (copy / "file").write_bytes(b"changed")
    assert store.read_file(info.path, "file") == b"content"


def test_a_copy_of_what_is_not_held_is_refused(
    store: LocalStore, tmp_path: Path
) -> None:
    tree = Directory.of({"a": File(blob_digest(b"nowhere"))})

    with pytest.raises(ObjectMissing):
        store.materialise(tree, tmp_path / "copy", mtime=1)


def test_a_copy_is_not_made_over_other_things(
    store: LocalStore, tmp_path: Path
) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "a").write_bytes(b"mine")
    with store.transaction() as transaction:
        tree = Directory.of({"a": transaction.put_blob(b"1")})
        transaction.add_tree(tree, "tree")

    with pytest.raises(StoreUnavailable, match="File exists"):
        store.materialise(tree, tmp_path / "copy", mtime=1)

    assert (tmp_path / "copy" / "a").read_bytes() == b"mine"


def test_a_cache_folder_is_made(store: LocalStore) -> None:
    assert store.cache("index").is_dir()
    assert store.cache("index") == store.cache("index")
    with pytest.raises(InvalidName):
        store.cache("../x")


def test_a_damaged_blob_is_not_built_with(store: LocalStore, tmp_path: Path) -> None:
    with store.transaction() as transaction:
        file = transaction.put_blob(b"content")
        tree = Directory.of({"file": file})
        transaction.add_tree(tree, "tree")
    blob = store.path_of_blob(file)
    blob.chmod(0o644)
    blob.write_bytes(b"conTent")

    with pytest.raises(ObjectDamaged) as caught:
        store.materialise(tree, tmp_path / "copy", mtime=1)

    assert str(file.digest) in str(caught.value)


def test_evidence_of_checks_comes_after_what_is_used(tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store:
        key = blob_digest(b"key")
        with store.transaction() as transaction:
            drv = transaction.add_bytes(b"drv", "demo.drv")
            for started, purpose in ((1, None), (2, "check"), (3, None), (4, "check")):
                output = transaction.add_bytes(f"{started}".encode(), "demo")
                facts = (("purpose", purpose),) if purpose else ()
                transaction.register(
                    Realisation(
                        key, drv.path, "wheel", "demo==1", output.path, output.digest,
                        started=started, facts=facts,
                    )
                )  # fmt: skip

        found = [claim.started for claim in store.realisations(key)]
        history = [claim.started for claim in store.history("wheel", "demo==1")]

    assert found == history == [3, 1, 4, 2]
