"""One pass of publishing: the steps by which what was staged becomes valid.

Files that were staged reach the disk first, by one `syncfs`. Only then do blobs get
into the pool and objects to their places, so that whatever lies there is whole. The
folders reach the disk next. The commit of the database comes last: it alone makes
objects valid. What lies at an object's place without a row was left by a crash.
"""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from dataclasses import dataclass, field, replace
from errno import EEXIST, EMLINK
from typing import TYPE_CHECKING, Final, TypeAlias

from fromager.store.durability import sync_each, sync_filesystem
from fromager.store.errors import ObjectMissing
from fromager.store.exchange import exchange
from fromager.store.ingest import CROWD
from fromager.store.layout import REPLACED, blob_name
from fromager.store.records import dump_record, load_record
from fromager.store.staging import FOLDER_MODE, MTIME
from fromager.store.writer import is_certainly_undone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fromager.store.api import ObjectInfo
    from fromager.store.beneath import Beneath
    from fromager.store.errors import StoreError
    from fromager.store.layout import StoreLayout
    from fromager.store.path import StorePath
    from fromager.store.realisation import Realisation
    from fromager.store.staging import StagedBlob, Staging
    from fromager.store.tree import File
    from fromager.store.writer import Registry, Writer

_FOLDERS_ONE_BY_ONE: Final = 8
"""From more folders on, one more `syncfs` is cheaper than a sync of each."""


_PART: Final = 64
"""Files that are linked to the pool by a process that asks for more to do."""


@dataclass(frozen=True, slots=True)
class StagedObject:
    """An object that is to become valid."""

    info: ObjectInfo
    record: bytes
    """Where its record was written."""
    place: bytes | None
    """Where the object was made; None if it is valid and gets more references."""


@dataclass
class Batch:
    """What one transaction wants to become valid."""

    staging: Staging
    objects: dict[StorePath, StagedObject] = field(default_factory=dict)
    realisations: list[tuple[Realisation, bytes]] = field(default_factory=list)
    processes: int = 1
    """So many link its files to the pool, where they are many."""

    @property
    def empty(self) -> bool:
        """True if there is nothing to do."""
        return not (self.objects or self.realisations)

    def needs(self) -> Iterator[StorePath]:
        """Objects that must be valid before, for this to make sense."""
        for staged in self.objects.values():
            yield from staged.info.references
        for realisation, _ in self.realisations:
            yield realisation.output
            yield realisation.derivation


_Wanted: TypeAlias = "tuple[File, StagedBlob]"
_Move: TypeAlias = "tuple[Callable[[bytes, bytes], None], bytes, bytes]"


