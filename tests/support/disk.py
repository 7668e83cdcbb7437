"""What a folder is on disk at one moment, and what a power cut may make of it.

A `Picture` holds inodes, so that hard links and renames stay what they are. `Disk`
follows a process (see `support.syscalls`): it takes a picture before each change, and
knows of each file and folder which states of it a sync has made durable.

What a power cut leaves is then a choice: of each inode, and of each name in each
folder, its last durable state or any later one; of file content also a torn mixture.
A folder that was moved is in one place only, as on all journaling file systems.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from stat import S_IMODE, S_ISDIR, S_ISLNK
from typing import TYPE_CHECKING, Final, TypeAlias

from support.syscalls import SYNCS, concerns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from random import Random

    from support.syscalls import Call

SECTOR: Final = 512
"""What a disk writes whole, in bytes."""


@dataclass(frozen=True, slots=True)
class Regular:
    """A file's inode."""

    mode: int
    mtime: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Symbolic:
    """A symbolic link's inode."""

    mtime: int
    target: bytes


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder's inode; names and the numbers of inodes."""

    mode: int
    mtime: int
    entries: tuple[tuple[bytes, int], ...]


Inode: TypeAlias = Regular | Symbolic | Folder


@dataclass(frozen=True)
class Picture:
    """A folder with all below it."""

    top: int
    inodes: dict[int, Inode]

    def restore(self, place: Path) -> None:
        """Make the folder, which is not there, as it was; hard links included."""
        made: dict[int, bytes] = {}
        later: list[tuple[bytes, Folder]] = []
        pending = [(os.fsencode(place), self.top)]
        while pending:
            path, number = pending.pop()
            if number in made:
                os.link(made[number], path, follow_symlinks=False)
                continue
            match self.inodes[number]:
                case Folder() as folder:
                    os.mkdir(path, 0o700)
                    later.append((path, folder))
                    pending += [(path + b"/" + n, i) for n, i in folder.entries]
                    continue
                case Regular(mode, mtime, content):
                    with open(path, "xb") as stream:
                        stream.write(content)
                    os.chmod(path, mode)
                case Symbolic(mtime, target):
                    os.symlink(target, path)
            os.utime(path, ns=(mtime, mtime), follow_symlinks=False)
            made[number] = path
        for path, folder in reversed(later):
            os.chmod(path, folder.mode)
            os.utime(path, ns=(folder.mtime, folder.mtime))

    @property
    def fingerprint(self) -> int:
        """Equal for pictures of the same files; times of change do not matter."""
        return hash(frozenset(self._rows()))

    def _rows(self) -> Iterator[tuple[bytes, object]]:
        pending = [(b"", self.top)]
        while pending:
            path, number = pending.pop()
            inode = self.inodes[number]
            if isinstance(inode, Folder):
                yield path, inode.mode
                pending += [(path + b"/" + name, n) for name, n in inode.entries]
            elif isinstance(inode, Regular):
                yield path, (number, inode.mode, inode.content)
            else:
                yield path, inode.target


@dataclass
class Inodes:
    """The numbers of inodes, held open so that none is given out again."""

    _held: dict[int, int] = field(default_factory=dict)

    def take(self, top: bytes) -> Picture:
        """A picture of the folder as it is now."""
        inodes: dict[int, Inode] = {}
        pending = [top]
        while pending:
            path = pending.pop()
            status = os.lstat(path)
            number = status.st_ino
            if number in inodes:
                continue
            if number not in self._held:
                flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
                self._held[number] = os.open(path, flags)
            mode, mtime = S_IMODE(status.st_mode), status.st_mtime_ns
            if S_ISDIR(status.st_mode):
                with os.scandir(path) as found:
                    entries = sorted((e.name, e.inode()) for e in found)
                pending += [path + b"/" + name for name, _ in entries]
                inodes[number] = Folder(mode, mtime, tuple(entries))
            elif S_ISLNK(status.st_mode):
                inodes[number] = Symbolic(mtime, os.readlink(path))
            else:
                with open(path, "rb") as stream:
                    inodes[number] = Regular(mode, mtime, stream.read())
        return Picture(os.lstat(top).st_ino, inodes)

    def close(self) -> None:
        """Let the inodes go."""
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held.clear()


@dataclass(frozen=True)
class Moment:
    """The disk between two system calls of a process."""

    picture: Picture
    """What a process sees that starts now; what is left if this one is killed."""
    versions: Mapping[int, tuple[tuple[int, Inode], ...]]
    """Of each inode all states since the last durable one, with their times."""
    durable: frozenset[int]
    """Inodes whose first state is durable; the others may have come to nothing."""
    acknowledged: tuple[str, ...]
    """What the process had been told is done."""
    following: str
    """The call that comes next, for messages."""

    def states(self, number: int) -> tuple[Inode, ...]:
        """What an inode may be after a power cut, oldest first."""
        states = tuple(inode for _, inode in self.versions[number])
        if number in self.durable:
            return states
        match states[0]:
            case Regular(content=b"") | Symbolic():
                return states
            case Regular():
                return (replace(states[0], content=b""), *states)
            case Folder():
                return (replace(states[0], entries=()), *states)


