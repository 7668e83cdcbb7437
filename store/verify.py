"""Verifying: every object is what it was when it was published, down to the bytes.

What is found damaged is looked at once more while nobody can write, since it may have
been deleted or replaced meanwhile; then it is withheld. Before that, what the pool
holds for it is removed if it is wrong, so that nothing new is made of it.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from stat import S_ISREG
from typing import TYPE_CHECKING, Final, TypeAlias

from fromager.store.audit import all_rows, check_claims, claim_rows, note_verified
from fromager.store.damage import Damage, DamageKind, Verification, damaged_objects
from fromager.store.digest import Digest
from fromager.store.errors import ObjectMissing
from fromager.store.examine import Examiner, Row, number_of
from fromager.store.layout import PRIVATE
from fromager.store.removal import remove_tree
from fromager.store.sharing import SharedSet, share
from fromager.store.tree import File

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from fromager.store.audit import Query
    from fromager.store.layout import StoreLayout
    from fromager.store.path import StorePath
    from fromager.store.writer import Writer

_SHARD: Final = re.compile(rb"[0-9a-f]{2}")
_BLOB: Final = re.compile(rb"([0-9a-f]{62})(\.x)?")
_NO_OBJECTS: Final = {PRIVATE, "lost+found"}

Task: TypeAlias = "Row | bytes"
"""An object, or one of the pool's folders."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is to be verified."""

    paths: frozenset[StorePath] | None = None
    """These objects; None for the whole store: all objects, the pool, the claims."""
    max_age: float | None = None
    """Leave out what was verified, or written, so many seconds ago or less."""
    budget: float | None = None
    """Begin nothing more after so many seconds."""


@dataclass
class _Part:
    """What one process found."""

    done: list[StorePath] = field(default_factory=list)
    damages: list[Damage] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    files: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Verifier:
    """Verifies a store."""

    layout: StoreLayout
    query: Query
    writer: Writer | None
    """None where this user may not write: damage is told, and nothing is changed."""
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    effect: Callable[[str], None]
    processes: int = 1
    progress: Callable[[int, int], None] = lambda number, total: None
    """Called with how many objects were begun, and how many there are."""

    def run(self, scope: Scope) -> Verification:
        """Look at what is due, the least recently verified first.

        Raises:
            ObjectMissing: a path that the database does not know.
        """
        rows = all_rows(self.query)
        known = {row.path for row in rows}
        for path in sorted((scope.paths or frozenset()) - known):
            raise ObjectMissing(str(path))
        now = int(self.clock())
        due = plan(rows, scope, now)
        part = self._share(due, scope)
        claims, damages = 0, list[Damage]()
        leftovers = part.leftovers
        if scope.paths is None:
            rows_of_claims = claim_rows(self.query)
            claims = len(rows_of_claims)
            damages = check_claims(self.layout, rows_of_claims)
        suspects = self._suspects(part.damages, rows)
        if self.writer is None:
            found = self._again(suspects, part.damages, self.query)
            leftovers += self._without_rows(scope, self.query)
        else:
            with self.writer.held() as registry:
                found = self._again(suspects, part.damages, registry.query)
                leftovers += self._without_rows(scope, registry.query)
                if damages:
                    damages = check_claims(self.layout, claim_rows(registry.query))
                clear_pool(self.layout, _files(found), self.effect)
                note_verified(registry, now, part.done, found)
        return Verification(
            damages=tuple(sorted({*found, *damages})),
            leftovers=tuple(sorted(leftovers)),
            objects=len(part.done),
            claims=claims,
            files=part.files,
            bytes=part.bytes,
            remaining=len(due) - len(part.done),
        )

    def _share(self, due: Sequence[Row], scope: Scope) -> _Part:
        """Look at what is due, in several processes."""
        began, claimed = self.monotonic(), SharedSet()
        tasks: list[Task] = [*due]
        if scope.paths is None:
            tasks += _folders(self.layout)
        whole = scope.paths is None and scope.max_age is None
        parent = os.getpid()

        def work(mine: Iterator[tuple[int, Task]]) -> _Part:
            part, examiner = _Part(), Examiner(self.layout, claimed.claim)
            for number, task in mine:
                late = self.monotonic() - began
                if scope.budget is not None and late >= scope.budget:
                    break
                if os.getpid() == parent:
                    self.progress(min(number, len(due)), len(due))
                if isinstance(task, Row):
                    part.damages += examiner.object(task)
                    part.done.append(task.path)
                else:
                    _look_at_pool(examiner, task, part, all_files=whole)
            part.files, part.bytes = examiner.files, examiner.volume
            return part

        parts = share(list(enumerate(tasks)), work, self.processes)
        return _Part(
            [path for part in parts for path in part.done],
            [damage for part in parts for damage in part.damages],
            [place for part in parts for place in part.leftovers],
            sum(part.files for part in parts),
            sum(part.bytes for part in parts),
        )

    def _suspects(
        self, damages: Iterable[Damage], rows: Iterable[Row]
    ) -> set[StorePath]:
        """The objects that are damaged, and those that share bytes with them."""
        found = set(damaged_objects(damages))
        digits = {d.file.digest.hex.encode() for d in damages if d.file is not None}
        if digits:
            for row in rows:
                with suppress(OSError):
                    content = self.layout.record(row.path).read_bytes()
                    if any(each in content for each in digits):
                        found.add(row.path)
        return found

    def _again(
        self, suspects: set[StorePath], damages: Iterable[Damage], query: Query
    ) -> list[Damage]:
        """What is still damaged, of objects that are still there, and of the pool."""
        if not suspects and not damages:
            return []
        examiner = Examiner(self.layout)
        found = [
            damage
            for row in all_rows(query)
            if row.path in suspects
            for damage in examiner.object(row)
        ]
        told = _files(found)
        for damage in damages:
            # Of the pool alone: whoever looked there first, an object may have it.
            file = damage.file if damage.object is None else None
            if file is None or file in told:
                continue
            if _is_wrong(examiner, file):
                found.append(damage)
        return found

    def _without_rows(self, scope: Scope, query: Query) -> list[str]:
        """What lies where objects, records and claims lie, and has no row."""
        if scope.paths is not None:
            return []
        paths = {str(row[0]) for row in query("SELECT path FROM objects", ())}
        claims = {str(row[0]) for row in query("SELECT record FROM realisations", ())}
        root, private = self.layout.root, self.layout.private
        found = [name for name in os.listdir(root) if name not in paths | _NO_OBJECTS]
        found += [
            os.fsdecode(os.path.relpath(place, self.layout.root_bytes))
            for place in set(_entries(self.layout.pool)) - set(_folders(self.layout))
        ]
        for record in (private / "records").iterdir():
            if record.name.removesuffix(".json") not in paths:
                found.append(str(record.relative_to(root)))
        for record in self.layout.realisation_files():
            if record.name.removesuffix(".json") not in claims:
                found.append(str(record.relative_to(root)))
        return found


