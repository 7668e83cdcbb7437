"""Making the database anew, from what lies in the store: objects, records and claims.

Lost are statistics only: when an object was used last, and what can be computed anew.
The writer's lock is held all the time, so that nothing is published meanwhile.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from stat import S_ISDIR
from typing import TYPE_CHECKING, Final

from fromager.store.api import ObjectInfo
from fromager.store.audit import note_verified, read_claim
from fromager.store.beneath import NOTHING
from fromager.store.damage import Damage, DamageKind, RebuiltDatabase
from fromager.store.database import create_database, database_errors
from fromager.store.durability import storage_error, sync_each
from fromager.store.errors import InvalidRecord
from fromager.store.examine import Examiner, Row
from fromager.store.layout import StoreLayout
from fromager.store.locks import ANONYMOUS, held_briefly
from fromager.store.opening import (
    read_version,
    require_store,
    require_writable,
    write_version,
)
from fromager.store.records import ObjectRecord, load_record
from fromager.store.sharing import SharedSet, share
from fromager.store.staging import FOLDER_MODE, MTIME
from fromager.store.succession import settle, succeed
from fromager.store.tree import members_by_file
from fromager.store.writer import INSERT_CLAIM, Registry, claim_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from fromager.store.beneath import Beneath
    from fromager.store.digest import Digest
    from fromager.store.locks import Caller
    from fromager.store.path import StorePath
    from fromager.store.realisation import Realisation

_OPEN_MODES: Final = (0o700, 0o755)
"""Those of a folder that was just put to its place, and not yet closed."""


@dataclass(frozen=True, slots=True)
class _Known:
    """An object's record, and when it was written."""

    record: ObjectRecord
    written: int


def rebuild_database(
    root: Path,
    *,
    clock: Callable[[], float],
    effect: Callable[[str], None] = lambda name: None,
    contents: bool = True,
    processes: int = 1,
    beneath: Beneath = NOTHING,
    caller: Caller = ANONYMOUS,
) -> RebuiltDatabase:
    """Make the database of the store in a folder anew, whatever has become of it.

    Objects are looked at as by verifying; without `contents` their bytes are not
    read. What is damaged is in the database, but withheld; so is what refers to
    something that is neither here nor `beneath`.

    Raises:
        StoreUnavailable: there is no store, or it is another user's.
        StoreFull: no space is left; the old database is still there.
    """
    layout = StoreLayout(root.absolute())
    marked = _is_marked(layout)
    require_writable(layout)
    try:
        for folder in layout.folders:
            if not folder.is_dir():
                effect("make folder")
                folder.mkdir(parents=True)
        with held_briefly(layout.locks / "writer", caller, clock(), effect):
            settle(layout, locked=True)
            rebuilder = _Rebuilder(layout, clock, effect, contents, processes, beneath)
            rebuilt = rebuilder.run()
            if not marked:
                effect("write version")
                write_version(layout)
            return rebuilt
    except OSError as error:
        raise storage_error(layout.root, error) from error


def _is_marked(layout: StoreLayout) -> bool:
    """Whether the mark of a store is there; where it is not, it may have been lost.

    Raises:
        StoreUnavailable: there is no store, or it is a newer one.
    """
    try:
        read_version(layout)
    except InvalidRecord:
        return False
    except FileNotFoundError:
        if (layout.private / "records").is_dir():
            return False
    except OSError:
        pass
    require_store(layout)
    return True


