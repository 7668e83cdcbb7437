"""Operations of a store that are cut off: killed, or by a power cut, at any point.

An operation needs few lines: what is there before, what is done, and what it says is
done. The harness brings it to every end it can come to, and examines what is left.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EIO, ENOSPC
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from hypothesis import settings

from fromager.store import (
    Digest,
    LinkRefused,
    LocalStore,
    StoreError,
    StoreFull,
    StorePath,
    StoreUnavailable,
    open_store,
)
from support.disk import Disk, Inodes, data_lost, everything_lost, some_lost
from support.effects import watched
from support.processes import Killer, fork, wait
from support.soundness import faults
from support.syscalls import CHANGING, GROWING, Fail, Shorten, concerns, supervise
from support.trees import leftovers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.disk import Moment, Picture
    from support.syscalls import Call, Judgement

_T = TypeVar("_T")


def thoroughness() -> int:
    """How much more is tried than usual; the profile of hypothesis decides."""
    return max(1, settings.default.max_examples // 50) if settings.default else 1


_FREE: Final = ("store/.fromager/scratch/", "store/.fromager/cache/")
"""What builds and indexes do in their own folders is not the store's."""


class Attempt:
    """One run of an operation, in a folder with a store and what it is given."""

    def __init__(
        self,
        folder: Path,
        effect: Callable[[str], None] | None = None,
        channel: int | None = None,
    ) -> None:
        self.folder, self._effect, self._channel = folder, effect, channel
        self.said: list[str] = []

    @property
    def root(self) -> Path:
        """The store's root folder."""
        return self.folder / "store"

    @contextmanager
    def store(self) -> Iterator[LocalStore]:
        """The store, which is made if it is not there."""
        with open_store(self.root, effect=self.effect) as store:
            yield store

    @property
    def effect(self) -> Callable[[str], None]:
        """What is called before each effect."""
        return self._effect or _nothing

    def done(self, what: str, name: object) -> None:
        """From now on this must be there, whatever happens: see `is_there`."""
        self.said.append(f"{what} {name}")
        if self._channel is not None:
            os.write(self._channel, f"{what} {name}\n".encode())


@dataclass(frozen=True)
class Operation:
    """Something that is done to a store, which may be cut off and done again."""

    name: str
    prepare: Callable[[Attempt], None]
    """Makes what is there before; what it calls done must outlive every cut."""
    act: Callable[[Attempt], None]
    """Must succeed wherever it was cut off before, and be harmless when repeated."""

    def __str__(self) -> str:
        return self.name


def is_there(attempt: Attempt, store: LocalStore, statement: str) -> bool:
    """Whether what was called done is there."""
    what, name = statement.split(" ", 1)
    match what:
        case "store":
            return True
        case "object":
            return store.info(StorePath.parse(name)) is not None
        case "claim":
            return bool(store.realisations(Digest.parse(name)))
        case "log":
            return store.read_log(Digest.parse(name)) is not None
        case "root":
            link = attempt.folder / name
            listed = (store.root / ".fromager" / "roots" / "links").glob("*.json")
            known = {json.loads(each.read_bytes())["link"] for each in listed}
            return link.is_symlink() and str(link) in known
        case "generation":
            root, number = name.split()
            found = store.generations().of(root)
            return int(number) in {each.number for each in found}
        case "gone":
            return store.info(StorePath.parse(name)) is None
        case "fact":
            return store.recall("namespace", name) is not None
    raise AssertionError(f"{statement!r} cannot be checked")


def examine(operation: Operation, folder: Path, acknowledged: tuple[str, ...]) -> None:
    """What is left is a sound store with all that was done; the same succeeds in it."""
    again = Attempt(folder)
    if again.root.joinpath(".fromager", "version").exists() or acknowledged:
        with open_store(again.root, create=False) as store:
            wrong = faults(store)
            assert wrong == [], f"wrong: {wrong}"
            withheld = store.care().withheld()
            found = store.care().verify().damages
            assert [each for each in found if each.object not in withheld] == []
            lost = [what for what in acknowledged if not is_there(again, store, what)]
            assert lost == [], f"lost: {lost}"
    operation.act(again)
    with again.store() as store:
        assert faults(store) == []
        assert store.care().verify().damages == ()
        assert [what for what in again.said if not is_there(again, store, what)] == []
        # Whoever writes something new sweeps what the dead have left.
        with store.transaction() as transaction:
            transaction.add_bytes(os.urandom(8), "new")
        left = leftovers(store)
        assert left == [], left


