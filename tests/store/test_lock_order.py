"""Locks are waited for in one order, and the watch that says so sees a breach."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from fromager.store import blob_digest, open_store
from support.lock_order import WATCH, Rank, rank_of

if TYPE_CHECKING:
    from pathlib import Path

KEY = blob_digest(b"key")

BREACH = """
import sys
from pathlib import Path
sys.path[:0] = {path!r}
from support.lock_order import WATCH, LockOrderError
from fromager.store import blob_digest, open_store
from fromager.store.locks import acquire, exclusive

def unheard(holder):
    pass

one, two = blob_digest(b"1"), blob_digest(b"2")
with open_store(Path({root!r})) as store:
    locks = store.root / ".fromager" / "locks"
    with store.build_lock(one, unheard), exclusive(locks / "writer"):
        pass
    try:
        with exclusive(locks / "writer"):
            acquire(locks / one.hex)
    except LockOrderError as error:
        print("key under writer")
    with store.build_lock(one, unheard):
        try:
            acquire(locks / two.hex, blocking=False)
        except LockOrderError as error:
            print("key under key")
"""


def test_the_watch_sees_a_breach(tmp_path: Path) -> None:
    code = BREACH.format(path=sys.path, root=str(tmp_path))

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert (done.stdout, done.stderr) == ("key under writer\nkey under key\n", "")


def test_locks_are_known_by_their_places() -> None:
    private = "/store/.fromager"
    assert rank_of(f"{private}/creation.lock") is Rank.CREATION
    assert rank_of(f"{private}/locks/{KEY.hex}") is Rank.KEY
    assert rank_of(f"{private}/locks/writer") is Rank.WRITER
    assert rank_of(f"{private}/locks/gc") is Rank.GARBAGE
    assert rank_of(f"{private}/leases/abc") is None
    assert rank_of("/elsewhere/locks/writer") is None


def test_a_build_takes_the_writer_under_its_key(tmp_path: Path) -> None:
    WATCH.waited.clear()

    with (
        open_store(tmp_path) as store,
        store.build_lock(KEY, print),
        store.scratch("work"),
        store.transaction() as transaction,
    ):
        transaction.add_bytes(b"content", "name")

    assert (Rank.KEY, Rank.WRITER) in WATCH.waited
