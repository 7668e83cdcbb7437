"""Trees of many files are taken in by several processes, with the same result."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from fromager.store import Directory, StoreError, UnsupportedFile, open_store
from fromager.store.ingest import CROWD
from support.processes import Killer, fork, wait
from support.trees import damages, leftovers, on_disk

if TYPE_CHECKING:
    from fromager.store import LocalStore, ObjectInfo

FOLDERS: Final = 30
EACH: Final = CROWD // FOLDERS + 10


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """So many files that it is worth to share them out; a third has equals."""
    return make_crowd(tmp_path_factory.mktemp("crowd") / "in")


def make_crowd(top: Path) -> Path:
    for folder in range(FOLDERS):
        below = top / f"folder{folder:03}" / "below"
        below.mkdir(parents=True)
        for number in range(EACH):
            same = number % 3 == 0
            place = below / f"file{number}"
            place.write_bytes(b"%d" % number if same else b"%d %d" % (folder, number))
        place.chmod(0o755)
    (below / "large").write_bytes(b"large" * 300_000)
    (below / "link").symlink_to("large")
    return top


def add(store: LocalStore, source: Path, *, consume: bool = False) -> ObjectInfo:
    with store.transaction(2) as transaction:
        return transaction.add_directory(source, "crowd", consume=consume)


def children() -> set[int]:
    tasks = Path("/proc/self/task").iterdir()
    return {int(pid) for t in tasks for pid in (t / "children").read_text().split()}


def test_many_files_are_added_as_they_are(crowd: Path, tmp_path: Path) -> None:
    others = children()
    effects: list[str] = []
    with open_store(tmp_path / "store", effect=effects.append) as store:
        info = add(store, crowd)
        effects.clear()
        again = add(store, crowd)

        tree = on_disk(os.fsencode(crowd))
        assert isinstance(tree, Directory)
        assert again == info
        assert info.digest == tree.digest
        assert list(damages(store)) == []
        assert leftovers(store) == []
        assert set(effects) <= {"make staging", "remove folder"}
    assert children() == others


def test_equal_files_are_one_file_whoever_took_them_in(
    crowd: Path, tmp_path: Path
) -> None:
    with open_store(tmp_path / "store") as store:
        place = add(store, crowd).path.below(store.root)

        for number in (0, 3, 6):
            same = place.glob(f"*/below/file{number}")
            assert len({path.stat().st_ino for path in same}) == 1


def test_many_consumed_files_are_moved(tmp_path: Path) -> None:
    source = make_crowd(tmp_path / "in")
    tree = on_disk(os.fsencode(source))
    inodes = {path.stat().st_ino for path in source.rglob("*") if path.is_file()}

    with open_store(tmp_path / "store") as store:
        info = add(store, source, consume=True)

        place = info.path.below(store.root)
        assert on_disk(os.fsencode(place)) == tree
        kept = {path.stat().st_ino for path in place.rglob("*") if path.is_file()}
        assert kept <= inodes
        assert list(damages(store)) == []


def test_many_files_are_remembered(crowd: Path, tmp_path: Path) -> None:
    effects: list[str] = []
    with open_store(
        tmp_path / "store", clock=lambda: 4e9, effect=effects.append
    ) as store:
        with store.transaction(2) as transaction:
            info = transaction.add_directory(crowd, "crowd", remember=True)
        effects.clear()

        with store.transaction(2) as transaction:
            again = transaction.add_directory(crowd, "crowd", remember=True)

        assert again == info
        assert effects == []


@pytest.mark.parametrize("where", ["folder000", f"folder{FOLDERS - 1:03}"])
def test_a_file_that_cannot_be_added_is_named_whoever_met_it(
    tmp_path: Path, where: str
) -> None:
    others, source = children(), make_crowd(tmp_path / "in")
    odd = source / where / "below" / "file1"
    odd.chmod(0o4755)

    with open_store(tmp_path / "store") as store:
        with pytest.raises(UnsupportedFile, match=f"{where}/below/file1.*setuid"):
            add(store, source)

        assert store.objects() == ()
        assert leftovers(store) == []
    assert children() == others


def test_a_process_that_dies_while_it_helps_loses_nothing(
    crowd: Path, tmp_path: Path
) -> None:
    def kill(effect: str) -> None:
        if effect == "write blob":
            for child in children():
                os.kill(child, signal.SIGKILL)

    def add_and_fail() -> None:
        with (
            open_store(tmp_path / "store", effect=kill) as store,
            pytest.raises(StoreError, match="helping died"),
        ):
            add(store, crowd)

    # Where there are several threads, nobody helps: in a child there is one.
    assert wait(fork(add_and_fail)) == 0
    with open_store(tmp_path / "store") as store:
        assert (store.objects(), leftovers(store)) == ((), [])
        add(store, crowd)
        assert list(damages(store)) == []


def make_distinct(top: Path) -> Path:
    for folder in range(FOLDERS):
        below = top / f"folder{folder:03}"
        below.mkdir(parents=True)
        for number in range(EACH):
            (below / f"file{number}").write_bytes(b"%d of %d" % (number, folder))
    return top


def test_many_new_files_get_into_the_pool_though_another_was_quicker(
    tmp_path: Path,
) -> None:
    def add_both() -> None:
        with open_store(tmp_path / "store") as store:
            with store.transaction(2) as slow:
                info = slow.add_directory(source, "slow")
                with store.transaction() as quick:
                    quick.add_directory(source / "folder003", "quick")
            place = info.path.below(store.root)
            assert on_disk(os.fsencode(place)) == on_disk(os.fsencode(source))
            assert list(damages(store)) == []
            assert leftovers(store) == []
            inodes = {each.stat().st_ino for each in pool(store).rglob("*")}
            shared = [each.stat().st_ino in inodes for each in place.glob("*/file*")]
            assert shared.count(False) == EACH

    source = make_distinct(tmp_path / "in")
    assert wait(fork(add_both)) == 0


def pool(store: LocalStore) -> Path:
    return store.root / ".fromager" / "blobs"


def test_a_process_that_dies_while_it_helps_to_fill_the_pool_loses_nothing(
    tmp_path: Path,
) -> None:
    killed: list[int] = []

    def kill(effect: str) -> None:
        if effect == "link blob" and not killed:
            killed.extend(children())
            for child in killed:
                os.kill(child, signal.SIGKILL)

    def add_and_fail() -> None:
        with (
            open_store(tmp_path / "store", effect=kill) as store,
            pytest.raises(StoreError, match="helping died"),
        ):
            add(store, source)
        assert killed

    source = make_distinct(tmp_path / "in")
    assert wait(fork(add_and_fail)) == 0
    with open_store(tmp_path / "store") as store:
        assert store.objects() == ()
        add(store, source)
        assert list(damages(store)) == []


def test_a_process_that_is_killed_while_it_is_helped_leaves_a_sound_store(
    crowd: Path, tmp_path: Path
) -> None:
    asked = os.getpid()

    def add_until(killer: Killer) -> None:
        end, alive = os.pipe()

        def effect(name: str) -> None:
            if name == "write blob" and os.getppid() == asked:
                killer(name)
            elif name == "write blob" and not waited:
                # The one that helps goes on when the other one is gone.
                waited.append(name)
                os.close(alive)
                os.read(end, 1)

        waited: list[str] = []

        with open_store(tmp_path / "store", effect=effect) as store:
            add(store, crowd)

    for at in (1, 200):
        assert wait(fork(partial(add_until, Killer(at)))) == -signal.SIGKILL
        # The one that helped may be at work for a moment still.
        with open_store(tmp_path / "store") as store, store.transaction() as adding:
            adding.add_bytes(b"%d" % at, "other")
            assert list(damages(store)) == []

    with open_store(tmp_path / "store") as store:
        add(store, crowd)
        assert list(damages(store)) == []