def kill_at_every_effect(operation: Operation) -> list[str]:
    """Kill real processes at each named effect; the names, in order."""
    names: list[str] = []
    with prepared(operation) as (folder, before):
        operation.act(Attempt(folder, names.append))
    for at in range(1, len(names) + 1):
        with prepared(operation) as (folder, before), _explained(names[at - 1], at):

            def die(folder: Path = folder, at: int = at) -> None:
                operation.act(Attempt(folder, Killer(at)))

            assert wait(fork(die)) == -signal.SIGKILL
            examine(operation, folder, before)
    return names


def unannounced(operation: Operation) -> list[str]:
    """What the operation does to the disk without saying so before."""
    with prepared(operation) as (folder, _):
        with watched(folder, *_FREE) as watch:
            operation.act(Attempt(folder, watch.effect))
        return watch.unannounced


def kill_at_every_call(operation: Operation, *, most: int) -> int:
    """Examine the disk as it is before each system call; how many states there were.

    Where there are more than `most` calls, so many of them are taken.
    """

    def states(moments: list[Moment]) -> Iterator[tuple[Moment, Picture]]:
        for moment in _some(moments, most):
            yield moment, moment.picture

    return _examine_all(operation, states)


def cut_power(operation: Operation, *, most: int, samples: int, seed: int) -> int:
    """Examine what power cuts may leave; how many states there were.

    At each moment, or `most` of them: nothing that was not synced, and all of it but
    the bytes of files. Also so many `samples` of any of it.
    """
    chance = random.Random(seed)

    def states(moments: list[Moment]) -> Iterator[tuple[Moment, Picture]]:
        for moment in _some(moments, most):
            yield moment, everything_lost(moment)
            yield moment, data_lost(moment)
        for _ in range(samples):
            moment = chance.choice(moments)
            yield moment, some_lost(moment, chance)

    return _examine_all(operation, states)


@dataclass(frozen=True)
class Trouble:
    """What a disk does to those who use it, from one of their calls on."""

    name: str
    judgement: Fail | Shorten
    calls: frozenset[str]
    lasts: bool
    """Whether it goes on, or is over with the first call."""
    expected: tuple[type[StoreError], ...]
    """What may be told to the user; there may also be no error at all."""

    def __str__(self) -> str:
        return self.name


TROUBLES: Final = (
    Trouble(
        *("no space for one call", Fail(ENOSPC), GROWING),
        *(False, (StoreFull, StoreUnavailable, LinkRefused)),
    ),
    Trouble(
        *("no space any more", Fail(ENOSPC), GROWING),
        *(True, (StoreFull, StoreUnavailable, LinkRefused)),
    ),
    Trouble(
        *("one call fails", Fail(EIO), CHANGING),
        *(False, (StoreUnavailable, LinkRefused)),
    ),
    Trouble(
        *("nothing works any more", Fail(EIO), CHANGING),
        *(True, (StoreUnavailable, LinkRefused)),
    ),
    Trouble("short writes", Shorten(1), frozenset({"write", "pwrite64"}), False, ()),
)


def make_trouble(
    operation: Operation, trouble: Trouble, *, most: int
) -> dict[str, int]:
    """Let calls fail, one in each run; how often it ended how.

    Afterwards the store is sound, and all is well once the trouble is over.
    """
    ends: dict[str, int] = {}
    with prepared(operation) as (folder, before):
        inodes = Inodes()
        beginning = inodes.take(os.fsencode(folder))
        calls = [
            number
            for number, call in enumerate(_calls(operation, folder))
            if call in trouble.calls
        ]
        chance = random.Random(f"{operation} {trouble}")
        for number in chance.sample(calls, min(most, len(calls))):
            shutil.rmtree(folder)
            beginning.restore(folder)
            with _explained(str(trouble), number):
                said, end = _run_in_trouble(operation, folder, trouble, number)
                allowed = ("nothing", *(kind.__name__ for kind in trouble.expected))
                assert end in allowed, f"it ended with {end}"
                ends[end] = ends.get(end, 0) + 1
                examine(operation, folder, before + said)
        inodes.close()
    return ends


