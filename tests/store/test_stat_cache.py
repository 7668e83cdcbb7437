"""What is unchanged is not read again, and what has changed is never taken for it."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from fromager.store import Digest, LocalStore, blob_digest, open_store
from fromager.store.file_status import Folder
from fromager.store.stat_cache import (
    KEPT,
    WORTH,
    Learnt,
    Memory,
    dump_memory,
    load_memory,
)
from support.trees import Program, Sketch, damages, leftovers, sketches, write_sketch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

    from fromager.store import ObjectInfo, Transaction

FUTURE: Final = 4_000_000_000.0
"""Long after every file of a test was changed, in seconds since the epoch."""

FOLDER: Final[dict[str, Sketch]] = {
    "a": b"first",
    "b": b"other",
    "run": Program(b"text"),
    "sub": {"c": b"c", "empty": {}},
}


class Opened:
    """Hears which files are opened; an audit hook cannot be taken away again."""

    def __init__(self) -> None:
        self.paths: list[bytes] | None = None

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.paths is not None and event == "open":
            path = arguments[0]
            if isinstance(path, (str, bytes)):
                self.paths.append(os.fsencode(path))


OPENED: Final = Opened()
sys.addaudithook(OPENED)


@contextmanager
def opened(folder: Path) -> Iterator[list[str]]:
    """The names of the files below the folder that were opened in the block."""
    found: list[str] = []
    OPENED.paths = []
    try:
        yield found
    finally:
        prefix = os.fsencode(folder) + b"/"
        names = {p[len(prefix) :] for p in OPENED.paths if p.startswith(prefix)}
        found += sorted(
            os.fsdecode(n) for n in names if (folder / os.fsdecode(n)).is_file()
        )
        OPENED.paths = None


def store_at(base: Path, now: float = FUTURE) -> LocalStore:
    return open_store(base / "store", clock=lambda: now)


def add(store: LocalStore, source: Path) -> ObjectInfo:
    with store.transaction() as transaction:
        return add_to(transaction, source)


def add_to(transaction: Transaction, source: Path) -> ObjectInfo:
    if source.is_dir():
        return transaction.add_directory(source, "it", remember=True)
    return transaction.add_file(source, "it", remember=True)


def read_anew(store: LocalStore, source: Path) -> ObjectInfo:
    with store.transaction() as transaction:
        return transaction.add_directory(source, "it")


def let_time_pass(folder: Path) -> None:
    """Return when the file system's clock shows another time than now."""
    probe = folder / "probe"
    probe.write_bytes(b"")
    before = probe.stat().st_ctime_ns
    while probe.stat().st_ctime_ns == before:
        probe.chmod(0o600)


def rewrite(place: Path, content: bytes) -> None:
    """Change a file, and set the time of modification that it had."""
    before = place.stat()
    place.write_bytes(content)
    os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_folder_that_is_unchanged_is_not_read_again(tmp_path: Path) -> None:
    source = write_sketch(tmp_path / "in", FOLDER)
    effects: list[str] = []
    with open_store(
        tmp_path / "store", clock=lambda: FUTURE, effect=effects.append
    ) as store:
        first = add(store, source)
        effects.clear()

        with opened(source) as names:
            again = add(store, source)
        assert effects == []

    assert again == first
    assert names == []


