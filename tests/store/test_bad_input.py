"""What is added may be anything: it is held as it is, or refused by name."""

from __future__ import annotations

import os
import signal
import stat
import unicodedata
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING

import pytest

from fromager.store import (
    Directory,
    File,
    InvalidRecord,
    Link,
    LocalStore,
    ObjectInfo,
    StoreError,
    UnsupportedFile,
    blob_digest,
    open_store,
)
from support.crashes import quick_folder
from support.processes import fork, wait
from support.soundness import faults
from support.trees import leftovers, on_disk, tree_of, write_sketch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.trees import Sketch

NAMES = {
    "line feed": "a\nb",
    "escape sequence": "\x1b[31mred\x1b[0m",
    "delete": "\x7f",
    "bell": "\a",
    "backslash": "a\\b",
    "blanks": "  ",
    "leading dash": "-rf",
    "wildcard": "*?[a]",
    "two dots and more": "...",
    "longest": "n" * 255,
    "longest in bytes": "é" * 127,
    "not UTF-8": b"\xff\xfe".decode("utf-8", "surrogateescape"),
    "right to left": "\u202egnp.exe",
    "private folder's": ".fromager",
}
BAD_NAMES = {
    "empty": "",
    "here": ".",
    "above": "..",
    "separator": "a/b",
    "zero": "a\0b",
    "300 bytes": "n" * 300,
    "256 bytes": "é" * 128,
    "lone surrogate": "\ud800",
    "surrogates of UTF-8": "é".encode().decode("ascii", "surrogateescape"),
}


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can reach."""
    with quick_folder() as folder:
        folder.chmod(0o755)
        yield folder


def add(store: LocalStore, source: Path) -> ObjectInfo:
    with store.transaction() as transaction:
        return transaction.add_directory(source, "tree")


@pytest.mark.parametrize("name", NAMES.values(), ids=list(NAMES))
def test_any_name_that_a_disk_can_hold_is_kept(
    store: LocalStore, tmp_path: Path, name: str
) -> None:
    sketch: dict[str, Sketch] = {name: b"file", "in": {name: {}}, "to": Link(name)}

    info = add(store, write_sketch(tmp_path / "in", sketch))

    assert on_disk(os.fsencode(info.path.below(store.root))) == tree_of(sketch)
    assert store.read_file(info.path, name) == b"file"
    assert faults(store) == []


@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=list(BAD_NAMES))
def test_a_name_that_no_disk_can_hold_is_refused(store: LocalStore, name: str) -> None:
    with pytest.raises(InvalidRecord):
        Directory.of({name: Link("aim")})
    with pytest.raises(StoreError), store.transaction() as transaction:
        tree = transaction.build_tree("tree")
        tree.file(f"folder/{name}/file", BytesIO(b""))
        tree.file(f"folder/{name}", BytesIO(b""))
        tree.add()

    assert store.objects() == ()
    assert leftovers(store) == []


def test_names_that_differ_in_case_or_normal_form_only_are_different(
    store: LocalStore, tmp_path: Path
) -> None:
    names = [
        "name",
        "Name",
        "NAME",
        *(unicodedata.normalize(f, "é") for f in ("NFC", "NFD")),
    ]
    sketch: dict[str, Sketch] = {name: name.encode() for name in names}

    info = add(store, write_sketch(tmp_path / "in", sketch))

    assert [store.read_file(info.path, name) for name in names] == list(sketch.values())
    assert faults(store) == []


@pytest.mark.parametrize("name", ["../escaped", "a/../../escaped", "/escaped"])
def test_a_tree_that_is_built_does_not_reach_outside(
    store: LocalStore, name: str
) -> None:
    with pytest.raises(UnsupportedFile), store.transaction() as transaction:
        tree = transaction.build_tree("tree")
        tree.file("a/first", BytesIO(b""))
        tree.file(name, BytesIO(b"written"))

    assert list(store.root.rglob("escaped")) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK])
def test_a_device_is_refused(store: LocalStore, tmp_path: Path, kind: int) -> None:
    source = write_sketch(tmp_path / "in", {"ok": b""})
    try:
        os.mknod(source / "device", kind | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("devices cannot be made here")

    with pytest.raises(UnsupportedFile, match="device"):
        add(store, source)

    assert leftovers(store) == []


def test_folders_too_deep_to_be_named_are_refused_and_swept(
    open_folder: Path,
) -> None:
    source = open_folder / "deep"
    source.mkdir()
    descriptor = os.open(source, os.O_RDONLY)
    for _ in range(4096):
        os.mkdir("d", dir_fd=descriptor)
        below = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)

    with open_store(open_folder / "store") as store:
        for consume in (False, True):
            with (
                pytest.raises(UnsupportedFile, match="too deep"),
                store.transaction() as transaction,
            ):
                transaction.add_directory(source, "tree", consume=consume)

        assert leftovers(store) == []
        with store.scratch("work") as scratch:
            source.rename(scratch.path / "deep")
        assert leftovers(store) == []


def test_one_file_under_many_names_is_one_file(
    store: LocalStore, tmp_path: Path
) -> None:
    source = write_sketch(tmp_path / "in", {"one": b"content", "sub": {}})
    for number in range(50):
        (source / "sub" / str(number)).hardlink_to(source / "one")

    info = add(store, source)

    assert info.size == 51 * len(b"content")
    assert store.path_of_blob(File(blob_digest(b"content"))).stat().st_nlink == 52


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
@pytest.mark.parametrize("which", ["file", "folder"])
def test_what_may_not_be_read_is_named(open_folder: Path, which: str) -> None:
    source = write_sketch(open_folder / "in", {"file": b"secret", "folder": {"a": b""}})
    (source / which).chmod(0)
    (open_folder / "place").mkdir()
    (open_folder / "place").chmod(0o777)

    def work() -> None:
        os.setgid(65534)
        os.setuid(65534)
        with open_store(open_folder / "place" / "store") as store:
            with pytest.raises(UnsupportedFile, match=f"{which}: cannot be read"):
                add(store, source)
            assert store.objects() == ()
            assert leftovers(store) == []

    assert wait(fork(work)) == 0


@contextmanager
def meanwhile(work: Callable[[], None]) -> Iterator[None]:
    """Another process that does this over and over."""

    def repeat() -> None:
        while True:
            work()

    child = fork(repeat)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        wait(child)


HOLE = 4 << 20


@pytest.mark.parametrize(
    "layout",
    [(0, 1), (1, 0), (1, 0, 1), (0, 1, 0, 1, 0), (0,)],
    ids=str,
)
def test_a_file_with_holes_is_held_with_holes(
    store: LocalStore, tmp_path: Path, layout: tuple[int, ...]
) -> None:
    source = tmp_path / "file"
    with source.open("wb") as stream:
        for full in layout:
            if full:
                stream.write(b"x" * 5000)
            stream.truncate(stream.seek(HOLE, os.SEEK_CUR))
    expected = blob_digest(source.read_bytes())

    with store.transaction() as transaction:
        info = transaction.add_file(source, "file")

    held = info.path.below(store.root).stat()
    assert (info.digest, held.st_size) == (expected, source.stat().st_size)
    assert held.st_blocks <= source.stat().st_blocks + 64
    assert faults(store) == []


def test_each_refusal_says_what_can_be_done(store: LocalStore, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"")
    program.chmod(0o4755)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"1")
    with store.transaction() as transaction:
        folder = transaction.add_directory(tmp_path / "folder", "folder").path

    with (
        pytest.raises(UnsupportedFile) as setuid,
        store.transaction() as transaction,
    ):
        transaction.add_file(program, "program")
    with pytest.raises(UnsupportedFile) as no_file:
        store.read_file(folder)

    assert setuid.value.hint == "Take these bits from it, or leave it out"
    assert no_file.value.hint == "Name a file in it"


def test_a_path_of_thousands_of_folders_is_told_by_its_ends(tmp_path: Path) -> None:
    error = UnsupportedFile(tmp_path / ("d/" * 4000) / "leaf", "no")

    assert len(str(error)) < 500
    assert str(error).startswith(str(tmp_path)[:100])
    assert str(error).endswith("d/d/leaf: no")


def rewrite(place: Path, sizes: tuple[int, ...]) -> None:
    for size in sizes:
        place.write_bytes(os.urandom(1) * size)


def append(place: Path) -> None:
    with place.open("ab") as stream:
        stream.write(b"more" * 1000)
    if place.stat().st_size > 3_000_000:
        os.truncate(place, 0)


def replace(place: Path) -> None:
    place.unlink(missing_ok=True)
    place.symlink_to("elsewhere")
    place.unlink()
    place.mkdir()
    place.rmdir()
    place.write_bytes(b"a file again")


@pytest.mark.parametrize(
    "change",
    [
        partial(rewrite, sizes=(10, 20_000)),
        partial(rewrite, sizes=(1_500_000, 1_600_000)),
        append,
        replace,
    ],
    ids=["small", "large", "growing", "replaced"],
)
def test_a_file_that_changes_while_it_is_added_is_one_of_what_it_was_or_refused(
    store: LocalStore, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    source = write_sketch(tmp_path / "in", {"stable": b"stable", "changing": b""})

    with meanwhile(partial(change, source / "changing")):
        for _ in range(25):
            try:
                info = add(store, source)
            except UnsupportedFile as error:
                assert "changing" in str(error)
            else:
                assert store.read_file(info.path, "stable") == b"stable"

    assert faults(store) == []
    assert leftovers(store) == []
