"""Publishing: what transactions staged becomes valid, durably and all at once.

Files that were staged reach the disk first, by one `syncfs`. Only then do blobs get
into the pool and objects to their places, so that whatever lies there is whole. The
folders reach the disk next. The commit of the database comes last: it alone makes
objects valid. What lies at an object's place without a row was left by a crash.

Transactions of several threads that end at the same time are published together.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace
from errno import EMLINK
from typing import TYPE_CHECKING, Final

from fromager.store.durability import storage_error, sync_each, sync_filesystem
from fromager.store.errors import ObjectMissing, StoreError
from fromager.store.exchange import exchange
from fromager.store.layout import REPLACED, blob_name
from fromager.store.records import dump_record, load_record
from fromager.store.staging import FOLDER_MODE, MTIME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fromager.store.api import ObjectInfo
    from fromager.store.beneath import Beneath
    from fromager.store.layout import StoreLayout
    from fromager.store.path import StorePath
    from fromager.store.realisation import Realisation
    from fromager.store.staging import StagedBlob, Staging
    from fromager.store.tree import File
    from fromager.store.writer import Registry, Writer

_FOLDERS_ONE_BY_ONE: Final = 8
"""From more folders on, one more `syncfs` is cheaper than a sync of each."""


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


@dataclass(eq=False)
class _Ticket:
    batch: Batch
    done: bool = False
    error: BaseException | None = None


class Publisher:
    """Publishes batches; those that wait at the same time go together."""

    def __init__(
        self,
        layout: StoreLayout,
        writer: Writer,
        effect: Callable[[str], None],
        beneath: Beneath,
    ) -> None:
        self._layout, self._writer, self._effect = layout, writer, effect
        self._beneath = beneath
        self._change = threading.Condition()
        self._waiting: list[_Ticket] = []
        self._busy = False

    def publish(self, batch: Batch) -> None:
        """Return when all of the batch is valid and on disk.

        Raises:
            ObjectMissing: it refers to an object that is not valid.
            StoreFull, StoreUnavailable: it cannot be written; nothing has changed.
        """
        ticket = _Ticket(batch)
        group = self._queue(ticket)
        if group:
            self._lead(group)
        if ticket.error is not None:
            raise ticket.error

    def _queue(self, ticket: _Ticket) -> list[_Ticket]:
        """The tickets to be published by this thread; none if another did it."""
        with self._change:
            self._waiting.append(ticket)
            try:
                while self._busy and not ticket.done:
                    self._change.wait()
            except BaseException:
                # Interrupted: our files must not go while another publishes them.
                while not ticket.done and ticket not in self._waiting:
                    self._change.wait()
                if ticket in self._waiting:
                    self._waiting.remove(ticket)
                raise
            if ticket.done:
                return []
            self._busy = True
            group, self._waiting = self._waiting, []
            return group

    def _lead(self, group: list[_Ticket]) -> None:
        try:
            _Publication(self._layout, self._effect, self._beneath).run(
                group, self._writer
            )
        except OSError as error:
            self._fail(group, storage_error(self._layout.root, error))
        except StoreError as error:
            self._fail(group, error)
        except BaseException:
            self._fail(group, StoreError("the publishing thread was interrupted"))
            raise
        finally:
            with self._change:
                for ticket in group:
                    ticket.done = True
                self._busy = False
                self._change.notify_all()

    def _fail(self, group: list[_Ticket], error: BaseException) -> None:
        for ticket in group:
            ticket.error = ticket.error or error


class _Publication:
    """One pass through the steps, for a group of batches."""

    def __init__(
        self, layout: StoreLayout, effect: Callable[[str], None], beneath: Beneath
    ) -> None:
        self._layout, self._effect, self._beneath = layout, effect, beneath
        self._touched: set[bytes] = set()
        self._folders: set[bytes] = set()
        self._undo: list[tuple[Callable[[bytes, bytes], None], bytes, bytes]] = []
        self._placed: dict[StorePath, frozenset[StorePath]] = {}

    def run(self, group: list[_Ticket], writer: Writer) -> None:
        self._effect("sync")
        sync_filesystem(os.fsencode(self._layout.staging))
        with writer.held() as registry:
            batches = [t.batch for t in group if self._makes_sense(t, registry)]
            try:
                for batch in batches:
                    # Before they are valid, so that nobody takes them for garbage.
                    batch.staging.rely(batch.objects)
                    self._place(batch, registry)
                self._sync_touched()
                self._effect("commit")
                registry.commit(
                    [o.info for batch in batches for o in batch.objects.values()],
                    [r for batch in batches for r, _ in batch.realisations],
                )
            except BaseException:
                self._take_back()
                raise

    def _makes_sense(self, ticket: _Ticket, registry: Registry) -> bool:
        objects = ticket.batch.objects
        kept = {path for path, staged in objects.items() if staged.place is None}
        for path in (set(ticket.batch.needs()) - set(objects)) | kept:
            if registry.has(path):
                continue
            if path in kept or self._beneath.info(path) is None:
                ticket.error = ObjectMissing(str(path))
                return False
        return True

    def _place(self, batch: Batch, registry: Registry) -> None:
        self._put_back(batch.staging)
        new = [
            path
            for path, staged in batch.objects.items()
            if staged.place is not None and not registry.has(path)
        ]
        for file, staged in batch.staging.blobs.items():
            if batch.staging.is_unused(staged):
                continue
            if not self._pool(file, staged, batch.staging):
                for path in new:
                    self._pin(self._layout.blob(file), file, path.hash, batch.staging)
        for path, staged_object in batch.objects.items():
            target = self._layout.object(path)
            valid = path in self._placed or registry.has(path)
            there = os.path.lexists(target)
            # Unless another process was quicker.
            if staged_object.place is not None and not (valid and there):
                self._show(staged_object.place, target, replaces=there)
            self._describe(path, staged_object, batch.staging, registry, valid=valid)
        for realisation, staged_record in batch.realisations:
            claim = self._layout.realisation(realisation.key, realisation.record_digest)
            self._make_folder(os.fsencode(claim.parent))
            known = claim.exists()
            self._rename(staged_record, os.fsencode(claim), keep=known)

    def _pool(self, file: File, staged: StagedBlob, staging: Staging) -> bool:
        """Let the pool have a staged file; False if it has another with these bytes."""
        target = self._layout.blob(file)
        folder = target.rpartition(b"/")[0]
        if folder not in self._folders:
            self._make_folder(folder)
        self._touched.add(folder)
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
        os.rename(place, self._layout.pin(blob_name(file), why.encode()))
        with suppress(FileNotFoundError):  # it was pinned: renaming did nothing
            os.unlink(place)

    def _put_back(self, staging: Staging) -> None:
        """Let the pool have what was linked from it and then taken out of it.

        Only a collection of garbage that was killed in between leaves this undone.
        """
        if not _entries(self._layout.trash):
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
        registry: Registry,
        *,
        valid: bool,
    ) -> None:
        """Put an object's record to its place, with all that others said it needs.

        The database will hold the references of all who published the object; the
        record must not know less.
        """
        own = frozenset(staged.info.references)
        known = registry.references(path) | self._placed.get(path, frozenset())
        self._placed[path] = own | known
        if valid and own <= known:
            return
        record = staged.record
        if not known <= own:
            record = self._completed(record, own | known, staging)
        target = os.fsencode(self._layout.record(path))
        self._rename(record, target, keep=valid)

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

    def _take_back(self) -> None:
        """Bring what was placed back to staging, where it is removed."""
        with suppress(OSError):
            # The pool has blobs now that no object links.
            self._layout.leftovers.touch()
        for move, target, place in reversed(self._undo):
            try:
                if os.path.isdir(target):
                    os.chmod(target, 0o700)
                move(target, place)
            except OSError:
                # It stays as garbage without a row, which nobody trusts.
                continue


def _entries(folder: bytes) -> list[bytes]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []
