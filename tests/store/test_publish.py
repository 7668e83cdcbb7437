"""Publishing: all or nothing, whatever happens, alone or together."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from errno import EACCES, EDQUOT, EIO, ENOSPC, EROFS
from typing import TYPE_CHECKING

import pytest

from fromager.store import (
    Link,
    LocalStore,
    ObjectMissing,
    Realisation,
    StoreError,
    StoreFull,
    StorePath,
    StoreUnavailable,
    blob_digest,
    open_store,
)
from fromager.store.records import load_record
from support.processes import Killer, at_once
from support.trees import Program, Sketch, damages, leftovers, write_sketch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FOLDER: dict[str, Sketch] = {
    "a": b"content of a",
    "run": Program(b"#!"),
    "link": Link("a"),
    "sub": {"b": b"b", "same": b"b"},
}
KEY = blob_digest(b"key")


def build(store: LocalStore, source: Path) -> None:
    """One transaction as a build makes it: output, derivation, claim."""
    with store.transaction() as transaction:
        derivation = transaction.add_bytes(b"drv", "thing.drv")
        output = transaction.add_directory(
            source, "thing", references=[derivation.path]
        )
        transaction.register(
            Realisation(
                *(KEY, derivation.path, "wheel", "thing==1"),
                *(output.path, output.digest),
            )
        )


def count_effects(base: Path) -> int:
    counter = Killer(at=0)
    with open_store(base / "counted", effect=counter) as store:
        counter.count = 0
        build(store, write_sketch(base / "counted-in", FOLDER))
    return counter.count


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (ENOSPC, StoreFull),
        (EDQUOT, StoreFull),
        (EROFS, StoreUnavailable),
        (EACCES, StoreUnavailable),
        (EIO, StoreUnavailable),
    ],
)
def test_a_failure_at_any_effect_changes_nothing(
    tmp_path: Path, number: int, kind: type[StoreError]
) -> None:
    source = write_sketch(tmp_path / "in", FOLDER)
    fails: list[int] = [0]

    def fail(name: str) -> None:
        fails[0] -= 1
        if fails[0] == 0:
            raise OSError(number, os.strerror(number))

    with open_store(tmp_path / "store", effect=fail) as store:
        for at in range(1, count_effects(tmp_path) + 1):
            fails[0] = at
            try:
                build(store, source)
            except StoreError as error:
                assert isinstance(error, kind)
                assert error.hint
                assert store.objects() == ()
                assert [path.name for path in store.root.iterdir()] == [".fromager"]
                assert leftovers(store) == []
            else:
                # What an earlier attempt left in the pool saves effects.
                break
            assert list(damages(store)) == []
        fails[0] = 0
        build(store, source)
        assert list(damages(store)) == []


def test_an_interrupt_while_publishing_changes_nothing(tmp_path: Path) -> None:
    def interrupt(name: str) -> None:
        if name == "commit":
            raise KeyboardInterrupt

    with open_store(tmp_path / "store", effect=interrupt) as store:
        with pytest.raises(KeyboardInterrupt):
            build(store, write_sketch(tmp_path / "in", FOLDER))

        assert store.objects() == ()
        assert leftovers(store) == []


class Gate:
    """Holds the first sync until others have come to wait for theirs."""

    def __init__(self) -> None:
        self.open, self.reached = threading.Event(), threading.Event()
        self.names: list[str] = []

    def __call__(self, name: str) -> None:
        self.names.append(name)
        if name == "sync" and not self.reached.is_set():
            self.reached.set()
            assert self.open.wait(30)


def test_transactions_that_wait_are_published_together(tmp_path: Path) -> None:
    gate = Gate()
    prepared = threading.Barrier(41)

    with open_store(tmp_path / "store", effect=gate) as store:

        def add(number: int) -> None:
            with store.transaction() as transaction:
                transaction.add_bytes(b"%d" % number, f"blob-{number}")
                if number:
                    prepared.wait(30)

        with ThreadPoolExecutor(41) as threads:
            first = threads.submit(add, 0)
            assert gate.reached.wait(30)
            others = [threads.submit(add, number) for number in range(1, 41)]
            prepared.wait(30)
            gate.open.set()
            for future in (first, *others):
                future.result()

        assert len(store.objects()) == 41
        assert list(damages(store)) == []
        # The first one's, the second group's, and perhaps those of late ones.
        assert gate.names.count("sync") <= 10
        assert leftovers(store) == []


def test_one_that_makes_no_sense_does_not_spoil_the_others(tmp_path: Path) -> None:
    gate = Gate()
    nowhere = StorePath.of(blob_digest(b""), "nowhere")

    with open_store(tmp_path / "store", effect=gate) as store:

        def add(number: int, *references: StorePath) -> None:
            with store.transaction() as transaction:
                transaction.add_bytes(b"%d" % number, "blob", references=references)

        with ThreadPoolExecutor(3) as threads:
            first = threads.submit(add, 0)
            assert gate.reached.wait(30)
            bad, good = threads.submit(add, 1, nowhere), threads.submit(add, 2)
            gate.open.set()
            first.result()
            good.result()
            with pytest.raises(ObjectMissing):
                bad.result()

        assert len(store.objects()) == 2
        assert leftovers(store) == []


def overlapping(base: Path, number: int) -> Path:
    return write_sketch(
        base / f"in-{number}",
        {
            "own": b"%d" % number,
            "shared": {f"{n}": b"%d" % (n % 10) for n in range(30)},
            "some": {f"{n}": b"n%d" % n for n in range(number % 3, 20)},
        },
    )


def test_processes_add_overlapping_trees_at_once(tmp_path: Path) -> None:
    sources = [overlapping(tmp_path, number) for number in range(8)]

    def add(number: int) -> None:
        with open_store(tmp_path / "store") as store:
            for turn in range(8):
                source = sources[(number + turn) % 8]
                with store.transaction() as transaction:
                    transaction.add_directory(source, "tree")

    assert at_once(8, add) == [0] * 8
    with open_store(tmp_path / "store") as store:
        assert len(store.objects()) == 8
        assert list(damages(store)) == []
        assert leftovers(store) == []


def test_threads_add_overlapping_trees_at_once(
    store: LocalStore, tmp_path: Path
) -> None:
    sources = [overlapping(tmp_path, number) for number in range(8)]

    def add(number: int) -> None:
        for turn in range(8):
            with store.transaction() as transaction:
                transaction.add_directory(sources[(number + turn) % 8], "tree")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(8)))

    assert len(store.objects()) == 8
    assert list(damages(store)) == []
    assert leftovers(store) == []


@pytest.fixture
def run_with_little_space(tmp_path: Path) -> Callable[[str], str]:
    """Runs Python code in a folder with 3 MB of space."""

    def run(code: str) -> str:
        mount = f"mount -t tmpfs -o size=3m none {tmp_path} && cd {tmp_path}"
        unshare = ["unshare", "-m", "--propagation", "private", "sh", "-c"]
        if shutil.which("unshare") is None:
            pytest.skip("there is no unshare")
        if subprocess.run(
            [*unshare, mount], check=False, capture_output=True
        ).returncode:
            pytest.skip("file systems cannot be mounted")
        done = subprocess.run(
            [*unshare, f'{mount} && exec "$0" -c "$1"', sys.executable, code],
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


FULL = """
import os
from pathlib import Path
from fromager.store import StoreFull, open_store
with open_store(Path("store")) as store:
    with store.transaction() as transaction:
        kept = transaction.add_bytes(b"small", "small")
    free = os.statvfs(".").f_bavail
    for consume in (False, True):
        Path("in").mkdir()
        Path("in/a").write_bytes(os.urandom(900_000))
        Path("in/b").write_bytes(os.urandom(1_500_000))
        try:
            with store.transaction() as transaction:
                transaction.put_blob(os.urandom(700_000))
                transaction.add_directory(Path("in"), "tree", consume=False)
        except StoreFull as error:
            print(error.hint)
        for path in Path("in").iterdir():
            path.unlink()
        Path("in").rmdir()
        assert os.statvfs(".").f_bavail >= free, (free, os.statvfs(".").f_bavail)
    assert [info.path for info in store.objects()] == [kept.path]
    with store.transaction() as transaction:
        transaction.add_bytes(os.urandom(900_000), "fits")
    assert len(store.objects()) == 2
