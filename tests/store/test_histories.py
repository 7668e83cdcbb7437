"""Random histories of a store, each answer compared with that of a pure model."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fromager.store import (
    File,
    LocalStore,
    Member,
    ObjectDamaged,
    ObjectMissing,
    Policy,
    Realisation,
    blob_digest,
    open_store,
)
from support.crashes import quick_folder, thoroughness
from support.processes import Killer, fork, wait
from support.soundness import faults
from support.store_model import AddBlob, AddTree, Claim, Step, StoreModel
from support.trees import Program, Sketch, leftovers, tree_of, write_sketch

if TYPE_CHECKING:
    from collections.abc import Callable

    from fromager.store import Directory, ObjectInfo, StorePath

EVERYTHING = Policy(keep_derivations=False, keep_build_closure=False, thorough=True)
KEYS = [blob_digest(b"key %d" % number) for number in range(3)]
NAMES = st.sampled_from(["a", "b", "thing-1.0"])
CONTENTS = st.sampled_from([b"", b"1", b"12", b"123", b"other"])
WHICH = st.integers(0, 30)
"""One of those that are there, counted around."""


@dataclass(frozen=True)
class WishedBlob:
    """A blob to add, with some of the objects there are as references."""

    content: bytes
    name: str
    which: list[int]


@dataclass(frozen=True)
class WishedTree:
    """A folder to add."""

    sketch: dict[str, Sketch]
    name: str
    which: list[int]


@dataclass(frozen=True)
class WishedClaim:
    """A realisation to register, of objects that are there."""

    key: int
    output: int
    derivation: int
    started: int


Wish: TypeAlias = WishedBlob | WishedTree | WishedClaim

SOME = st.lists(WHICH, max_size=2)
LEAVES = st.one_of(CONTENTS, CONTENTS.map(Program))
SKETCHES = st.dictionaries(
    st.sampled_from(["x", "y", "z"]),
    LEAVES | st.fixed_dictionaries({"in": CONTENTS}),
    max_size=3,
)
WISHES = st.lists(
    st.builds(WishedBlob, CONTENTS, NAMES, SOME)
    | st.builds(WishedTree, SKETCHES, NAMES, SOME)
    | st.builds(WishedClaim, st.integers(0, 2), WHICH, WHICH, st.integers(0, 3)),
    min_size=1,
    max_size=4,
)


@dataclass(frozen=True)
class Source:
    """Somewhere that has all objects, as they were added."""

    model: StoreModel
    name: str = "elsewhere"

    def restore(self, path: StorePath, folder: Path) -> Path:
        node = self.model.known[path].node
        if isinstance(node, File):
            (folder / "blob").write_bytes(self.model.contents[node])
            return folder / "blob"
        return write_sketch(folder / "tree", _sketch(node, self.model.contents))


class Histories(RuleBasedStateMachine):
    """A store, its model, and a second process's view of the same store."""

    def __init__(self) -> None:
        super().__init__()
        self.cleanup = ExitStack()
        self.folder = self.cleanup.enter_context(quick_folder())
        self.now = 1_800_000_000
        self.model = StoreModel()
        self.store = self.open()
        self.other = self.open()
        self.reading: list[tuple[int, File]] = []
        self.count = 0

    def teardown(self) -> None:
        for descriptor, _ in self.reading:
            os.close(descriptor)
        self.store.close()
        self.other.close()
        self.cleanup.close()

    def open(self, effect: Callable[[str], None] = lambda name: None) -> LocalStore:
        return open_store(
            self.folder / "store", clock=lambda: float(self.now), effect=effect
        )

    @rule(wishes=WISHES, by_other=st.booleans())
    def commit(self, wishes: list[Wish], by_other: bool) -> None:
        """What a transaction returns is what is then true."""
        steps = self.resolve(wishes)
        store = self.other if by_other else self.store
        added = perform(store, steps, self.sources())
        self.model = self.model.after(steps, self.now)
        for info in {each.path: each for each in added}.values():
            assert info == self.model.info(info.path)

    @rule(wishes=WISHES)
    def abandon(self, wishes: list[Wish]) -> None:
        """A transaction that fails changes nothing."""
        with pytest.raises(KeyError):
            perform(self.store, self.resolve(wishes), self.sources(), fail=True)

    @rule(wishes=WISHES, at=st.integers(1, 60))
    def die(self, wishes: list[Wish], at: int) -> None:
        """A process that is killed has added all or nothing, whoever else is at work."""
        steps, sources = self.resolve(wishes), self.sources()

        def work() -> None:
            with self.open(Killer(at)) as store:
                perform(store, steps, sources)

        code = wait(fork(work))
        after = self.model.after(steps, self.now)
        assert code in (0, -signal.SIGKILL)
        # Each object is what it was, so one whose files were deleted may be whole again.
        lost = {path for path in self.model.lost if self.store.info(path) is None}
        claimed = sum(len(self.store.producers(path)) for path in after.known)
        all_of_it = self.store.objects() == after.objects()
        if code == 0:
            assert lost == after.lost
        if code == 0 or (all_of_it and claimed == len(after.claims)):
            self.model = after
        self.model = replace(self.model, lost=frozenset(lost))

    @rule(seconds=st.integers(-1000, 1000))
    def time_goes_on_or_back(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = self.open()

    @precondition(lambda self: self.model.known)
    @rule(which=WHICH)
    def delete(self, which: int) -> None:
        """Somebody deletes an object's files."""
        path = self.pick(which)
        place = path.below(self.store.root)
        if place.is_dir():
            for folder, folders, _ in os.walk(place):
                for name in folders:
                    Path(folder, name).chmod(0o700)
            place.chmod(0o700)
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
        self.model = self.model.without(path)

    @precondition(lambda self: self.model.known)
    @rule(which=WHICH, heal=st.booleans())
    def change_bytes(self, which: int, heal: bool) -> None:
        """Somebody changes the bytes of a file, or puts them right again."""
        path = self.pick(which)
        files = [f for _, f in self.model.files(path) if self.model.contents[f]]
        if not files:
            return
        file = files[which % len(files)]
        content = self.model.contents[file]
        place = self.store.path_of_blob(file)
        if not place.exists():
            return
        mode = place.stat().st_mode
        place.chmod(0o644)
        place.write_bytes(content if heal else b"!" * len(content))
        place.chmod(mode)
        os.utime(place, ns=(1_000_000_000, 1_000_000_000))
        model = self.model
        self.model = model.healed(file) if heal else model.with_damage(file)

    @precondition(lambda self: self.model.known)
    @rule(which=WHICH)
    def root(self, which: int) -> None:
        """A named root keeps an object, and all that it needs."""
        path = self.pick(which)
        if path not in self.model.lost:
            self.count += 1
            self.store.add_generation(f"root-{self.count}", [Member("it", path)])
            self.model = self.model.rooted(f"root-{self.count}", path)

    @precondition(lambda self: self.model.roots)
    @rule(which=WHICH)
    def unroot(self, which: int) -> None:
        roots = sorted(self.model.roots)
        name = roots[which % len(roots)][0]
        self.other.generations().delete(name)
        self.model = self.model.unrooted(name)

    @rule(at=st.integers(0, 80))
    def collect(self, at: int) -> None:
        """All goes that no root reaches, and nothing else, though one was killed at it."""
        # Who has a store open keeps what it has come to rely on.
        self.store.close()
        self.other.close()

        def work(effect: Callable[[str], None] = lambda name: None) -> None:
            with self.open(effect) as store:
                store.collector().collect(EVERYTHING, lambda holder: None)

        if at:
            assert wait(fork(lambda: work(Killer(at)))) in (0, -signal.SIGKILL)
        work()
        self.store, self.other = self.open(), self.open()
        after = self.model.collected()
        self.stop_reading(self.model.corrupt - after.corrupt)
        self.model = after

    @rule()
    def mend(self) -> None:
        """What was damaged is found, all of it, and made whole from somewhere else."""
        damaged = self.model.lost | {
            path
            for path in self.model.known
            if any(file in self.model.corrupt for _, file in self.model.files(path))
        }
        self.store.care().verify()
        assert set(self.store.care().withheld()) == damaged
        repairs = self.other.care().repair(restorers=[Source(self.model)])
        assert repairs.irreparable == ()
        assert self.store.care().verify().damages == ()
        self.stop_reading(self.model.corrupt)
        self.model = replace(self.model, lost=frozenset(), corrupt=frozenset())

    @precondition(lambda self: self.model.known)
    @rule(which=WHICH)
    def begin_to_read(self, which: int) -> None:
        """A reader that has opened a file keeps what it opened."""
        path = self.pick(which)
        if path not in self.model.lost:
            for at, file in self.model.files(path)[:1]:
                place = path.below(self.store.root) / (at or "")
                flags = os.O_RDONLY | os.O_CLOEXEC
                self.reading.append((os.open(place, flags), file))

    @rule(name=NAMES, value=st.binary(max_size=3))
    def remember(self, name: str, value: bytes) -> None:
        self.store.remember("namespace", name, value)
        assert self.other.recall("namespace", name) == value

    @invariant()
    def all_answers_agree(self) -> None:
        model = self.model
        for store in (self.store, self.other):
            assert store.objects() == model.objects()
            for path in model.known:
                assert store.info(path) == model.info(path)
            for key in KEYS:
                assert store.realisations(key) == model.realisations(key)
        for path, known in model.known.items():
            assert self.store.closure([path]) == model.closure([path])
            assert self.store.producers(path) == model.producers(path)
            if path in model.lost:
                with pytest.raises(ObjectMissing):
                    self.store.tree(path)
            else:
                assert self.store.tree(path) == known.node
                self.check_files(path)
        for prefix in ("a", "thing", "b", "blake3:a"):
            assert self.store.find(prefix) == model.find(prefix)
        for descriptor, file in self.reading:
            if file not in model.corrupt:
                content = os.pread(descriptor, 100, 0)
                assert content == model.contents[file]

    @invariant()
    def the_disk_is_sound(self) -> None:
        if not (self.model.lost or self.model.corrupt):
            assert faults(self.store) == []

    @rule()
    def work_is_swept_up(self) -> None:
        """What those who were killed have left goes when something new is written."""
        self.store.close()
        self.store = self.open()
        with self.store.transaction() as transaction:
            transaction.put_blob(os.urandom(8))
        assert leftovers(self.store) == []

    def stop_reading(self, files: frozenset[File]) -> None:
        """Those who had opened a file while it was damaged still have that one."""
        kept = [row for row in self.reading if row[1] not in files]
        for descriptor, _ in set(self.reading) - set(kept):
            os.close(descriptor)
        self.reading = kept

    def check_files(self, path: StorePath) -> None:
        """Each file is read as it was added, or refused."""
        for at, file in self.model.files(path):
            if file in self.model.corrupt:
                with pytest.raises(ObjectDamaged):
                    self.store.read_file(path, at)
            else:
                content = self.store.read_file(path, at)
                assert content == self.model.contents[file]

    def pick(self, which: int) -> StorePath:
        known = sorted(self.model.known, key=str)
        return known[which % len(known)]

    def sources(self) -> Path:
        self.count += 1
        return self.folder / f"in-{self.count}"

    def resolve(self, wishes: list[Wish]) -> list[Step]:
        """The steps that are wished for, as far as there is what they refer to."""
        steps: list[Step] = []
        known = sorted(self.model.known, key=str)
        valid = [path for path in known if path not in self.model.lost]
        for wish in wishes:
            match wish:
                case WishedBlob(content, name, which):
                    file = File(blob_digest(content), False, len(content))
                    steps.append(AddBlob(content, file, name, _some(valid, which)))
                case WishedTree(sketch, name, which):
                    tree = tree_of(sketch)
                    files = tuple(_contents(tree, sketch))
                    steps.append(AddTree(tree, files, name, _some(valid, which)))
                case WishedClaim() if valid:
                    steps.append(Claim(_claim(self.model, valid, wish)))
        return steps


def _some(valid: list[StorePath], which: list[int]) -> frozenset[StorePath]:
    return frozenset(valid[number % len(valid)] for number in which if valid)


def _claim(model: StoreModel, valid: list[StorePath], wish: WishedClaim) -> Realisation:
    output = valid[wish.output % len(valid)]
    return Realisation(
        key=KEYS[wish.key],
        derivation=valid[wish.derivation % len(valid)],
        kind="wheel",
        subject="thing==1",
        output=output,
        output_digest=model.known[output].node.digest,
        started=wish.started,
    )


def _contents(tree: Directory, sketch: dict[str, Sketch]) -> list[tuple[File, bytes]]:
    found = []
    for path, node in tree.walk():
        content: Sketch = sketch
        for part in path.split("/"):
            assert isinstance(content, dict)
            content = content[part]
        if isinstance(content, Program):
            content = content.content
        assert isinstance(node, File) and isinstance(content, bytes)
        found.append((node, content))
    return found


def perform(
    store: LocalStore, steps: list[Step], sources: Path, *, fail: bool = False
) -> list[ObjectInfo]:
    """Do the steps in one transaction, which fails in the end if it shall."""
    added = []
    with store.transaction() as transaction:
        for number, step in enumerate(steps):
            match step:
                case AddBlob(content, _, name, references):
                    added.append(
                        transaction.add_bytes(content, name, references=references)
                    )
                case AddTree(tree, files, name, references):
                    folder = sources / str(number)
                    write_sketch(folder, _sketch(tree, dict(files)))
                    added.append(
                        transaction.add_directory(
                            folder, name, consume=number % 2 == 1, references=references
                        )
                    )
                case Claim(realisation):
                    transaction.register(realisation)
        if fail:
            raise KeyError
    return added


def _sketch(tree: Directory, contents: dict[File, bytes]) -> dict[str, Sketch]:
    found: dict[str, Sketch] = {}
    for name, node in tree.entries:
        if isinstance(node, File):
            content = contents[node]
            found[name] = Program(content) if node.executable else content
        elif not hasattr(node, "target"):
            found[name] = _sketch(node, contents)
    return found


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=25 * thoroughness(),
    stateful_step_count=20,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
