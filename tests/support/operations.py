"""The operations of a store that are cut off in tests."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Final

from fromager.store import (
    Directory,
    Link,
    Member,
    Policy,
    Realisation,
    blob_digest,
    rebuild_database,
)
from support.crashes import Operation
from support.processes import at_once
from support.trees import Program, write_sketch

if TYPE_CHECKING:
    from fromager.store import ObjectInfo
    from support.crashes import Attempt
    from support.trees import Sketch

KEY: Final = blob_digest(b"key")


FOLDER: Final[dict[str, Sketch]] = {
    "a": b"content of a",
    "run": Program(b"#!"),
    "link": Link("a"),
    "sub": {"b": b"b", "same": b"b"},
}


def _claim(output: ObjectInfo, derivation: ObjectInfo) -> Realisation:
    return Realisation(
        *(KEY, derivation.path, "wheel", "thing==1", output.path, output.digest)
    )


def _claim_only(attempt: Attempt) -> None:
    with attempt.store() as store:
        (kept,) = store.find("kept")
        with store.transaction() as transaction:
            transaction.register(_claim(kept, kept))
        attempt.done("claim", KEY)


def _no_store(attempt: Attempt) -> None:
    return


def _some_store(attempt: Attempt) -> None:
    write_sketch(attempt.folder / "in", FOLDER)
    (attempt.folder / "log").write_bytes(b"a log\n" * 100)
    with attempt.store() as store:
        attempt.done("store", "")
        with store.transaction() as transaction:
            kept = transaction.add_bytes(b"b", "kept")
        attempt.done("object", kept.path)


def _large_file(attempt: Attempt) -> None:
    _some_store(attempt)
    (attempt.folder / "large").write_bytes(bytes(1 << 20) + b"end")


def _create(attempt: Attempt) -> None:
    with attempt.store():
        attempt.done("store", "")


def _add(attempt: Attempt) -> None:
    with attempt.store() as store:
        with store.transaction() as transaction:
            derivation = transaction.add_bytes(b"drv", "thing.drv")
            output = transaction.add_directory(
                attempt.folder / "in", "thing", references=[derivation.path]
            )
            one = transaction.add_file(attempt.folder / "in" / "a", "a")
            made = transaction.add_tree(
                Directory.of({"new": transaction.put_blob(b"new")}), "made"
            )
            transaction.register(_claim(output, derivation))
        for info in (derivation, output, one, made):
            attempt.done("object", info.path)
        attempt.done("claim", KEY)


def _add_more_references(attempt: Attempt) -> None:
    with attempt.store() as store, store.transaction() as transaction:
        new = transaction.add_bytes(b"another", "another")
        transaction.add_bytes(b"b", "kept", references=[new.path])
    attempt.done("object", new.path)


def _add_at_once(attempt: Attempt) -> None:
    def add(number: int) -> None:
        with attempt.store() as store:
            for turn in range(2):
                with store.transaction() as transaction:
                    transaction.add_directory(attempt.folder / "in", "thing")
                    info = transaction.add_bytes(b"%d" % (number ^ turn), "own")
                attempt.done("object", info.path)

    assert at_once(2, add) == [0, 0]


def _add_unchanged(attempt: Attempt) -> None:
    """Adds a folder twice; the second time nothing of it is read."""
    with attempt.store() as store:
        for _ in range(2):
            with store.transaction() as transaction:
                info = transaction.add_directory(
                    attempt.folder / "in", "thing", remember=True
                )
            attempt.done("object", info.path)


def _consume(attempt: Attempt) -> None:
    with attempt.store() as store:
        with store.scratch("work") as scratch:
            write_sketch(scratch.path / "out", FOLDER)
            with store.transaction() as transaction:
                info = transaction.add_directory(
                    scratch.path / "out", "out", consume=True
                )
        attempt.done("object", info.path)


def _build_tree(attempt: Attempt) -> None:
    with attempt.store() as store:
        with store.transaction() as transaction:
            tree = transaction.build_tree("built")
            tree.file("sub/file", BytesIO(b"built"))
            tree.file("sub/run", BytesIO(b"#!"), executable=True)
            tree.same("same", "sub/file")
            tree.link("link", "same")
            info = tree.add()
        attempt.done("object", info.path)


def _add_large(attempt: Attempt) -> None:
    large = (attempt.folder / "large").read_bytes()
    with attempt.store() as store:
        with store.transaction() as transaction:
            tree = transaction.build_tree("built")
            tree.file("one", BytesIO(large))
            tree.file("other", BytesIO(large))
            built = tree.add()
            info = transaction.add_file(attempt.folder / "large", "large")
        for each in (built, info):
            attempt.done("object", each.path)


def _keep_scratch(attempt: Attempt) -> None:
    with attempt.store() as store, store.scratch("work") as scratch:
        (scratch.path / "a").write_bytes(b"a")
        scratch.keep()


def _lock(attempt: Attempt) -> None:
    with attempt.store() as store, store.build_lock(KEY, lambda holder: None):
        attempt.done("store", "")


def _save_log(attempt: Attempt) -> None:
    with attempt.store() as store:
        store.save_log(KEY, attempt.folder / "log")
        with store.transaction() as transaction:
            transaction.add_bytes(b"what was built", "built")
        attempt.done("log", KEY)


def _damaged_store(attempt: Attempt) -> None:
    """A store with an object that is known to lack a file, which the pool has."""
    _some_store(attempt)
    with attempt.store() as store:
        with store.transaction() as transaction:
            info = transaction.add_directory(attempt.folder / "in", "thing")
        place = info.path.below(store.root)
        place.chmod(0o755)
        (place / "a").unlink()
        assert store.care().verify().damages


def _repair(attempt: Attempt) -> None:
    with attempt.store() as store:
        (path, *_) = store.care().withheld() or [
            info.path for info in store.find("thing")
        ]
        assert not store.care().repair().irreparable
        attempt.done("object", path)


def _verify(attempt: Attempt) -> None:
    with attempt.store() as store:
        assert not store.care().verify().damages


def _claimed_store(attempt: Attempt) -> None:
    _some_store(attempt)
    _claim_only(attempt)


def _rebuild(attempt: Attempt) -> None:
    with attempt.store():
        attempt.done("store", "")
    rebuilt = rebuild_database(attempt.root, clock=lambda: 2e9, effect=attempt.effect)
    assert not rebuilt.damages and not rebuilt.unreadable


def _save_log_only(attempt: Attempt) -> None:
    with attempt.store() as store:
        store.save_log(KEY, attempt.folder / "log")
        attempt.done("log", KEY)


def _link_root(attempt: Attempt) -> None:
    with attempt.store() as store:
        with store.transaction() as transaction:
            other = transaction.add_bytes(b"other", "other")
        (kept,) = store.find("kept")
        for info in (kept, other):
            store.link_root(attempt.folder / "result", info.path.below(store.root))
            attempt.done("root", "result")


def _make_generations(attempt: Attempt) -> None:
    with attempt.store() as store:
        (kept,) = store.find("kept")
        with store.transaction() as transaction:
            other = transaction.add_bytes(b"other", "other")
        for info in (kept, other):
            made = store.add_generation("name", [Member("it", info.path)])
            attempt.done("generation", f"name {made.number}")
        store.generations().switch("name", 1)


def _rooted_store(attempt: Attempt) -> None:
    """Two generations, one link, and what only the older one or nothing needs."""
    _some_store(attempt)
    with attempt.store() as store:
        (kept,) = store.find("kept")
        with store.transaction() as transaction:
            transaction.add_directory(attempt.folder / "in", "garbage")
            more = transaction.add_bytes(b"more garbage", "more")
            transaction.register(_claim(more, more))
            old = transaction.add_bytes(b"old", "old", references=[kept.path])
        store.save_log(KEY, attempt.folder / "log")
        store.link_root(attempt.folder / "result", kept.path.below(store.root))
        attempt.done("root", "result")
        for info in (old, kept):
            store.add_generation("name", [Member("it", info.path)])
        attempt.done("generation", "name 2")


def _collect(attempt: Attempt) -> None:
    with attempt.store() as store:
        garbage = [
            info.path for name in ("garbage", "more") for info in store.find(name)
        ]
        store.collector().collect(Policy(), lambda holder: None)
        for path in garbage:
            attempt.done("gone", path)


def _delete_generation(attempt: Attempt) -> None:
    with attempt.store() as store:
        generations = store.generations()
        numbers = [each.number for each in generations.of("name")]
        generations.delete("name", [number for number in numbers if number == 1])


def _remember(attempt: Attempt) -> None:
    with attempt.store() as store:
        store.remember("namespace", "name", b"value")
        store.touch(info.path for info in store.objects())


ADD: Final = Operation("add", _some_store, _add)

OPERATIONS: Final = (
    Operation("create", _no_store, _create),
    ADD,
    Operation("add more references", _some_store, _add_more_references),
    Operation("add again", _some_store, _add_unchanged),
    Operation("add what was built", _some_store, _consume),
    Operation("build a tree", _some_store, _build_tree),
    Operation("claim", _some_store, _claim_only),
    Operation("keep a failed build", _some_store, _keep_scratch),
    Operation("lock a key", _some_store, _lock),
    Operation("save a log", _some_store, _save_log),
    Operation("link a root", _some_store, _link_root),
    Operation("make generations", _some_store, _make_generations),
    Operation("delete a generation", _rooted_store, _delete_generation),
    Operation("collect garbage", _rooted_store, _collect),
    Operation("remember", _some_store, _remember),
    Operation("verify", _some_store, _verify),
    Operation("repair", _damaged_store, _repair),
    Operation("rebuild the database", _claimed_store, _rebuild),
)
"""Each must end well wherever it was cut off before."""

LARGE: Final = Operation("add large files", _large_file, _add_large)
"""Too large to look at it at every system call."""

AT_ONCE: Final = Operation("add at once", _some_store, _add_at_once)
"""Two processes that do the same."""

CARELESS: Final = Operation("careless", _some_store, _save_log_only)
"""Says too early that it is done."""
