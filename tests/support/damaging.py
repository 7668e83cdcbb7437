"""A small store to be damaged, and every way in which a test damages it."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fromager.store import (
    Digest,
    Link,
    ObjectInfo,
    Realisation,
    blob_digest,
    open_store,
)
from support.trees import Program, Sketch, write_sketch

if TYPE_CHECKING:
    from collections.abc import Callable

NOW: Final = 1_800_000_000
KEY: Final = blob_digest(b"key")
FOLDER: Final[dict[str, Sketch]] = {
    "lib": {"a.py": b"content of a", "b.py": b"shared", "deep": {"c": b"c"}},
    "run": Program(b"#!shared"),
    "link": Link("lib/a.py"),
    "empty": b"",
}
OTHER: Final[dict[str, Sketch]] = {"same.py": b"shared", "own": b"own"}


@dataclass(frozen=True)
class Victim:
    """A store with a few objects and a claim."""

    root: Path
    thing: ObjectInfo
    """A tree; refers to `derivation`."""
    other: ObjectInfo
    """A tree that shares a file with `thing`."""
    derivation: ObjectInfo
    """A blob."""
    claim: Realisation

    @property
    def private(self) -> Path:
        """All that is no object."""
        return self.root / ".fromager"

    @property
    def place(self) -> Path:
        """Where `thing` lies."""
        return self.thing.path.below(self.root)

    @property
    def record(self) -> Path:
        """The record of `thing`."""
        return self.private / "records" / f"{self.thing.path}.json"

    @property
    def claim_file(self) -> Path:
        """The record of the claim."""
        (found,) = (self.private / "realisations").glob("*/*/*.json")
        return found

    def blob(self, content: bytes, suffix: str = "") -> Path:
        """Where the pool holds these bytes."""
        digits = blob_digest(content).hex
        return self.private / "blobs" / digits[:2] / f"{digits[2:]}{suffix}"

    def sql(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """Do something to the database behind the store's back."""
        path = self.private / "db.sqlite"
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            return connection.execute(statement, values).fetchall()


def make_victim(folder: Path) -> Victim:
    """A sound store in a new folder."""
    with open_store(folder / "store", clock=lambda: float(NOW)) as store:
        with store.transaction() as transaction:
            derivation = transaction.add_bytes(b"the derivation", "thing.drv")
            thing = transaction.add_directory(
                write_sketch(folder / "thing", FOLDER),
                "thing",
                references=[derivation.path],
            )
            other = transaction.add_directory(
                write_sketch(folder / "other", OTHER), "other"
            )
            claim = Realisation(
                *(KEY, derivation.path, "wheel", "thing==1"),
                *(thing.path, thing.digest),
            )
            transaction.register(claim)
        return Victim(store.root, thing, other, derivation, claim)


def rewrite(path: Path, content: bytes) -> None:
    """Other bytes in the same file, as a disk or an editor of root's writes them."""
    mode, times = path.stat().st_mode, path.stat().st_mtime_ns
    path.chmod(0o600)
    path.write_bytes(content)
    path.chmod(mode & 0o7777)
    os.utime(path, ns=(times, times))


def replace(path: Path, content: bytes, mode: int = 0o444) -> None:
    """Another file at the same place."""
    path.unlink()
    path.write_bytes(content)
    path.chmod(mode)
    os.utime(path, (1, 1))


def in_folder(folder: Path, work: Callable[[], object]) -> None:
    """Do something to a folder's entries, and leave no other trace."""
    folder.chmod(0o755)
    work()
    folder.chmod(0o555)
    os.utime(folder, (1, 1))


def flip(content: bytes) -> bytes:
    """The same bytes with one bit changed."""
    return bytes([content[0] ^ 1]) + content[1:]


def instead_of_run(victim: Victim, make: Callable[[Path], object]) -> None:
    """Something else in the place of a file."""

    def change() -> None:
        (victim.place / "run").unlink()
        make(victim.place / "run")

    in_folder(victim.place, change)


def _link_elsewhere(victim: Victim) -> None:
    def change() -> None:
        (victim.place / "link").unlink()
        (victim.place / "link").symlink_to("run")
        os.utime(victim.place / "link", (1, 1), follow_symlinks=False)

    in_folder(victim.place, change)


def _folder_as_link(victim: Victim) -> None:
    def change() -> None:
        shutil.move(victim.place / "lib", victim.root.parent / "moved")
        (victim.place / "lib").symlink_to(victim.root.parent / "moved")
        os.utime(victim.place / "lib", (1, 1), follow_symlinks=False)

    in_folder(victim.place, change)


def _blob_as_folder(victim: Victim) -> None:
    victim.blob(b"own").unlink()
    victim.blob(b"own").mkdir()


