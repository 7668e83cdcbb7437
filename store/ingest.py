"""Taking in files and folders: each file is hashed once, and kept only if it is new.

Many files are shared out to several processes, in batches.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from stat import S_ISLNK, S_ISREG
from typing import TYPE_CHECKING, Final, NamedTuple

from fromager.store.digest import Digest
from fromager.store.durability import syncing_ahead
from fromager.store.errors import InvalidRecord, UnsupportedFile
from fromager.store.file_status import status_of
from fromager.store.intake import Intake, irregular, reading, shown
from fromager.store.mirror import Mirror
from fromager.store.tree import MAX_DEPTH, Directory, File, Link, assemble, decode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fromager.store.staging import Staging
    from fromager.store.stat_cache import Recollection
    from fromager.store.tree import Node

CROWD: Final = 1000
"""With so many files, another process more than pays for its start (5 ms)."""

BATCH: Final = 64
"""Files of one folder that are taken in at a time."""


def take_tree(
    source: Path,
    staging: Staging,
    *,
    consume: bool,
    recollection: Recollection | None = None,
    processes: int = 1,
) -> tuple[Directory, Mirror]:
    """The tree that a folder holds; files that are new are staged on the way.

    What is recollected and held is not read. Where files are many, so many processes
    read them.

    Raises:
        UnsupportedFile: something that no tree can hold, or that cannot be read.
    """
    mirror = Mirror(staging)
    intake = Intake(staging, consume=consume, notes=recollection is not None)
    taking = _Taking(intake, mirror, recollection)
    try:
        taking.survey(os.fsencode(source))
        taking.take_files(processes)
        return assemble(taking.below), mirror
    except InvalidRecord as error:
        raise UnsupportedFile(source, error.reason) from error


def take_file(
    source: Path,
    staging: Staging,
    *,
    consume: bool,
    recollection: Recollection | None = None,
) -> File:
    """A file's bytes as a blob, staged if they are new; links are followed.

    Raises:
        UnsupportedFile: not a regular file, or it cannot be read.
    """
    named = os.fsencode(source)
    with reading(named):
        is_link = S_ISLNK(os.lstat(named).st_mode)
        path = os.path.realpath(named, strict=True) if is_link else named
        if not S_ISREG(os.stat(path).st_mode):
            raise irregular(named)
    intake = Intake(
        staging, consume=consume, keeps_mode=False, notes=recollection is not None
    )
    file, status = intake.file(path, staging.place)
    if recollection is not None:
        recollection.note("", status)
    return file


@dataclass(frozen=True, slots=True)
class _Batch:
    """Files of one folder that are to be read."""

    folder: str
    """Its path below the top."""
    place: bytes
    names: list[bytes]


class _Told(NamedTuple):
    """What another process says of a file that it took in."""

    folder: str
    name: str
    digest: bytes
    executable: bool
    size: int
    status: bytes
    target: bytes | None
    """Where it was staged, if it was."""
    replaces: bool | None
    """Whether it is to replace the pool's own file; None if an equal one is staged."""


class _Refused(NamedTuple):
    """Why another process could not go on."""

    path: str | None
    reason: str | None
    number: int | None = None
    """That of the system's error, where the store could not be written."""
    remedy: str | None = None

    def error(self) -> Exception:
        """The error as it would have been raised here."""
        if self.number is None:
            path = Path(self.path or "")
            return UnsupportedFile(path, self.reason or "", self.remedy)
        return OSError(self.number, self.reason, self.path)


