"""Repairing: what is damaged is made anew from what is at hand, or from elsewhere.

Bytes are looked for in the pool, in the object itself, in other objects that share
them, and then with the restorers that were given. Whatever they give is taken only if
it makes the object what its path says: the path covers its digest. It is published
like anything new, and takes the place of what was damaged at one instant.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Protocol

from fromager.store.api import ObjectInfo
from fromager.store.damage import Irreparable, Repaired, Repairs
from fromager.store.errors import (
    InvalidRecord,
    NotRestored,
    StoreError,
    UnsupportedFile,
)
from fromager.store.examine import Examiner
from fromager.store.ingest import take_file, take_tree
from fromager.store.mirror import Mirror
from fromager.store.path import StorePath
from fromager.store.publication import Batch, StagedObject
from fromager.store.records import ObjectRecord, dump_record, load_record
from fromager.store.staging import MTIME, StagedBlob, Staging, file_mode
from fromager.store.tree import Directory, File, encode, members_by_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from fromager.store.damage import Damage
    from fromager.store.layout import StoreLayout
    from fromager.store.publish import Publisher


class Restorer(Protocol):
    """Somewhere that objects may be had from; it need not be trusted."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    def restore(self, path: StorePath, folder: Path) -> Path:
        """Write what an object holds to a new place in an empty folder.

        Raises:
            StoreError: it does not have it.
        """
        ...