class Disk:
    """Follows what one process does to a folder, as a judge of its system calls."""

    def __init__(self, top: Path, acknowledgements: int = -1) -> None:
        """What is written to the descriptor `acknowledgements` is not of the disk."""
        self._folder, self._top = top, os.fsencode(top)
        self._acknowledgements = acknowledgements
        self._inodes = Inodes()
        self._syncing: dict[int, dict[int, int]] = {}
        self._acknowledged: list[str] = []
        self.moments: list[Moment] = []
        # All that is there at the beginning has been there for long.
        picture = self._inodes.take(self._top)
        self._versions = {n: [(0, inode)] for n, inode in picture.inodes.items()}
        self._durable = set(picture.inodes)

    def __call__(self, call: Call) -> None:
        """Keep what was before the call."""
        if call.name == "write" and call.descriptor == self._acknowledgements:
            self._settle(call.thread)
            content = call.memory(call.arguments[1], call.arguments[2])
            self._acknowledged.append(content.decode().strip("\n"))
        elif concerns(call, self._folder):
            self._look(str(call).replace(os.fsdecode(self._top), ""), call.thread)
            if call.name in SYNCS:
                self._syncing[call.thread] = self._reached_by(call)

    def end(self) -> None:
        """The process has ended: what is there now is the last moment."""
        self._look("the end", *list(self._syncing))
        self._inodes.close()

    def _look(self, following: str, *threads: int) -> None:
        picture = self._inodes.take(self._top)
        for number, inode in picture.inodes.items():
            seen = self._versions.setdefault(number, [])
            if not seen or seen[-1][1] != inode:
                seen.append((len(self.moments), inode))
        for thread in threads:
            self._settle(thread)
        self.moments.append(
            Moment(
                picture,
                {number: tuple(seen) for number, seen in self._versions.items()},
                frozenset(self._durable),
                tuple(self._acknowledged),
                following,
            )
        )

    def _reached_by(self, call: Call) -> dict[int, int]:
        """The inodes that a sync is about, and since when each is what it is."""
        if call.name in ("sync", "syncfs"):
            numbers = list(self._versions)
        else:
            numbers = [os.stat(f"/proc/{call.thread}/fd/{call.descriptor}").st_ino]
        return {number: self._versions[number][-1][0] for number in numbers}

    def _settle(self, thread: int) -> None:
        """The thread goes on, so the sync that it had begun is done."""
        for number, since in self._syncing.pop(thread, {}).items():
            seen = self._versions[number]
            self._versions[number] = [row for row in seen if row[0] >= since]
            self._durable.add(number)


def everything_lost(moment: Moment) -> Picture:
    """Nothing reached the disk that was not synced."""
    return _cut(moment, lambda states: states[0], lambda states: states[0])


def data_lost(moment: Moment) -> Picture:
    """All names reached the disk, but of files only what was synced."""

    def inode(states: tuple[Inode, ...]) -> Inode:
        first, last = states[0], states[-1]
        if isinstance(first, Regular) and isinstance(last, Regular):
            return replace(last, content=first.content)
        return last

    return _cut(moment, inode, lambda states: states[-1])


def some_lost(moment: Moment, random: Random) -> Picture:
    """Some of what was not synced reached the disk, in no order, and torn."""

    def inode(states: tuple[Inode, ...]) -> Inode:
        chosen = random.choice(states)
        if not isinstance(chosen, Regular):
            return chosen
        contents = [state.content for state in states if isinstance(state, Regular)]
        return replace(chosen, content=_torn(contents, random))

    return _cut(moment, inode, random.choice)


def _torn(contents: list[bytes], random: Random) -> bytes:
    """Each sector of one of these states, in a file as long as one of them."""
    length = len(random.choice(contents))
    found = bytearray()
    for start in range(0, length, SECTOR):
        piece = random.choice(contents)[start : start + SECTOR]
        found += piece.ljust(SECTOR, b"\0")
    return bytes(found[:length])


_Name: TypeAlias = tuple[int, int | None]
"""Since when a name stands for an inode, or for nothing."""


def _cut(
    moment: Moment,
    inode: Callable[[tuple[Inode, ...]], Inode],
    name: Callable[[list[_Name]], _Name],
) -> Picture:
    """The picture with one state of each inode, and of each name in each folder."""
    inodes = {number: inode(moment.states(number)) for number in moment.versions}
    names = {
        (number, text): states
        for number in moment.versions
        for text, states in _names(moment, number)
    }
    chosen = {place: name(states) for place, states in names.items()}
    _keep_folders_once(moment, names, chosen)
    entries: dict[int, list[tuple[bytes, int]]] = {}
    for (number, text), (_, child) in chosen.items():
        if child is not None:
            entries.setdefault(number, []).append((text, child))
    for number, folder in inodes.items():
        if isinstance(folder, Folder):
            found = tuple(sorted(entries.get(number, ())))
            inodes[number] = replace(folder, entries=found)
    return Picture(moment.picture.top, inodes)


def _keep_folders_once(
    moment: Moment,
    names: dict[tuple[int, bytes], list[_Name]],
    chosen: dict[tuple[int, bytes], _Name],
) -> None:
    """A folder that was moved is where it came last; never lost to both places."""
    places: dict[int, tuple[int, tuple[int, bytes]]] = {}
    for place, (when, child) in sorted(chosen.items(), key=lambda item: item[1][0]):
        if child is None or not isinstance(moment.versions[child][-1][1], Folder):
            continue
        if child in places:
            before = places[child][1]
            last = names[before][-1]
            chosen[before] = (last[0], None) if last[1] == child else last
        places[child] = (when, place)


def _names(moment: Moment, number: int) -> Iterator[tuple[bytes, list[_Name]]]:
    """Of each name in a folder: what it may stand for, oldest first."""
    versions = [
        (when, dict(version.entries))
        for when, version in moment.versions[number]
        if isinstance(version, Folder)
    ]
    if versions and number not in moment.durable:
        versions.insert(0, (-1, {}))
    for name in dict.fromkeys(name for _, version in versions for name in version):
        states: list[_Name] = []
        for when, version in versions:
            if not states or states[-1][1] != version.get(name):
                states.append((when, version.get(name)))
        yield name, states