@dataclass(frozen=True)
class _Rebuilder:
    layout: StoreLayout
    clock: Callable[[], float]
    effect: Callable[[str], None]
    contents: bool
    processes: int
    beneath: Beneath

    def run(self) -> RebuiltDatabase:
        unreadable: list[Damage] = []
        known = self._records(unreadable)
        claims = self._claims(unreadable)
        self._close(known)
        damages = [*self._look(known), *_lacking(known, self.beneath)]
        new = self.layout.database.with_name("db.sqlite.new")
        for suffix in ("", "-wal", "-shm", "-journal"):
            self.effect("remove database")
            new.with_name(new.name + suffix).unlink(missing_ok=True)
        self.effect("make database")
        create_database(self.layout.root, new)
        self._fill(new, known, claims, damages)
        sync_each([os.fsencode(new)])
        succeed(self.layout, new, self.effect)
        return RebuiltDatabase(
            len(known),
            len(claims),
            tuple(sorted({*damages})),
            tuple(sorted(unreadable)),
        )

    def _records(self, unreadable: list[Damage]) -> dict[StorePath, _Known]:
        known: dict[StorePath, _Known] = {}
        for place in sorted((self.layout.private / "records").iterdir()):
            named = str(place.relative_to(self.layout.root))
            try:
                record = load_record(place.read_bytes())
            except (InvalidRecord, OSError) as error:
                detail = f"the record cannot be read: {error}"
                unreadable.append(Damage(named, detail, DamageKind.RECORD))
                continue
            if place != self.layout.record(record.path):
                detail = f"it is the record of {record.path}"
                unreadable.append(Damage(named, detail, DamageKind.RECORD))
                continue
            known[record.path] = _Known(record, int(place.stat().st_mtime))
        return known

    def _claims(self, unreadable: list[Damage]) -> list[tuple[Realisation, int]]:
        claims: list[tuple[Realisation, int]] = []
        written: dict[Digest, int] = {}
        for place in sorted(self.layout.realisation_files()):
            try:
                claim = read_claim(place.read_bytes(), place.name.removesuffix(".json"))
            except (InvalidRecord, OSError) as error:
                named = str(place.relative_to(self.layout.root))
                detail = f"the claim cannot be read: {error}"
                unreadable.append(Damage(named, detail, DamageKind.RECORD))
                continue
            status = place.stat()
            written[claim.record_digest] = status.st_mtime_ns
            claims.append((claim, int(status.st_mtime)))
        # In the order in which they were made: of those of one second the last counts.
        return sorted(claims, key=lambda each: written[each[0].record_digest])

    def _close(self, known: Iterable[StorePath]) -> None:
        """Finish folders that a kill left open, between two steps of publishing."""
        for path in known:
            place = self.layout.object(path)
            try:
                status = os.lstat(place)
            except FileNotFoundError:
                continue
            if S_ISDIR(status.st_mode) and status.st_mode & 0o7777 in _OPEN_MODES:
                self.effect("close object")
                os.chmod(place, FOLDER_MODE)
                os.utime(place, ns=MTIME)

    def _look(self, known: Mapping[StorePath, _Known]) -> list[Damage]:
        """What of the objects is damaged."""
        claimed = SharedSet()
        rows = [Row.of(each.record) for each in known.values()]
        rows.sort(key=lambda row: row.size, reverse=True)

        def work(mine: Iterator[Row]) -> list[Damage]:
            examiner = Examiner(self.layout, claimed.claim, contents=self.contents)
            return [damage for row in mine for damage in examiner.object(row)]

        parts = share(rows, work, self.processes)
        found = [damage for part in parts for damage in part]
        return [*found, *self._sharing(found, known)]

    def _sharing(
        self, damages: Iterable[Damage], known: Mapping[StorePath, _Known]
    ) -> Iterator[Damage]:
        """Damage of objects that share bytes with those: each was read once only."""
        files = {damage.file for damage in damages if damage.file is not None}
        examiner = Examiner(self.layout, contents=self.contents)
        for each in known.values() if files else ():
            if not files.isdisjoint(members_by_file(each.record.content)):
                yield from examiner.object(Row.of(each.record))

    def _fill(
        self,
        new: Path,
        known: Mapping[StorePath, _Known],
        claims: Iterable[tuple[Realisation, int]],
        damages: list[Damage],
    ) -> None:
        with (
            database_errors(self.layout.root),
            closing(sqlite3.connect(new, isolation_level=None)) as connection,
        ):
            now = int(self.clock())
            registry = Registry(connection, now)
            self.effect("fill database")
            infos = [_info(each, known, self.beneath) for each in known.values()]
            registry.commit(infos, ())
            rows = [claim_values(claim, written) for claim, written in claims]
            registry.execute_all([(INSERT_CLAIM, rows)], durable=True)
            note_verified(registry, now, known if self.contents else (), damages)
            # When it is closed, SQLite does this too, but does not say if it fails;
            # what is left in the log then would be lost with it.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _lacking(known: Mapping[StorePath, _Known], beneath: Beneath) -> Iterator[Damage]:
    """Objects that refer to what is not there: they are of no use."""
    for path, each in known.items():
        for reference in each.record.references:
            if reference not in known and beneath.info(reference) is None:
                detail = f"it needs {reference}, which is not there"
                yield Damage(str(path), detail, DamageKind.MISSING, path)


def _info(
    each: _Known, known: Mapping[StorePath, _Known], beneath: Beneath
) -> ObjectInfo:
    record = each.record
    return ObjectInfo(
        path=record.path,
        digest=record.digest,
        kind=record.kind,
        size=record.content.size,
        references=tuple(
            path
            for path in record.references
            if path in known or beneath.info(path) is not None
        ),
        registered=each.written,
    )
