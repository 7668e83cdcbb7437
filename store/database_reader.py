"""Reading a database whose folder must not be written to.

SQLite's readers of a database in WAL mode share memory with its writers: the file
`-shm`, which a reader makes if it is not there, and may only make where it may write.
Reading without it (`immutable=1`) is right only while nobody writes. So there are
three ways to read, and each is used only where it is right.

*Along*: `-shm` and `-wal` are there, and are used as they are (`readonly_shm=1`).

*Idle*: neither is there. All is in the database itself, which changes only after a
writer has made `-shm`. The last writer to leave removes that file under an exclusive
lock of the database, and we hold a shared one. So if `-shm` is not there after a
query, it was not there at any time before, and the answer is right. If it is, the
answer is thrown away, and the database is opened anew.

*Copy*: anywhere else, such as on a network's file system, where memory is not shared.
Database and log are read twice, one after the other. If both times gave the same
bytes, then these are the bytes that lay there at the moment between: as after a power
cut then, which SQLite recovers from.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import struct
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from blake3 import blake3

from fromager.store.errors import StoreUnavailable
from fromager.store.schema import version_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

WAIT_SECONDS: Final = 120.0
"""How long SQLite itself waits for a lock."""

_ATTEMPTS: Final = 100
_CHUNK: Final = 1 << 20
_SHARED_FIRST: Final = (1 << 30) + 2
_SHARED_SIZE: Final = 510
"""The bytes that a reader locks (SQLite's `os.h`: `SHARED_FIRST`, `SHARED_SIZE`)."""


def open_database(path: Path, options: str) -> sqlite3.Connection:
    """A connection for all threads, with SQLite's URI options; nothing is read yet."""
    quoted = str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return sqlite3.connect(
        f"file:{quoted}?{options}",
        uri=True,
        timeout=WAIT_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )


@dataclass(frozen=True, slots=True)
class _View:
    """An open connection, and what makes its answers right."""

    connection: sqlite3.Connection
    lock: int | None = None
    """Holds the shared lock; closed last, as closing any descriptor of a file gives
    up all of SQLite's own locks of it in this process."""
    idle: bool = False

    def close(self) -> None:
        self.connection.close()
        if self.lock is not None:
            os.close(self.lock)


class Reader:
    """Rows of a database, each answer from one moment; used by one thread at a time."""

    def __init__(
        self,
        root: Path,
        path: Path,
        prepare: Callable[[sqlite3.Connection], int],
        *,
        along: bool,
    ) -> None:
        """`prepare` is called with each new connection, and gives the version of its
        schema, or refuses it. When the version changes, it is called again.

        `along`: the file system shares memory between all who use the database.
        """
        self._root, self._path = root, path
        self._prepare, self._along = prepare, along
        self._shared_memory = path.with_name(f"{path.name}-shm")
        self._log = path.with_name(f"{path.name}-wal")
        self._view: _View | None = None
        self._version = 0

    def rows(self, query: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        """The rows that a query gives.

        Raises:
            sqlite3.Error, OSError: it cannot be read.
            StoreUnavailable: others write to it all the time, or it was refused.
        """
        for _ in range(_ATTEMPTS):
            known = self._view
            view = self._view = known or self._open()
            try:
                if known is None:
                    self._version = self._prepare(view.connection)
                found = view.connection.execute(query, values).fetchall()
            except (sqlite3.DatabaseError, StoreUnavailable):
                if not self._outdated(view):
                    if known is None:
                        self.close()
                    raise
            else:
                if not (self._outdated(view) or self._migrated(view)):
                    return found
            self.close()
        raise self._never_at_rest()

    @contextmanager
    def at_once(self) -> Iterator[sqlite3.Connection]:
        """A connection to a copy, all of whose answers are of one moment."""
        with closing(self._copied()) as connection:
            self._prepare(connection)
            yield connection

    def close(self) -> None:
        """Give the connection up; the next query opens it again."""
        if self._view is not None:
            self._view.close()
            self._view = None

    def _outdated(self, view: _View) -> bool:
        """Whether what a view said may be wrong."""
        if view.lock is None:
            return False
        if view.idle and self._shared_memory.exists():
            return True
        try:
            return not os.path.samestat(self._path.stat(), os.fstat(view.lock))
        except FileNotFoundError:
            return False

    def _migrated(self, view: _View) -> bool:
        """Whether the schema is another one than that which was prepared for."""
        return not view.idle and self._version != version_of(view.connection)

    def _open(self) -> _View:
        if self._along:
            lock = os.open(self._path, os.O_RDONLY)
            try:
                view = self._locked(lock)
                if view is not None:
                    return view
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)
        return _View(self._copied())

    def _locked(self, lock: int) -> _View | None:
        """A view that a shared lock makes right; None if none does."""
        if not _lock_shared(lock):
            return None
        shared = self._shared_memory.exists()
        logged = self._log.exists()
        if shared and logged:
            return _View(open_database(self._path, "mode=ro&readonly_shm=1"), lock)
        if shared or (logged and self._log.stat().st_size):
            return None
        connection = open_database(self._path, "mode=ro&immutable=1")
        return _View(connection, lock, idle=True)

    def _copied(self) -> sqlite3.Connection:
        import tempfile  # costs too much for those who need no copy

        for _ in range(_ATTEMPTS):
            with tempfile.TemporaryDirectory(prefix="fromager-") as folder:
                copy = Path(folder, "db")
                first = self._read(copy)
                if first != self._read(None):
                    continue
                memory = sqlite3.connect(":memory:", check_same_thread=False)
                with closing(open_database(copy, "mode=rw")) as source:
                    source.backup(memory)
                return memory
        raise self._never_at_rest()

    def _read(self, copy: Path | None) -> tuple[bytes, bytes]:
        """Digests of database and log; both are copied on the way, if it is asked."""
        database = _digest(self._path, copy)
        try:
            log = _digest(self._log, copy and copy.with_name(f"{copy.name}-wal"))
        except FileNotFoundError:
            log = b""
            if copy is not None:
                with suppress(FileNotFoundError):
                    copy.with_name(f"{copy.name}-wal").unlink()
        return database, log

    def _never_at_rest(self) -> StoreUnavailable:
        return StoreUnavailable(
            self._root,
            "its database changes faster than it can be read",
            "Try again when less is written to it",
        )


def _lock_shared(descriptor: int) -> bool:
    """Whether the lock of a reader could be had, until the descriptor is closed."""
    # A lock of the open file, not of the process: SQLite's own locks stay untouched.
    wanted = struct.pack(
        "hhqqi", fcntl.F_RDLCK, os.SEEK_SET, _SHARED_FIRST, _SHARED_SIZE, 0
    )
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLKW, wanted)
    except OSError:
        return False
    return True


def _digest(source: Path, copy: Path | None) -> bytes:
    hasher = blake3()
    with ExitStack() as opened:
        stream = opened.enter_context(source.open("rb", buffering=0))
        target = opened.enter_context(copy.open("wb")) if copy else None
        while content := stream.read(_CHUNK):
            hasher.update(content)
            if target is not None:
                target.write(content)
    return hasher.digest()