"""

NO_ROOM = """
from pathlib import Path
from fromager.store import StoreFull, open_store
with open("filler", "wb") as filler:
    try:
        while True:
            filler.write(bytes(65536))
            filler.flush()
    except OSError:
        pass
try:
    open_store(Path("store"))
except StoreFull as error:
    print(error.hint)
Path("filler").unlink()
with open_store(Path("store")) as store, store.transaction() as transaction:
    transaction.add_bytes(b"", "empty")
"""


@pytest.mark.parametrize("code", [FULL, NO_ROOM])
def test_a_full_disk_is_said_and_loses_nothing(
    run_with_little_space: Callable[[str], str], code: str
) -> None:
    assert "Free some space" in run_with_little_space(code)


def check_references(store: LocalStore, thing: StorePath, names: set[str]) -> None:
    """The database and the record know the same references; verifying agrees."""
    info = store.info(thing)
    assert info is not None
    assert {path.name for path in info.references} == names
    place = store.root / ".fromager" / "records" / f"{thing}.json"
    assert load_record(place.read_bytes()).references == info.references
    assert store.care().verify().damages == ()


def test_references_of_all_processes_that_publish_an_object_are_kept(
    tmp_path: Path,
) -> None:
    """One publishes it while the other one is about to, with another reference."""

    def publish(store: LocalStore, name: str) -> StorePath:
        with store.transaction() as transaction:
            reference = transaction.add_bytes(name.encode(), name)
            thing = transaction.add_bytes(
                b"thing", "thing", references=[reference.path]
            )
        return thing.path

    with open_store(tmp_path / "store") as quick:
        done: list[StorePath] = []

        def overtake(name: str) -> None:
            if name == "sync" and not done:
                done.append(publish(quick, "a"))

        with open_store(tmp_path / "store", effect=overtake) as slow:
            thing = publish(slow, "b")

            check_references(slow, thing, {"a", "b"})
            publish(quick, "a")
            check_references(slow, thing, {"a", "b"})
            publish(quick, "c")
            check_references(slow, thing, {"a", "b", "c"})


def test_references_of_all_threads_that_publish_together_are_kept(
    tmp_path: Path,
) -> None:
    gate = Gate()
    prepared = threading.Barrier(6)

    with open_store(tmp_path / "store", effect=gate) as store:

        def publish(number: int) -> StorePath:
            with store.transaction() as transaction:
                reference = transaction.add_bytes(b"%d" % number, f"blob-{number}")
                thing = transaction.add_directory(
                    tmp_path / "in", "thing", references=[reference.path]
                )
                if number:
                    prepared.wait(30)
            return thing.path

        write_sketch(tmp_path / "in", FOLDER)
        with ThreadPoolExecutor(6) as threads:
            first = threads.submit(publish, 0)
            assert gate.reached.wait(30)
            others = [threads.submit(publish, number) for number in range(1, 6)]
            prepared.wait(30)
            gate.open.set()
            things = {future.result() for future in (first, *others)}

        (thing,) = things
        check_references(store, thing, {f"blob-{number}" for number in range(6)})
        assert leftovers(store) == []


def test_what_is_gone_when_it_gets_more_references_is_not_valid_again(
    tmp_path: Path,
) -> None:
    """The object was collected, or found damaged, after it was looked up."""
    with open_store(tmp_path / "store") as store:
        with store.transaction() as transaction:
            thing = transaction.add_bytes(b"thing", "thing")
        place = thing.path.below(store.root)

        with pytest.raises(ObjectMissing), store.transaction() as transaction:
            other = transaction.add_bytes(b"other", "other")
            transaction.add_bytes(b"thing", "thing", references=[other.path])
            place.chmod(0o600)
            place.write_bytes(b"THING")
            assert store.care().verify().damaged == (thing.path,)

        assert store.info(thing.path) is None
