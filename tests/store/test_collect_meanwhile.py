"""Collecting garbage while others work, and being stopped in the middle of it."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from concurrent.futures import ThreadPoolExecutor
from errno import EIO, ENOSPC
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fromager.store import (
    Collected,
    Directory,
    File,
    LocalStore,
    ObjectMissing,
    Policy,
    StoreError,
    StorePath,
    blob_digest,
    open_store,
    rebuild_database,
)
from support.garbage import add, claim, here, root, stray
from support.processes import Killer, at_once, fork, wait
from support.trees import damages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW = 1_800_000_000


@pytest.fixture
def quick() -> Iterator[Path]:
    """A folder in memory where there is one: most of the time the disk is waited for."""
    memory = Path("/dev/shm")
    usable = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=usable) as folder:
        yield Path(folder)


@pytest.fixture
def place(quick: Path) -> Path:
    return quick / "store"


def clock() -> float:
    return float(NOW)


def collect(
    place: Path,
    policy: Policy | None = None,
    effect: Callable[[str], None] = lambda name: None,
    waiting: Callable[[str], None] = lambda holder: None,
) -> Collected:
    with open_store(place, effect=effect, clock=clock) as store:
        return store.collector().collect(policy or Policy(), waiting)


class At:
    """Does something once, before an effect of that name, as another process would."""

    def __init__(self, name: str, work: Callable[[], object]) -> None:
        self.name, self.work, self.done = name, work, False

    def __call__(self, name: str) -> None:
        if name == self.name and not self.done:
            self.done = True
            with ThreadPoolExecutor(1) as threads:
                threads.submit(self.work).result()


def sound(place: Path) -> list[str]:
    with open_store(place) as store:
        return [*damages(store), *stray(store)]


def everything(place: Path, tmp_path: Path) -> None:
    """A store with all that a collection deals with."""
    with open_store(place, clock=lambda: NOW - 1000.0) as store:
        kept = add(store, "kept", b"kept", b"shared")
        for number in range(2):
            base = add(store, f"base{number}")
            top = add(store, f"top{number}", b"shared", b"%d" % number,
                      references=[base.path])  # fmt: skip
            claim(store, f"built{number}", top)
            root(store, "old", top)
        root(store, "mine", kept)
        root(store, "old", kept)
        store.link_root(tmp_path / "link", add(store, "linked").path.below(store.root))
        with store.scratch("failed") as scratch:
            (scratch.path / "file").write_bytes(b"x")
            scratch.keep()
    (tmp_path / "link").unlink(missing_ok=True)


POLICY = Policy(keep_generations=1, keep_records=False, failed_after=-1_000_000_000)


def count_effects(tmp_path: Path) -> int:
    counter = Killer(at=0)
    everything(tmp_path / "counted", tmp_path)
    collect(tmp_path / "counted", POLICY, counter)
    return counter.count


def test_a_kill_at_any_effect_leaves_a_sound_store_and_the_job_is_finished(
    quick: Path,
) -> None:
    effects = count_effects(quick)
    assert effects > 30

    for at in range(1, effects + 1):
        place = quick / f"store-{at}"
        everything(place, quick)

        def die(place: Path = place, at: int = at) -> None:
            collect(place, POLICY, Killer(at))

        assert wait(fork(die)) == -signal.SIGKILL
        with open_store(place) as store:
            assert list(damages(store)) == []
            kept = next(i for i in store.objects() if i.path.name == "kept")
            assert store.read_file(kept.path, "f1") == b"shared"
            # Whatever was being deleted can be added again.
            again = add(store, "top0", b"shared", b"0")
            assert store.read_file(again.path, "f1") == b"0"
            assert list(damages(store)) == []
        collect(place, POLICY)
        with open_store(place) as store:
            assert here(store) == {"kept"}
            assert [*damages(store), *stray(store)] == []


@pytest.mark.parametrize("number", [EIO, ENOSPC])
def test_a_failure_at_any_effect_leaves_a_sound_store(quick: Path, number: int) -> None:
    def fail(name: str) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise OSError(number, os.strerror(number))

    for at in range(1, count_effects(quick) + 1, 3):
        place, left = quick / f"store-{at}", [at]
        everything(place, quick)

        try:
            collect(place, POLICY, fail)
        except StoreError as error:
            assert error.hint
        with open_store(place) as store:
            assert list(damages(store)) == []
        collect(place, POLICY)
        with open_store(place) as store:
            assert here(store) == {"kept"}
        assert sound(place) == []


def test_a_publication_that_fails_leaves_nothing_to_the_next_collection(
    place: Path,
) -> None:
    def fail(name: str) -> None:
        if name == "commit":
            raise OSError(EIO, "no")

    with open_store(place, effect=fail) as store, pytest.raises(StoreError):
        add(store, "tree", b"content")
    assert sound(place) != []

    done = collect(place)

    assert done.freed.count == 1
    assert sound(place) == []


def test_what_a_process_relies_on_stays_until_it_dies(place: Path) -> None:
    with open_store(place) as store:
        base = add(store, "base")
        used = add(store, "used", b"used", references=[base.path])
        add(store, "unused")
    ready, go_on = os.pipe(), os.pipe()

    def use() -> None:
        with open_store(place) as store:
            assert store.rely_on([used.path, used.path]) == {used.path}
            add(store, "made", b"made")
            os.write(ready[1], b"x")
            os.read(go_on[0], 1)

    child = fork(use)
    os.read(ready[0], 1)

    assert collect(place).objects == 1
    with open_store(place, create=False) as store:
        assert here(store) == {"base", "used", "made"}
        (use_by,) = [
            use
            for use in store.accounts().roots()
            if use.roots[0].name.startswith(f"process {child} ")
        ]
        assert use_by.objects == 3
        reason = store.accounts().why_alive(base.path)
        assert reason is not None
        assert f"process {child} " in reason.root.name

    os.kill(child, signal.SIGKILL)
    wait(child)
    assert collect(place).objects == 3
    assert sound(place) == []


def test_what_was_collected_cannot_be_relied_on(place: Path) -> None:
    with open_store(place) as store:
        info = add(store, "gone", b"gone")
    with open_store(place) as reader:
        assert reader.info(info.path) is not None
        collect(place)

        assert reader.rely_on([info.path]) == frozenset()
        with pytest.raises(ObjectMissing):
            reader.tree(info.path)
        with pytest.raises(ObjectMissing):
            root(reader, "mine", info)
        with pytest.raises(ObjectMissing):
            reader.link_root(place.parent / "link", info.path.below(place))
    assert not (place.parent / "link").is_symlink()


def test_a_root_made_meanwhile_is_respected(place: Path) -> None:
    with open_store(place, clock=lambda: NOW - 10.0) as store:
        with store.transaction() as transaction:
            infos = [
                transaction.add_bytes(b"%d" % number, f"o{number}")
                for number in range(1100)
            ]
        wanted = infos[-1]

    def make_root() -> None:
        with open_store(place) as other:
            root(other, "mine", wanted)

    # Before the first chunk's files go, and after its rows went.
    done = collect(place, effect=At("delete blob", make_root))

    assert done.objects == 1099
    with open_store(place) as store:
        assert here(store) == {"o1099"}
    assert sound(place) == []


def test_a_reference_made_meanwhile_is_respected(place: Path) -> None:
    with open_store(place) as store:
        base = add(store, "base", b"base")
        middle = add(store, "middle", references=[base.path])
        for info in (middle, add(store, "other")):
            root(store, "old", info)

    def refer() -> None:
        with open_store(place) as other:
            add(other, "new", b"new", references=[middle.path])

    # The plan is made, and that process has ended when it is carried out.
    done = collect(place, Policy(keep_generations=1), At("delete generation", refer))

    assert done.objects == 0
    with open_store(place) as store:
        assert here(store) == {"base", "middle", "new", "other"}
    assert sound(place) == []


def test_a_blob_that_a_transaction_saw_in_the_pool_stays_for_it(place: Path) -> None:
    with open_store(place) as store:
        add(store, "gone", b"counted on")

    with open_store(place) as writer, writer.transaction() as transaction:
        file = transaction.put_blob(b"counted on")
        done = collect(place)
        assert (done.objects, done.postponed) == (1, 1)
        made = transaction.add_tree(Directory.of({"f": file}), "made")
    with open_store(place) as store:
        assert store.read_file(made.path, "f") == b"counted on"
        assert list(damages(store)) == []
        assert writer.path_of_blob(file).read_bytes() == b"counted on"
        root(store, "mine", made)

    collect(place)

    assert sound(place) == []


@pytest.mark.parametrize("killed", [False, True])
def test_a_blob_that_is_linked_while_it_is_taken_out_is_put_back(
    place: Path, killed: bool
) -> None:
    with open_store(place) as store:
        add(store, "gone", b"content")
    ready, go_on = os.pipe(), os.pipe()

    def make() -> None:
        with open_store(place) as writer, writer.transaction() as transaction:
            file = transaction.put_blob(b"content")
            os.write(ready[1], b"x")
            os.read(go_on[0], 1)
            made = transaction.add_tree(Directory.of({"f": file}), "made")
            os.write(ready[1], b"x")
            os.read(go_on[0], 1)
        with open_store(place) as store:
            root(store, "mine", made)

    def let_it_link() -> None:
        os.write(go_on[1], b"x")
        os.read(ready[0], 1)

    def work() -> None:
        # It was looked at, and nothing linked it.
        at = At("trash blob", let_it_link)

        def effect(name: str) -> None:
            at(name)
            if killed and name == "restore blob":
                os.kill(os.getpid(), signal.SIGKILL)

        collect(place, effect=effect)

    writer = fork(make)
    os.read(ready[0], 1)
    assert wait(fork(work)) == (-signal.SIGKILL if killed else 0)
    os.write(go_on[1], b"x")
    assert wait(writer) == 0

    with open_store(place) as store:
        (made,) = store.objects()
        tree = store.tree(made.path)
        assert isinstance(tree, Directory)
        assert isinstance(file := tree.get("f"), File)
        assert store.path_of_blob(file).read_bytes() == b"content"
    collect(place)
    assert sound(place) == []


def test_files_that_two_processes_added_at_once_are_both_counted(place: Path) -> None:
    contents = [b"%d" % number for number in range(20)]

    def work(number: int) -> None:
        with open_store(place) as store:
            add(store, f"by{number}", *contents, b"own %d" % number)

    with open_store(place):
        pass
    for attempt in range(3):
        assert at_once(4, work) == [0] * 4
        with open_store(place) as store:
            infos = {info.path.name: info for info in store.objects()}
            root(store, "mine", infos[f"by{attempt}"])

        collect(place)

        with open_store(place) as store:
            assert here(store) == {f"by{attempt}"}
            for content in contents:
                digits = blob_digest(content).hex
                assert (place / ".fromager/blobs" / digits[:2] / digits[2:]).is_file()
            store.generations().delete("mine")
        collect(place)
        assert sound(place) == []


def test_two_collections_go_one_after_the_other(place: Path) -> None:
    with open_store(place) as store:
        add(store, "gone", b"gone")
    told: list[str] = []
    first, ready = os.pipe(), os.pipe()

    def work() -> None:
        def pause() -> None:
            os.write(ready[1], b"x")
            os.read(first[0], 1)

        collect(place, effect=At("delete object", pause))

    def tell(holder: str) -> None:
        told.append(holder)
        os.write(first[1], b"x")

    child = fork(work)
    os.read(ready[0], 1)

    assert collect(place, waiting=tell).objects == 0
    assert wait(child) == 0
    assert [text.split()[:2] for text in told] == [["process", str(child)]]
    assert sound(place) == []


def test_builders_and_collectors_at_once_lose_nothing(place: Path) -> None:
    """Each builder has what it added or found, to its own end, whoever collects."""

    def build(store: LocalStore, number: int) -> None:
        contents = [b"%d" % ((number + each) % 7) * 100 for each in range(4)]
        base = add(store, f"base{number % 3}", *contents)
        top = add(store, f"top{number % 5}", contents[0], references=[base.path])
        claim(store, f"built{number % 5}", top)
        for info in (base, top):
            assert store.info(info.path) is not None
            tree = store.tree(info.path)
            assert isinstance(tree, Directory)
            for name, node in tree.walk():
                assert store.read_file(info.path, name)
                assert isinstance(node, File)
                assert store.path_of_blob(node).is_file()

    def work(number: int) -> None:
        for turn in range(12):
            if number < 2:
                collect(place)
            else:
                with open_store(place) as store:
                    for each in range(3):
                        build(store, number + turn + each)
                    assert lost(store) == []

    with open_store(place):
        pass
    assert at_once(5, work) == [0] * 5

    collect(place, Policy(thorough=True))
    assert sound(place) == []
    with open_store(place) as store:
        assert here(store) == set()


def lost(store: LocalStore) -> list[StorePath]:
    """What this process relies on, and is not there any more."""
    relied_on = store.rely_on(info.path for info in store.objects())
    return [path for path in relied_on if not path.below(store.root).exists()]


def test_garbage_is_collected_beside_verifying(place: Path) -> None:
    """What goes meanwhile is not taken for damaged."""
    with open_store(place, clock=lambda: NOW - 10.0) as store:
        kept = add(store, "kept", *(b"kept %d" % number for number in range(50)))
        root(store, "mine", kept)

    def work(number: int) -> None:
        for turn in range(8):
            with open_store(place, clock=clock) as store:
                if number == 0:
                    collect(place)
                elif number == 1:
                    found = store.care().verify()
                    assert found.damages == ()
                else:
                    for each in range(20):
                        contents = [b"%d %d" % (turn, each), b"%d" % each, b"shared"]
                        add(store, f"by{turn}-{each}", *contents)

    assert at_once(3, work) == [0] * 3

    collect(place, Policy(thorough=True))
    with open_store(place) as store:
        assert here(store) == {"kept"}
        found = store.care().verify()
        assert (found.damages, found.leftovers) == ((), ())
    assert sound(place) == []


def test_the_database_is_made_anew_beside_a_collection(place: Path) -> None:
    with open_store(place) as store:
        root(store, "mine", add(store, "kept", b"kept", b"shared"))
        for number in range(30):
            add(store, f"o{number}", b"%d" % number, b"shared")

    def rebuild() -> None:
        rebuild_database(place, clock=clock)

    # Rows went, and the files of some of them.
    done = collect(place, effect=At("delete object", rebuild))

    assert done.objects == 30
    collect(place)
    with open_store(place) as store:
        assert here(store) == {"kept"}
        assert [each.number for each in store.generations().of("mine")] == [1]
        assert store.care().verify().damages == ()
    assert sound(place) == []


def test_what_is_damaged_goes_like_anything_else(place: Path) -> None:
    with open_store(place) as store:
        kept = add(store, "kept", b"kept", b"shared")
        root(store, "mine", kept)
        lost = add(store, "lost", b"lost", b"shared")
        gone = add(store, "gone", b"gone")
        claim(store, "lost", lost)
    (lost.path.below(place) / "f0").chmod(0o644)
    (lost.path.below(place) / "f0").write_bytes(b"LOST")
    gone.path.below(place).rename(place.parent / "elsewhere")
    with open_store(place) as store:
        assert store.care().verify().damages != ()

    assert collect(place).objects == 3

    with open_store(place) as store:
        assert here(store) == {"kept"}
        assert store.care().verify().damages == ()
    shutil.rmtree(place.parent / "elsewhere")
    collect(place, Policy(thorough=True))
    assert sound(place) == []


def test_what_was_got_back_from_the_trash_goes_in_the_end(place: Path) -> None:
    with open_store(place) as store:
        add(store, "gone", b"content")
    with open_store(place) as first, first.transaction() as early:
        early.put_blob(b"content")
        collect(place)
        with open_store(place) as second, second.transaction() as late:
            # It counts on the pool as well, and finds the blob in the trash.
            late.put_blob(b"other")
            file = File(blob_digest(b"content"), size=len(b"content"))
            late.add_tree(Directory.of({"f": file}), "made")
        assert collect(place).postponed == 1

    collect(place)

    assert sound(place) == []