@dataclass(frozen=True)
class Repairer:
    """Repairs the objects of a store."""

    layout: StoreLayout
    publisher: Publisher
    verify: Callable[[StorePath], Sequence[Damage]]
    """Looks at an object again, and lets it be served if it is whole."""
    staging: Callable[[], Staging]
    effect: Callable[[str], None]
    clock: Callable[[], float]
    restorers: Sequence[Restorer] = ()

    def run(self, paths: Iterable[StorePath]) -> Repairs:
        """Repair these objects, which are withheld.

        What was repaired may be what another one is built from: as long as anything
        is, the others are tried again.
        """
        repaired: list[Repaired] = []
        waiting = {path: Irreparable(str(path), "") for path in paths}
        progress = True
        while waiting and progress:
            progress = False
            for path in list(waiting):
                try:
                    repaired.append(Repaired(str(path), self._repair(path)))
                except NotRestored as error:
                    waiting[path] = Irreparable(str(path), str(error))
                else:
                    del waiting[path]
                    progress = True
        return Repairs(tuple(repaired), tuple(waiting.values()))

    def _repair(self, path: StorePath) -> str:
        """Make an object whole; where its content came from.

        Raises:
            NotRestored: nobody has it.
        """
        reasons = []
        attempts = [("this store", partial(self._healed, path))]
        for restorer in self.restorers:
            attempts.append((restorer.name, partial(self._restored, path, restorer)))
        for source, attempt in attempts:
            staging = self.staging()
            try:
                self._publish(path, *attempt(staging), staging)
            except (NotRestored, UnsupportedFile) as error:
                reasons.append(f"{source}: {error}")
                continue
            finally:
                staging.discard()
            left = self.verify(path)
            if not left:
                return source
            reasons.append(f"{source}: damaged again: {left[0]}")
        raise NotRestored("; ".join(reasons))

    def _healed(
        self, path: StorePath, staging: Staging
    ) -> tuple[File | Directory, bytes]:
        """What the object holds and where it was staged, all from this store."""
        own = self.layout.object(path)
        content = self._recorded(path)
        if content is None:
            return self._taken(path, own, staging)
        for file, members in members_by_file(content).items():
            places = [_member(own, member) for member in members]
            if not (
                self._hold(file, places, staging)
                or self._hold(file, self._copies(file), staging)
            ):
                more = f" ({members[0]})" if members[0] else ""
                raise NotRestored(f"no intact copy of {file.digest} is here{more}")
        if isinstance(content, Directory):
            return content, Mirror(staging).complete(content)
        return content, _linked(content, staging)

    def _restored(
        self, path: StorePath, restorer: Restorer, staging: Staging
    ) -> tuple[File | Directory, bytes]:
        folder = Path(os.fsdecode(staging.place()))
        self.effect("make folder")
        folder.mkdir()
        try:
            place = restorer.restore(path, folder)
        except StoreError as error:
            raise NotRestored(str(error)) from error
        return self._taken(path, os.fsencode(place), staging)

    def _recorded(self, path: StorePath) -> File | Directory | None:
        """What the object's record says, if it is the record of that object."""
        with suppress(OSError, InvalidRecord):
            record = load_record(self.layout.record(path).read_bytes())
            if record.path == path:
                return record.content
        return None

    def _taken(
        self, path: StorePath, place: bytes, staging: Staging
    ) -> tuple[File | Directory, bytes]:
        """What lies at a place, staged, if it is what the object's path says."""
        source = Path(os.fsdecode(place))
        content: File | Directory
        if os.path.isdir(place) and not os.path.islink(place):
            content, mirror = take_tree(source, staging, consume=False)
            make = partial(mirror.complete, content)
        else:
            file = content = take_file(source, staging, consume=False)
            make = partial(_linked, file, staging)
        if StorePath.of(content.digest, path.name) != path:
            raise NotRestored(f"{source} is not what was recorded")
        # What the pool had was taken for what its name says.
        for file, members in members_by_file(content).items():
            places = [_member(place, member) for member in members]
            if not self._hold(file, places, staging):
                raise NotRestored(f"{source} changes while it is read")
        return content, make()

    def _hold(self, file: File, places: Iterable[bytes], staging: Staging) -> bool:
        """See to it that a file's bytes are in the pool or staged, and right."""
        if file in staging.blobs or self._pooled(file):
            return True
        examiner = Examiner(self.layout)
        for place in places:
            with suppress(OSError):
                if not S_ISREG(os.lstat(place).st_mode):
                    continue
                if examiner.digest_of(place) == file.digest.hex:
                    self._copy(file, place, staging)
                    return True
        return False

    def _pooled(self, file: File) -> bool:
        """Whether the pool's file is right; its mode and time are made so."""
        blob = self.layout.blob(file)
        try:
            status = os.lstat(blob)
            if not S_ISREG(status.st_mode) or status.st_size != file.size:
                return False
            if Examiner(self.layout).digest_of(blob) != file.digest.hex:
                return False
        except OSError:
            return False
        self.effect("mend blob")
        os.chmod(blob, file_mode(file))
        os.utime(blob, ns=MTIME)
        return True

    def _copy(self, file: File, place: bytes, staging: Staging) -> None:
        new = staging.place()
        descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            staging.copy_blob(descriptor, file, new)
        finally:
            os.close(descriptor)
        replaces = os.path.lexists(self.layout.blob(file))
        staging.blobs[file] = StagedBlob(new, replaces)

    def _copies(self, file: File) -> Iterator[bytes]:
        """Where the same bytes lie in the pool or in other objects, as recorded."""
        yield self.layout.blob(File(file.digest, not file.executable))
        digits = file.digest.hex.encode()
        for record in (self.layout.private / "records").iterdir():
            try:
                content = record.read_bytes()
                if digits not in content:
                    continue
                other = load_record(content)
            except (OSError, InvalidRecord):
                continue
            for each, members in members_by_file(other.content).items():
                if each.digest == file.digest:
                    top = self.layout.object(other.path)
                    yield from (_member(top, member) for member in members)

    def _publish(
        self,
        path: StorePath,
        content: File | Directory,
        place: bytes,
        staging: Staging,
    ) -> None:
        # What it refers to is added from the database when the record is put there.
        record = ObjectRecord(path, (), content)
        info = ObjectInfo(
            path=path,
            digest=record.digest,
            kind=record.kind,
            size=content.size,
            references=(),
            registered=int(self.clock()),
        )
        written = staging.write_record(dump_record(record))
        batch = Batch(staging, {path: StagedObject(info, written, place)})
        self.publisher.publish(batch)


def _member(top: bytes, path: str) -> bytes:
    return b"%b/%b" % (top, encode(path)) if path else top


def _linked(file: File, staging: Staging) -> bytes:
    place = staging.place()
    staging.link(file, place)
    return place