def plan(rows: Sequence[Row], scope: Scope, now: int) -> list[Row]:
    """The objects that are due, in the order in which they are to be looked at.

    What was verified in the future was not: the clock was set back since.
    """

    def age(row: Row) -> float:
        unknown = row.withheld or row.verified > now
        return float("inf") if unknown else now - row.verified

    due = [row for row in rows if scope.paths is None or row.path in scope.paths]
    if scope.max_age is not None:
        due = [row for row in due if age(row) > scope.max_age]
    if scope.budget is None:
        # The largest first: the processes then end at about the same time.
        return sorted(due, key=lambda row: row.size, reverse=True)
    return sorted(due, key=lambda row: (-age(row), row.path))


def _entries(folder: bytes) -> list[bytes]:
    with os.scandir(folder) as entries:
        return sorted(entry.path for entry in entries)


def _folders(layout: StoreLayout) -> list[bytes]:
    """The folders of the pool."""
    return [
        path
        for path in _entries(layout.pool)
        if _SHARD.fullmatch(os.path.basename(path)) and os.path.isdir(path)
    ]


def _look_at_pool(
    examiner: Examiner, folder: bytes, part: _Part, *, all_files: bool
) -> None:
    """Look at the files that no object was seen to use: a new one might."""
    root = examiner.layout.root_bytes
    shard = os.path.basename(folder)
    with os.scandir(folder) as entries:
        for entry in entries:
            match = _BLOB.fullmatch(entry.name)
            if match is not None:
                digits = (shard + match[1]).decode()
                number = number_of(entry.inode(), int(digits[:16], 16))
                if all_files and not examiner.claim(number):
                    continue
            place = os.fsdecode(os.path.relpath(entry.path, root))
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # collected meanwhile
                continue
            if match is None or status.st_nlink == 1:
                part.leftovers.append(place)
            if match is None or not (all_files or status.st_nlink == 1):
                continue
            damage = _blob_damage(examiner, place, entry, status, digits)
            if damage is not None:
                file = File(Digest(bytes.fromhex(digits)), match[2] is not None)
                part.damages.append(replace(damage, file=file))


def _blob_damage(
    examiner: Examiner,
    place: str,
    entry: os.DirEntry[bytes],
    status: os.stat_result,
    digits: str,
) -> Damage | None:
    """What is wrong with a file of the pool."""
    if not S_ISREG(status.st_mode):
        return Damage(place, "it is no file", DamageKind.KIND)
    try:
        if examiner.digest_of(entry.path) == digits:
            return None
    except OSError as error:
        detail = f"it cannot be read: {error.strerror}"
        return Damage(place, detail, DamageKind.UNREADABLE)
    return Damage(place, "it has other bytes than its name says", DamageKind.BLOB)


def _files(damages: Iterable[Damage]) -> set[File]:
    return {damage.file for damage in damages if damage.file is not None}


def clear_pool(
    layout: StoreLayout, files: Iterable[File], effect: Callable[[str], None]
) -> None:
    """Remove what the pool holds for these and is wrong, so that nobody uses it.

    Objects that share the bytes keep their links. The caller may write.
    """
    examiner = Examiner(layout)
    for file in files:
        if _is_wrong(examiner, file):
            effect("remove blob")
            remove_tree(layout.blob(file))


def _is_wrong(examiner: Examiner, file: File) -> bool:
    """Whether the pool holds something for a file, and it is not that."""
    place = examiner.layout.blob(file)
    try:
        status = os.lstat(place)
        if not S_ISREG(status.st_mode):
            return True
        return examiner.digest_of(place) != file.digest.hex
    except FileNotFoundError:
        return False
    except OSError:
        return True
