"""The succession of databases: a new one takes the place of one that is in use.

SQLite keeps a log beside a database and finds it by name; the log of its predecessor
would ruin a new database. So the successor is complete and on disk, under a name of
its own, before anything else happens. From then on, whoever opens the database first
finishes the succession: takes the logs away, then renames. A kill at any instant
leaves the old database or the new one, never a mixture.

Who still has the old one open sees another file at its path, and connects again.
SQLite in turn leaves the logs alone if its database is no longer at its path.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from fromager.store.durability import sync_each
from fromager.store.errors import StoreUnavailable
from fromager.store.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fromager.store.layout import StoreLayout

_LOGS: Final = ("-wal", "-shm", "-journal")


def successor(layout: StoreLayout) -> Path:
    """Where a database lies that is complete and about to become the store's."""
    return layout.database.with_name("db.sqlite.next")


def settle(layout: StoreLayout, *, locked: bool) -> None:
    """Finish a succession that was cut off; `locked` if the writer's lock is held.

    Raises:
        StoreUnavailable: this user may not do it.
    """
    if not successor(layout).exists():
        return
    if locked:
        _take_over(layout, lambda name: None)
        return
    try:
        with exclusive(layout.locks / "writer"):
            _take_over(layout, lambda name: None)
    except OSError as error:
        raise StoreUnavailable(
            layout.root,
            f"its database is being replaced ({error.strerror})",
            "Run the same command again",
        ) from error


def succeed(layout: StoreLayout, new: Path, effect: Callable[[str], None]) -> None:
    """Make a database that is closed and on disk the store's.

    The caller holds the writer's lock.
    """
    effect("name successor")
    new.rename(successor(layout))
    sync_each([os.fsencode(layout.private)])
    _take_over(layout, effect)


def _take_over(layout: StoreLayout, effect: Callable[[str], None]) -> None:
    next_one = successor(layout)
    if not next_one.exists():  # another process was quicker
        return
    for suffix in _LOGS:
        effect("remove log")
        layout.database.with_name(f"db.sqlite{suffix}").unlink(missing_ok=True)
    effect("replace database")
    next_one.rename(layout.database)
    sync_each([os.fsencode(layout.private)])