def _gone(victim: Victim) -> None:
    victim.place.rename(victim.root.parent / "gone")


def _file_instead(victim: Victim) -> None:
    _gone(victim)
    victim.place.write_bytes(b"")


def _foreign_record(victim: Victim) -> None:
    other = victim.private / "records" / f"{victim.other.path}.json"
    replace(victim.record, other.read_bytes())


def _swapped_blobs(victim: Victim) -> None:
    """Both names of the pool, and all files, are whole; each is the other's."""
    one, other = victim.blob(b"c"), victim.blob(b"")
    one.unlink()
    os.link(other, one)


DAMAGES: Final[dict[str, Callable[[Victim], object]]] = {
    "a bit of a file": lambda v: rewrite(v.place / "run", flip(b"#!shared")),
    "a bit of a blob": lambda v: rewrite(
        v.derivation.path.below(v.root), flip(b"the derivation")
    ),
    "a shared file": lambda v: rewrite(v.place / "lib/b.py", b"Shared"),
    "a shorter file": lambda v: rewrite(v.place / "lib/a.py", b"content"),
    "an emptied file": lambda v: rewrite(v.place / "lib/a.py", b""),
    "a longer file": lambda v: rewrite(v.place / "empty", b"no more"),
    "another file": lambda v: in_folder(
        v.place / "lib", lambda: replace(v.place / "lib/a.py", b"Content of a")
    ),
    "a file is missing": lambda v: in_folder(v.place, (v.place / "run").unlink),
    "a folder is missing": lambda v: in_folder(
        v.place / "lib", lambda: shutil.rmtree(v.place / "lib/deep")
    ),
    "a file too many": lambda v: in_folder(
        v.place / "lib", lambda: (v.place / "lib/new.pyc").write_bytes(b"")
    ),
    "a folder for a file": lambda v: instead_of_run(v, Path.mkdir),
    "a link for a file": lambda v: instead_of_run(v, lambda path: path.symlink_to("x")),
    "a link for a folder": _folder_as_link,
    "a pipe for a file": lambda v: instead_of_run(v, os.mkfifo),
    "a link elsewhere": _link_elsewhere,
    "a writable file": lambda v: (v.place / "run").chmod(0o755),
    "a file that is executable": lambda v: (v.place / "empty").chmod(0o555),
    "a setuid file": lambda v: (v.place / "run").chmod(0o4555),
    "a writable folder": lambda v: (v.place / "lib").chmod(0o755),
    "a file's time": lambda v: os.utime(v.place / "lib/deep/c", (2, 2)),
    "a folder's time": lambda v: os.utime(v.place, (2, 2)),
    "an object is missing": _gone,
    "a file for an object": _file_instead,
    "a record is missing": lambda v: v.record.unlink(),
    "a torn record": lambda v: replace(v.record, v.record.read_bytes()[:-20]),
    "an empty record": lambda v: replace(v.record, b""),
    "another object's record": _foreign_record,
    "the pool lacks a file": lambda v: v.blob(b"own").unlink(),
    "the pool has another file": lambda v: replace(v.blob(b"own"), b"OWN"),
    "the pool has a longer file": lambda v: replace(v.blob(b"own"), b"longer"),
    "the pool has a folder": _blob_as_folder,
    "the pool has two names for one file": _swapped_blobs,
    "a row's size": lambda v: v.sql("UPDATE objects SET size = 5 WHERE name = 'thing'"),
    "a row's digest": lambda v: v.sql(
        "UPDATE objects SET digest = ? WHERE name = 'thing'", KEY.hex
    ),
    "a row's kind": lambda v: v.sql(
        "UPDATE objects SET kind = 'blob' WHERE name = 'thing'"
    ),
    "a claim's file is missing": lambda v: v.claim_file.unlink(),
    "a claim's file is torn": lambda v: replace(
        v.claim_file, v.claim_file.read_bytes()[:-1]
    ),
    "a claim's row is torn": lambda v: v.sql(
        "UPDATE realisations SET content = substr(content, 1, 20)"
    ),
    "a claim's row is another's": lambda v: v.sql(
        "UPDATE realisations SET key = ?", str(Digest(bytes(32)))
    ),
    "a claim's name": lambda v: v.sql("UPDATE realisations SET record = 'x'"),
}
"""What happens to a store behind its back. Whatever is damaged, all of it is still
somewhere in the store, but for the bytes of what is in `LOST`."""

LOST: Final = frozenset(
    {
        *("a bit of a file", "a bit of a blob", "a shared file", "a shorter file"),
        *("an emptied file", "a longer file"),
    }
)
"""Those after which no copy is left."""