def test_a_file_that_is_unchanged_is_not_read_again(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    source = tmp_path / "in" / "file"
    source.write_bytes(bytes(WORTH))
    another = b"1".rjust(WORTH, b"\0")
    with store_at(tmp_path) as store:
        first = add(store, source)

        with opened(tmp_path / "in") as names:
            again = add(store, source)
        rewrite(source, another)
        changed = add(store, source)

    assert again == first
    assert names == []
    assert changed.digest == blob_digest(another)


def test_a_small_file_is_read_again_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    source = tmp_path / "in" / "file"
    source.write_bytes(bytes(WORTH - 1))
    effects: list[str] = []
    with open_store(
        tmp_path / "store", clock=lambda: FUTURE, effect=effects.append
    ) as store:
        first = add(store, source)
        effects.clear()

        with opened(tmp_path / "in") as names:
            again = add(store, source)

        assert again == first
        assert names == ["file"]
        assert effects == []
        assert not (store.root / ".fromager/cache/stat").exists()


def test_another_process_knows_what_one_learnt(tmp_path: Path) -> None:
    source = write_sketch(tmp_path / "in", FOLDER)
    with store_at(tmp_path) as store:
        first = add(store, source)

    with store_at(tmp_path) as store, opened(source) as names:
        assert add(store, source) == first

    assert names == []


def test_only_what_has_changed_is_read(tmp_path: Path) -> None:
    source = write_sketch(tmp_path / "in", FOLDER)
    with store_at(tmp_path) as store:
        add(store, source)
        let_time_pass(tmp_path)
        rewrite(source / "b", b"OTHER")
        (source / "sub" / "new").write_bytes(b"new")

        with opened(source) as names:
            info = add(store, source)

        assert names == ["b", "sub/new"]
        assert info == read_anew(store, source)
        assert list(damages(store)) == []
        assert leftovers(store) == []


def test_a_file_of_the_same_size_and_time_is_noticed(tmp_path: Path) -> None:
    source = write_sketch(tmp_path / "in", FOLDER)
    with store_at(tmp_path) as store:
        before = add(store, source)
        let_time_pass(tmp_path)
        rewrite(source / "a", b"FIRST")

        after = add(store, source)

        assert after.digest != before.digest
        assert store.read_file(after.path, "a") == b"FIRST"


def test_a_file_put_in_the_place_of_another_is_noticed(tmp_path: Path) -> None:
    source = write_sketch(tmp_path / "in", FOLDER)
    with store_at(tmp_path) as store:
        before = add(store, source)
        let_time_pass(tmp_path)
        status = (source / "a").stat()
        (source / "a").unlink()  # so that its inode may be used again
        (source / "a").write_bytes(b"FIRST")
        os.utime(source / "a", ns=(status.st_atime_ns, status.st_mtime_ns))

        assert add(store, source).digest != before.digest


def test_two_files_that_are_swapped_are_noticed(tmp_path: Path) -> None:
    source = write_sketch(tmp_path / "in", FOLDER)
    for name in ("a", "b"):
        os.utime(source / name, ns=(5, 5))
    with store_at(tmp_path) as store:
        before = add(store, source)
        (source / "a").rename(tmp_path / "aside")
        (source / "b").rename(source / "a")
        (tmp_path / "aside").rename(source / "b")

        after = add(store, source)

        assert after.digest != before.digest
        assert store.read_file(after.path, "a") == b"other"


def test_what_was_changed_just_before_it_was_read_is_read_again(
    tmp_path: Path,
) -> None:
    source = write_sketch(tmp_path / "in", FOLDER)
    now = max(p.stat().st_ctime for p in source.rglob("*")) + 1
    with store_at(tmp_path, now) as store:
        first = add(store, source)

        with opened(source) as names:
            again = add(store, source)

    assert again == first
    assert names == ["a", "b", "run", "sub/c"]


def test_all_is_read_again_when_the_clock_was_set_back(tmp_path: Path) -> None:
    source = write_sketch(tmp_path / "in", FOLDER)
    with store_at(tmp_path) as store:
        first = add(store, source)

    with store_at(tmp_path, FUTURE - 1) as store, opened(source) as names:
        assert add(store, source) == first

    assert names == ["a", "b", "run", "sub/c"]


def test_a_file_from_the_future_is_read_again(tmp_path: Path) -> None:
    source = write_sketch(tmp_path / "in", FOLDER)
    with store_at(tmp_path, 1_000_000_000.0) as store:
        first = add(store, source)

        with opened(source) as names:
            assert add(store, source) == first

    assert names == ["a", "b", "run", "sub/c"]


def test_all_is_read_again_after_the_machine_was_started_anew(tmp_path: Path) -> None:
    source = write_sketch(tmp_path / "in", FOLDER)
    with store_at(tmp_path) as store:
        first = add(store, source)
    (place,) = (tmp_path / "store/.fromager/cache/stat").iterdir()
    memory = load_memory(place.read_bytes())
    assert memory is not None
    other = Memory(memory.digest, memory.began, b"another boot", memory.folders)
    place.write_bytes(dump_memory(other))

    with store_at(tmp_path) as store, opened(source) as names:
        assert add(store, source) == first

    assert names == ["a", "b", "run", "sub/c"]


def test_an_object_that_is_gone_is_made_anew(tmp_path: Path) -> None:
    source = write_sketch(tmp_path / "in", FOLDER)
    with store_at(tmp_path) as store:
        first = add(store, source)
        place = first.path.below(store.root)
        place.chmod(0o700)
        place.rename(tmp_path / "gone")
        blob = blob_digest(b"first").hex
        (store.root / ".fromager/blobs" / blob[:2] / blob[2:]).unlink()

        with opened(source) as names:
            again = add(store, source)

        assert again == first
        assert names == ["a"]
        assert list(damages(store)) == []


def test_another_name_needs_no_reading(tmp_path: Path) -> None:
    source = write_sketch(tmp_path / "in", FOLDER)
    with store_at(tmp_path) as store:
        first = add(store, source)

        with opened(source) as names, store.transaction() as transaction:
            other = transaction.add_directory(source, "other", remember=True)

        assert (other.digest, other.path.name) == (first.digest, "other")
        assert names == []
        assert list(damages(store)) == []


def test_nothing_is_remembered_unless_it_is_asked_for(tmp_path: Path) -> None:
    source = write_sketch(tmp_path / "in", FOLDER)
    with store_at(tmp_path) as store:
        read_anew(store, source)

        assert not (store.root / ".fromager/cache/stat").exists()


def test_what_was_learnt_longest_ago_is_forgotten(tmp_path: Path) -> None:
    with store_at(tmp_path) as store:
        for number in range(KEPT + 3):
            add(store, write_sketch(tmp_path / f"in{number}", {"a": b"%d" % number}))

        kept = list((store.root / ".fromager/cache/stat").iterdir())
        with opened(tmp_path / f"in{KEPT + 2}") as names:
            add(store, tmp_path / f"in{KEPT + 2}")

    assert len(kept) == KEPT
    assert names == []


def test_of_many_that_are_added_at_once_the_last_are_remembered(
    tmp_path: Path,
) -> None:
    folders = [
        write_sketch(tmp_path / f"in{number}", {"a": b"%d" % number})
        for number in range(KEPT + 3)
    ]
    with store_at(tmp_path) as store:
        with store.transaction() as transaction:
            for folder in folders:
                add_to(transaction, folder)

        kept = list((store.root / ".fromager/cache/stat").iterdir())
        with opened(folders[-1]) as names:
            add(store, folders[-1])

    assert len(kept) == KEPT
    assert names == []


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_torn_or_changed_memory_is_none(data: st.DataObject) -> None:
    content = dump_memory(some_memory())
    cut = data.draw(st.integers(0, len(content) - 1))
    flipped = bytearray(content)
    flipped[cut] ^= data.draw(st.integers(1, 255))

    assert load_memory(content[:cut]) is None
    assert load_memory(bytes(flipped)) is None
    assert load_memory(content + b"\0") is None


@given(st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_other_bytes_are_no_memory(content: bytes) -> None:
    assert load_memory(content) is None


def test_a_memory_is_read_back() -> None:
    assert load_memory(dump_memory(some_memory())) == some_memory()


def some_memory() -> Memory:
    folders = {
        b"": Learnt(Folder(b"a\0b", b"12"), b"34"),
        b"b": Learnt(Folder(b"", b""), b""),
    }
    return Memory(Digest(b"d" * 32), 7, b"boot", folders)


EDITS: Final = ("rewrite", "delete", "program", "link", "folder", "touch", "swap")


def test_whatever_happens_to_a_folder_what_is_added_is_what_it_holds(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    base = tmp_path_factory.mktemp("edited")

    with store_at(base) as store, open_store(base / "plain") as plain:

        @given(sketches(), st.data())
        @settings(max_examples=40, deadline=None)
        def check(sketch: dict[str, Sketch], data: st.DataObject) -> None:
            source = write_sketch(base / os.urandom(8).hex(), sketch)
            for _ in range(3):
                assert add(store, source).digest == read_anew(plain, source).digest
                let_time_pass(base)
                places = sorted(p for p in source.rglob("*") if not p.is_symlink())
                for place in (
                    data.draw(st.lists(st.sampled_from(places), max_size=3))
                    if places
                    else ()
                ):
                    edit(place, data.draw(st.sampled_from(EDITS)))
            assert add(store, source).digest == read_anew(plain, source).digest

        check()
        assert list(damages(store)) == []


def edit(place: Path, how: str) -> None:
    """Change what lies there, if it is a file still."""
    if not place.is_file() or place.is_symlink():
        return
    match how:
        case "rewrite":
            rewrite(place, bytes(byte ^ 1 for byte in place.read_bytes()))
        case "delete":
            place.unlink()
        case "program":
            place.chmod(place.stat().st_mode ^ 0o100)
        case "link":
            place.unlink()
            place.symlink_to("a")
        case "folder":
            place.unlink()
            place.mkdir()
        case "touch":
            os.utime(place)
        case "swap":
            new = place.with_name("swapped")
            place.rename(new)
            place.write_bytes(b"instead")