def _calls(operation: Operation, folder: Path) -> list[str]:
    """The names of the calls that an operation makes."""
    found: list[str] = []

    def note(call: Call) -> None:
        if _is_the_stores(call, folder):
            found.append(call.name)

    assert supervise(lambda: operation.act(Attempt(folder)), note) == 0
    return found


def _is_the_stores(call: Call, folder: Path) -> bool:
    """Whether a call is the store's own, and not about something being built."""
    scratch = os.fsencode(folder / "store" / ".fromager" / "scratch" / "x")[:-1]
    works = call.paths and all(path.startswith(scratch) for path in call.paths)
    return concerns(call, folder) and not works


def _run_in_trouble(
    operation: Operation, folder: Path, trouble: Trouble, number: int
) -> tuple[tuple[str, ...], str]:
    """What was called done, and the name of the error that ended it, or `nothing`."""
    count = -1
    reading, writing = os.pipe()

    def judge(call: Call) -> Judgement:
        nonlocal count
        if not _is_the_stores(call, folder):
            return None
        count += 1
        hit = count == number or (trouble.lasts and count > number)
        return trouble.judgement if hit and call.name in trouble.calls else None

    def act() -> None:
        try:
            operation.act(Attempt(folder, None, writing))
        except StoreError as error:
            assert error.hint
            os.write(writing, f"\nended {type(error).__name__}".encode())

    try:
        assert supervise(act, judge) == 0
        os.close(writing)
        with open(reading, "rb", closefd=False) as pipe:
            lines = pipe.read().decode().split("\n")
    finally:
        os.close(reading)
    ended = [line.removeprefix("ended ") for line in lines if line[:6] == "ended "]
    said = tuple(line for line in lines if line and line[:6] != "ended ")
    return said, ended[0] if ended else "nothing"


def _some(all_of_them: list[_T], most: int) -> list[_T]:
    """At most so many, spread over all."""
    return all_of_them[:: max(1, -(-len(all_of_them) // most))]


def record(operation: Operation, folder: Path, before: tuple[str, ...]) -> list[Moment]:
    """The moments of an operation, which must succeed."""
    reading, writing = os.pipe()
    try:
        disk = Disk(folder, writing)
        code = supervise(lambda: operation.act(Attempt(folder, None, writing)), disk)
        disk.end()
    finally:
        os.close(reading)
        os.close(writing)
    assert code == 0
    return disk.moments


def _examine_all(
    operation: Operation,
    states: Callable[[list[Moment]], Iterator[tuple[Moment, Picture]]],
) -> int:
    with prepared(operation) as (folder, before):
        moments = record(operation, folder, before)
        seen: set[tuple[int, tuple[str, ...]]] = set()
        for moment, picture in states(moments):
            key = (picture.fingerprint, moment.acknowledged)
            if key in seen:
                continue
            seen.add(key)
            shutil.rmtree(folder)
            picture.restore(folder)
            with _explained(moment.following, len(seen)):
                examine(operation, folder, before + moment.acknowledged)
    return len(seen)


@contextmanager
def prepared(operation: Operation) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """A folder in which the operation can begin, and what is done there."""
    with quick_folder() as base:
        attempt = Attempt(base / "disk")
        attempt.folder.mkdir()
        operation.prepare(attempt)
        yield attempt.folder, tuple(attempt.said)


@contextmanager
def quick_folder() -> Iterator[Path]:
    """A folder in memory, if there is such: what is slow about disks is not tested."""
    memory: Final = Path("/dev/shm")
    place = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place) as folder:
        yield Path(folder)


@contextmanager
def _explained(following: str, number: int) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        error.add_note(f"cut off before {following} (state {number})")
        raise


def _nothing(name: str) -> None:
    return
