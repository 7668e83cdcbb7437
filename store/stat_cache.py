"""What a folder held when it was added, told again from its entries' status alone.

As in git's index, a file is taken for unchanged if its inode, size, mode and times are
those it had when it was read. Its change time (ctime) decides: every way to change
content, size, mode or modification time sets it, and no program can choose it. A file
is read again where that does not hold:

* it was changed less than two seconds before it was read: it may have been changed once
  more within one tick of its file system's clock;
* the machine was started anew: what was written last may be lost, but not its time;
* the clock shows less than when the file was read;
* its file system is not known to keep change times.

Small files that are added by themselves are just read again.

Nothing here is needed: what is missing, torn or of another version is made anew.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from stat import S_ISREG, S_IXUSR
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from blake3 import blake3

from fromager.store.digest import SIZE, Digest
from fromager.store.file_status import (
    RACY_NS,
    Folder,
    changed_of,
    device_of,
    folder_status,
    forgotten,
    mode_and_size,
    survey,
)
from fromager.store.tree import Directory, File, decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fromager.store.file_status import Survey
    from fromager.store.staging import Staging

KEPT: Final = 100
"""Folders and files that are remembered; one of 20,000 files takes 2 MB."""

WORTH: Final = 1 << 18
"""A file of fewer bytes is read about as fast as what is remembered of it would be."""

_MAGIC: Final = b"fromager stat cache 1\n"
_LENGTH: Final = Struct("<I")
_TIME: Final = Struct("<q")
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


class Learnt(NamedTuple):
    """What reading the files of a folder gave."""

    folder: Folder
    digests: bytes
    """Of its files, in the order of their names."""


@dataclass(frozen=True)
class Memory:
    """What was learnt of a tree, or of one file."""

    digest: Digest
    began: int
    """When reading began, in nanoseconds since the epoch."""
    boot: bytes
    """Names the time since the machine was started."""
    folders: Mapping[bytes, Learnt]
    """As in a survey."""

    def is_of(self, seen: Survey) -> bool:
        """Whether every single entry is as it was."""
        return len(seen) == len(self.folders) and all(
            path in self.folders and self.folders[path].folder == folder
            for path, folder in seen.items()
        )

    def files(self, seen: Survey) -> Iterator[tuple[str, tuple[File, bytes]]]:
        """The files that are as they were, and their packed statuses, at their paths."""
        for path, now in seen.items():
            before = self.folders.get(path)
            if before is None:
                continue
            statuses = dict(now.entries())
            prefix = path + b"/" if path else b""
            for name, status, file in _files(before):
                if statuses.get(name) == status:
                    yield decode(prefix + name), (file, status)


def learn(
    node: File | Directory, statuses: Mapping[str, bytes], began: int
) -> dict[bytes, Learnt] | None:
    """What is to be remembered of a tree or file that was read.

    `statuses` are those of its files and links when they were read, packed, by path.
    None if it lies on several file systems.
    """
    devices = {device_of(status) for status in statuses.values()}
    if len(devices) > 1:
        return None
    device = devices.pop() if devices else 0
    sure = {
        path: status if changed_of(status) < began - RACY_NS else forgotten(status)
        for path, status in statuses.items()
    }
    if isinstance(node, File):
        return {b"": Learnt(Folder(b"", sure[""]), node.digest.raw)}
    return {
        encode(path): _learn_folder(directory, path, sure, folder_status(device))
        for path, directory in node.directories()
    }


def _learn_folder(
    directory: Directory, path: str, statuses: Mapping[str, bytes], folder: bytes
) -> Learnt:
    prefix = f"{path}/" if path else ""
    entries, digests = [], []
    for name, node in directory.entries:
        is_folder = isinstance(node, Directory)
        entries.append((encode(name), folder if is_folder else statuses[prefix + name]))
        if isinstance(node, File):
            digests.append(node.digest.raw)
    return Learnt(Folder.of(entries), b"".join(digests))


def dump_memory(memory: Memory) -> bytes:
    """A memory as bytes, which `load_memory` reads back."""
    fields = [memory.digest.raw, memory.boot, _TIME.pack(memory.began)]
    for path, (folder, digests) in memory.folders.items():
        fields += [path, *folder, digests]
    content = b"".join([_LENGTH.pack(len(each)) + each for each in fields])
    return _MAGIC + blake3(content).digest() + content


def load_memory(content: bytes) -> Memory | None:
    """The memory that was dumped; None if it is torn, or of another version."""
    at = len(_MAGIC) + SIZE
    if content[:at] != _MAGIC + blake3(memoryview(content)[at:]).digest():
        return None
    fields = []
    while at < len(content):
        (length,) = _LENGTH.unpack_from(content, at)
        at += _LENGTH.size + length
        fields.append(content[at - length : at])
    digest, boot, began, *rest = fields
    folders = {
        path: Learnt(Folder(names, statuses), digests)
        for path, names, statuses, digests in zip(
            *(rest[first::4] for first in range(4)), strict=True
        )
    }
    return Memory(Digest(digest), _TIME.unpack(began)[0], boot, folders)


class StatCache:
    """The memories of one store, each in a file named after what it is of."""

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self._folder, self._clock = folder, clock
        self._boot = _read(_BOOT)

    def recollect(self, source: Path, kind: str) -> Recollection:
        """What is known of a folder or file, as a `tree` or as a `blob`."""
        now = int(self._clock() * 1e9)
        top = os.path.realpath(os.fsencode(source))
        name = blake3(top, derive_key_context=f"fromager stat cache {kind}")
        place = self._folder / name.hexdigest(length=16)
        try:
            memory = load_memory(place.read_bytes()) if self._boot else None
        except OSError:
            memory = None
        if memory and (memory.boot != self._boot or memory.began > now):
            memory = None
        seen = survey(top) if memory else {}
        return Recollection(place, top, memory, seen, now)

    def keep(self, lessons: Sequence[Lesson], staging: Staging) -> None:
        """Remember what was learnt, the last of it where it is too much.

        That it cannot be written is no error.
        """
        if not (lessons and self._boot):
            return
        from fromager.store.mounts import ChangeTimes

        trusted = ChangeTimes()
        try:
            for recollection, node in lessons[-KEPT:]:
                memory = recollection.memory_of(node, self._boot)
                top = recollection.top
                if memory and trusted.hold(top, os.stat(top).st_dev):
                    staging.put_aside(dump_memory(memory), recollection.place)
            _prune(self._folder, staging)
        except OSError:
            return


class Recollection:
    """What is known of one folder or file that is added, and what is learnt of it."""

    def __init__(
        self, place: Path, top: bytes, memory: Memory | None, seen: Survey, began: int
    ) -> None:
        self.place, self.top = place, top
        self._memory, self._seen, self._began = memory, seen, began
        self._statuses: dict[str, bytes] = {}

    @cached_property
    def digest(self) -> Digest | None:
        """That of all of it, if nothing has changed."""
        memory = self._memory
        return memory.digest if memory and memory.is_of(self._seen) else None

    def file(self, path: str) -> File | None:
        """What is at a path of a tree, if that has not changed."""
        file, status = self._files.get(path, (None, b""))
        if file is not None:
            self._statuses[path] = status
        return file

    def note(self, path: str, status: bytes) -> None:
        """The packed status that a file or link had before it was read."""
        self._statuses[path] = status

    def memory_of(self, node: File | Directory, boot: bytes) -> Memory | None:
        """What is to be remembered of what was read; None if nothing can be."""
        folders = learn(node, self._statuses, self._began)
        if folders is None:
            return None
        return Memory(node.digest, self._began, boot, folders)

    @cached_property
    def _files(self) -> dict[str, tuple[File, bytes]]:
        return dict(self._memory.files(self._seen)) if self._memory else {}


Lesson: TypeAlias = "tuple[Recollection, File | Directory]"
"""What was known of a folder or file that was added, and what it turned out to hold."""


def _files(learnt: Learnt) -> Iterator[tuple[bytes, bytes, File]]:
    """Name, packed status and content of the files of a folder."""
    at = 0
    for name, packed in learnt.folder.entries():
        mode, size = mode_and_size(packed)
        if S_ISREG(mode):
            digest = Digest(learnt.digests[at : at + SIZE])
            at += SIZE
            yield name, packed, File(digest, bool(mode & S_IXUSR), size)


def _prune(folder: Path, staging: Staging) -> None:
    """Remove what was learnt longest ago, if it is too much."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.stat().st_mtime_ns)
    for entry in entries[:-KEPT]:
        staging.effect("forget")
        os.unlink(entry.path)


def _read(place: Path) -> bytes:
    try:
        return place.read_bytes()
    except OSError:
        return b""