class _Taking:
    """One folder that is taken in."""

    def __init__(
        self, intake: Intake, mirror: Mirror, recollection: Recollection | None
    ) -> None:
        self._intake, self._mirror = intake, mirror
        self._staging, self._recollection = intake.staging, recollection
        self._batches: list[_Batch] = []
        self.below: dict[str, dict[str, Node]] = {}

    def survey(self, top: bytes) -> None:
        """Find all that lies in the folder; links and folders need no more."""
        pending = [(top, "")]
        while pending:
            folder, path = pending.pop()
            nodes = self.below[path] = {}
            names = []
            prefix = f"{path}/" if path else ""
            for entry in self._entries(folder):
                name = decode(entry.name)
                if entry.is_symlink():
                    nodes[name] = self._link(entry, prefix + name)
                elif entry.is_file():
                    if not self._recalled(nodes, prefix, name):
                        names.append(entry.name)
                elif not entry.is_dir():
                    raise irregular(entry.path)
                elif prefix.count("/") >= MAX_DEPTH:
                    raise UnsupportedFile(
                        shown(entry.path),
                        "folders nest too deep",
                        f"Store objects hold folders that nest {MAX_DEPTH} deep",
                    )
                else:
                    pending.append((entry.path, prefix + name))
            self._batches += (
                _Batch(path, folder, names[first : first + BATCH])
                for first in range(0, len(names), BATCH)
            )

    def take_files(self, processes: int) -> None:
        """Take in all files that were found."""
        if sum(len(batch.names) for batch in self._batches) < CROWD:
            processes = 1
        if processes < 2:
            self._work(os.getpid(), self._batches)
            return
        from fromager.store.sharing import share

        self._staging.prepare()
        self._mirror.prepare()
        asked = os.getpid()
        disk = os.fsencode(self._staging.layout.staging)

        def work(batches: Iterable[_Batch]) -> list[_Told | _Refused]:
            if os.getpid() != asked:
                return self._work(asked, batches)
            with syncing_ahead(disk):
                return self._work(asked, batches)

        for part in share(self._batches, work, processes)[1:]:
            for told in part:
                self._hear(told)

    def _entries(self, folder: bytes) -> list[os.DirEntry[bytes]]:
        with reading(folder):
            if self._intake.consume:
                # Moving files out of a folder needs the right to write to it, too.
                os.chmod(folder, 0o700)
            with os.scandir(folder) as entries:
                return sorted(entries, key=attrgetter("name"))

    def _link(self, entry: os.DirEntry[bytes], path: str) -> Link:
        with reading(entry.path):
            target = os.readlink(entry.path)
            if self._recollection is not None:
                status = entry.stat(follow_symlinks=False)
                self._recollection.note(path, status_of(status))
        return Link(decode(target))

    def _recalled(self, nodes: dict[str, Node], prefix: str, name: str) -> bool:
        """Whether a file is known without reading it, and held."""
        if self._recollection is None:
            return False
        file = self._recollection.file(prefix + name)
        if file is None or not self._staging.holds(file):
            return False
        nodes[name] = file
        return True

    def _work(self, asked: int, batches: Iterable[_Batch]) -> list[_Told | _Refused]:
        """Take in files; a process that was not the one asked tells it all about them."""
        told: list[_Told | _Refused] = []
        helps = os.getpid() != asked
        try:
            for batch in batches:
                told += self._take(batch, helps)
        except UnsupportedFile as error:
            if not helps:
                raise
            path = os.fspath(error.path)
            told.append(_Refused(path, error.reason, remedy=error.remedy))
        except OSError as error:
            if not helps:
                raise
            named = error.filename and os.fsdecode(error.filename)
            told.append(_Refused(named, error.strerror, error.errno))
        return told

    def _take(self, batch: _Batch, helps: bool) -> Iterator[_Told]:
        nodes = self.below[batch.folder]
        prefix = f"{batch.folder}/" if batch.folder else ""
        for raw in batch.names:
            name = decode(raw)
            path, place = prefix + name, b"%b/%b" % (batch.place, raw)
            file, status = self._intake.file(place, partial(self._mirror.fill, path))
            nodes[name] = file
            if self._recollection is not None:
                self._recollection.note(path, status)
            if helps:
                target = self._mirror.filled(path)
                staged = self._staging.blobs.get(file) if target else None
                yield _Told(
                    *(batch.folder, name, file.digest.raw, file.executable, file.size),
                    *(status, target),
                    staged.replaces if staged and staged.path == target else None,
                )

    def _hear(self, told: _Told | _Refused) -> None:
        """Go on with what another process has taken in."""
        if isinstance(told, _Refused):
            raise told.error()
        path = f"{told.folder}/{told.name}" if told.folder else told.name
        file = File(Digest(told.digest), told.executable, told.size)
        self.below[told.folder][told.name] = file
        if self._recollection is not None:
            self._recollection.note(path, told.status)
        if told.target is not None:
            self._mirror.was_filled(path)
            if told.replaces is not None:
                self._staging.take_over(file, told.target, replaces=told.replaces)
