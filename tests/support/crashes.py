"""Operations of a store that are cut off: killed, or by a power cut, at any point.

An operation needs few lines: what is there before, what is done, and what it says is
done. The harness brings it to every end it can come to, and examines what is left.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fromager.store import Digest, LocalStore, StorePath, open_store
from support.disk import Disk, data_lost, everything_lost, some_lost
from support.effects import watched
from support.processes import Killer, fork, wait
from support.soundness import faults
from support.syscalls import supervise
from support.trees import leftovers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.disk import Moment, Picture

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
        with open_store(self.root, effect=self._effect or _nothing) as store:
            yield store

    def done(self, what: str, name: object) -> None:
        """From now on this must be there, whatever happens: see `is_there`."""
        self.said.append(f"{what} {name}")
        if self._channel is not None:
            os.write(self._channel, f"{what} {name}".encode())


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
            listed = (store.root / ".fromager" / "roots" / "links").iterdir()
            return link.is_symlink() and link in {each.readlink() for each in listed}
        case "fact":
            return store.recall("namespace", name) is not None
    raise AssertionError(f"{statement!r} cannot be checked")


def examine(operation: Operation, folder: Path, acknowledged: tuple[str, ...]) -> None:
    """What is left is a sound store with all that was done; the same succeeds in it."""
    again = Attempt(folder)
    if again.root.joinpath(".fromager", "version").exists() or acknowledged:
        with open_store(again.root, create=False) as store:
            assert faults(store) == []
            lost = [what for what in acknowledged if not is_there(again, store, what)]
            assert lost == [], f"lost: {lost}"
    operation.act(again)
    with again.store() as store:
        assert faults(store) == []
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


def _some(moments: list[Moment], most: int) -> list[Moment]:
    return moments[:: -(-len(moments) // most)]


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