class Publication:
    """One pass through the steps, for a group of batches."""

    def __init__(
        self, layout: StoreLayout, effect: Callable[[str], None], beneath: Beneath
    ) -> None:
        self._layout, self._effect, self._beneath = layout, effect, beneath
        self._touched: set[bytes] = set()
        self._folders: set[bytes] = set()
        self._undo: list[_Move] = []
        self._placed: dict[StorePath, frozenset[StorePath]] = {}

    def run(
        self,
        batches: list[Batch],
        writer: Writer,
        refuse: Callable[[Batch, StoreError], None],
    ) -> None:
        """Publish batches; `refuse` is told of those that make no sense."""
        self._effect("sync")
        sync_filesystem(os.fsencode(self._layout.staging))
        with writer.held() as registry:
            sound = []
            for batch in batches:
                missing = self._missing(batch, registry)
                if missing is None:
                    sound.append(batch)
                else:
                    refuse(batch, ObjectMissing(str(missing)))
            try:
                for batch in sound:
                    # Before they are valid, so that nobody takes them for garbage.
                    batch.staging.rely(batch.objects)
                    self._place(batch, registry)
                self._sync_touched()
                self._effect("commit")
            except BaseException:
                self._take_back(self._undo)
                raise
            try:
                registry.commit(
                    [o.info for batch in sound for o in batch.objects.values()],
                    [r for batch in sound for r, _ in batch.realisations],
                )
            except BaseException as error:
                # What was written of any other commit may still come to count, after
                # a crash; then all that it makes valid must be there.
                self._take_back(self._undo if is_certainly_undone(error) else [])
                raise

    def _missing(self, batch: Batch, registry: Registry) -> StorePath | None:
        """An object that must be valid for a batch to make sense, and is not."""
        objects = batch.objects
        kept = {path for path, staged in objects.items() if staged.place is None}
        for path in (set(batch.needs()) - set(objects)) | kept:
            if registry.has(path):
                continue
            if path in kept or self._beneath.info(path) is None:
                return path
        return None

    def _place(self, batch: Batch, registry: Registry) -> None:
        self._put_back(batch.staging)
        rows = registry.rows(batch.objects)
        others = self._fill_pool(batch)
        for path, staged_object in batch.objects.items() if others else ():
            if staged_object.place is not None and not rows.get(path):
                for file in others:
                    self._pin(self._layout.blob(file), file, path.hash, batch.staging)
        for path, staged_object in batch.objects.items():
            target = self._layout.object(path)
            valid = path in self._placed or rows.get(path, False)
            there = os.path.lexists(target)
            # Unless another process was quicker.
            if staged_object.place is not None and not (valid and there):
                self._show(staged_object.place, target, replaces=there)
            known = registry.references(path) if path in rows else frozenset()
            self._describe(path, staged_object, batch.staging, known, valid=valid)
        for realisation, staged_record in batch.realisations:
            claim = self._layout.realisation(realisation.key, realisation.record_digest)
            self._make_folder(os.fsencode(claim.parent))
            # One who died may have made them, and not have come to the sync.
            self._touched.update(os.fsencode(each) for each in claim.parents[1:3])
            there = claim.exists()
            self._rename(staged_record, os.fsencode(claim), keep=there)

    def _fill_pool(self, batch: Batch) -> list[File]:
        """Let the pool have what was staged; the files that it has another one of."""
        staging = batch.staging
        wanted = [
            (file, staged)
            for file, staged in staging.blobs.items()
            if not staging.is_unused(staged)
        ]
        for folder in sorted({_folder(self._layout.blob(file)) for file, _ in wanted}):
            self._make_folder(folder)
            self._touched.add(folder)
        if batch.processes > 1 and len(wanted) >= CROWD:
            from fromager.store.sharing import share

            parts = [wanted[n : n + _PART] for n in range(0, len(wanted), _PART)]
            shared = share(parts, self._link_simply, batch.processes)
            for _, error in shared:
                if error is not None:
                    raise error
            wanted = [each for left, _ in shared for each in left]
        return [
            file for file, staged in wanted if not self._pool(file, staged, staging)
        ]

    def _link_simply(
        self, parts: Iterable[list[_Wanted]]
    ) -> tuple[list[_Wanted], OSError | None]:
        """Link files to the pool; those for which there is more to do, and an error."""
        left = []
        for file, staged in itertools.chain.from_iterable(parts):
            if staged.replaces:
                left.append((file, staged))
                continue
            self._effect("link blob")
            try:
                os.link(staged.path, self._layout.blob(file))
            except OSError as error:
                if error.errno not in (EEXIST, EMLINK):
                    return left, error
                left.append((file, staged))
        return left, None

    def _pool(self, file: File, staged: StagedBlob, staging: Staging) -> bool:
        """Let the pool have a staged file; False if it has another with these bytes."""
        target = self._layout.blob(file)
        new = staging.place() if staged.replaces else target
        try:
            self._effect("link blob")
            os.link(staged.path, new)
        except FileExistsError:  # another process was quicker
            return os.path.samefile(staged.path, target)
        except OSError as error:
            if error.errno != EMLINK:
                raise
            new = self._copied(file, staged, staging)
        if new != target:
            # Who links the old file holds the same blob; who that is, is not known.
            self._pin(new, file, REPLACED, staging)
            self._effect("rename blob")
            os.rename(new, target)
        return True

    def _pin(self, blob: bytes, file: File, why: str, staging: Staging) -> None:
        """Add a link to a blob of the pool, for an object that has a file of its own.

        A blob of the pool goes when nothing else links it. Such an object cannot be
        seen from that, so the pin stands for it until it goes itself.
        """
        self._make_folder(self._layout.pins)
        self._touched.add(self._layout.pins)
        place = staging.place()
        self._effect("pin blob")
        os.link(blob, place)
        self._effect("rename pin")
        os.rename(place, self._layout.pin(blob_name(file), why.encode()))
        self._effect("remove file")
        with suppress(FileNotFoundError):  # it was pinned: renaming did nothing
            os.unlink(place)

    def _put_back(self, staging: Staging) -> None:
        """Let the pool have what was linked from it and then taken out of it.

        Only a collection of garbage that was killed in between leaves this undone.
        """
        trash = self._layout.trash
        if not (os.path.isdir(trash) and os.listdir(trash)):
            return
        for file, path in staging.linked.items():
            if file not in staging.blobs and not os.path.lexists(
                self._layout.blob(file)
            ):
                staging.adopt(file, path)

    def _copied(self, file: File, staged: StagedBlob, staging: Staging) -> bytes:
        """A new file for the pool, on disk, where no link to the staged one is left."""
        new = staging.place()
        descriptor = os.open(staged.path, os.O_RDONLY)
        try:
            staging.copy_blob(descriptor, file, new)
        finally:
            os.close(descriptor)
        sync_each([new])
        return new

    def _show(self, place: bytes, target: bytes, *, replaces: bool) -> None:
        """Put an object to its place; what a crash left there, or damaged, goes."""
        if replaces:
            if os.path.isdir(target) and not os.path.islink(target):
                # A folder that cannot be written to cannot be moved.
                os.chmod(target, 0o700)
            self._effect("exchange object")
            exchange(place, target)
            self._undo.append((exchange, target, place))
        else:
            self._effect("rename object")
            os.rename(place, target)
            self._undo.append((os.rename, target, place))
        self._touched.add(os.path.dirname(target))
        if os.path.isdir(target):
            # Only now: a folder that cannot be written to cannot be moved either.
            self._effect("close object")
            os.chmod(target, FOLDER_MODE)
            os.utime(target, ns=MTIME)
            self._touched.add(target)

    def _describe(
        self,
        path: StorePath,
        staged: StagedObject,
        staging: Staging,
        known: frozenset[StorePath],
        *,
        valid: bool,
    ) -> None:
        """Put an object's record to its place, with all that others said it needs.

        The database, which knows of some, will hold the references of all who published
        the object; the record must not know less.
        """
        own = frozenset(staged.info.references)
        known |= self._placed.get(path, frozenset())
        self._placed[path] = own | known
        if valid and own <= known:
            return
        record = staged.record
        if not known <= own:
            record = self._completed(record, own | known, staging)
        target = os.fsencode(self._layout.record(path))
        # What is withheld has a record, too, and is not without one for an instant.
        self._rename(record, target, keep=valid or os.path.lexists(target))

    def _completed(
        self, record: bytes, references: frozenset[StorePath], staging: Staging
    ) -> bytes:
        """A record with more references, on disk."""
        with open(record, "rb") as stream:
            found = load_record(stream.read())
        found = replace(found, references=tuple(sorted(references)))
        new = staging.write_record(dump_record(found))
        sync_each([new])
        return new

    def _rename(self, source: bytes, target: bytes, *, keep: bool) -> None:
        self._effect("rename record")
        os.rename(source, target)
        if not keep:
            self._undo.append((os.rename, target, source))
        self._touched.add(os.path.dirname(target))

    def _make_folder(self, folder: bytes) -> None:
        missing = []
        while folder not in self._folders and not os.path.isdir(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        self._folders.add(folder)
        for new in reversed(missing):
            self._effect("make folder")
            os.mkdir(new, 0o755)
            self._folders.add(new)
            self._touched.add(os.path.dirname(new))

    def _sync_touched(self) -> None:
        self._effect("sync folders")
        if len(self._touched) > _FOLDERS_ONE_BY_ONE:
            sync_filesystem(os.fsencode(self._layout.staging))
        else:
            sync_each(sorted(self._touched))

    def _take_back(self, done: list[_Move]) -> None:
        """Bring what was placed back to staging, where it is removed."""
        with suppress(OSError):
            # The pool has blobs now that no object links.
            self._layout.leftovers.touch()
        for move, target, place in reversed(done):
            try:
                self._effect("take back")
                if os.path.isdir(target):
                    os.chmod(target, 0o700)
                move(target, place)
            except OSError:
                # It stays as garbage without a row, which nobody trusts.
                continue


def _folder(path: bytes) -> bytes:
    return path.rpartition(b"/")[0]
