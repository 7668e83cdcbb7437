"""Opening a store: what must be there, and making it where it may be made."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fromager.store.database import create_database
from fromager.store.durability import storage_error, sync_each, sync_to_the_top
from fromager.store.effects import no_effect
from fromager.store.errors import DatabaseUnusable, InvalidRecord, StoreUnavailable
from fromager.store.layout import FORMAT, PRIVATE, StoreLayout
from fromager.store.locks import exclusive
from fromager.store.mounts import Trust, mount_of, parse_mounts

if TYPE_CHECKING:
    from collections.abc import Callable

PROBE: Final = ".fromager-probe-"
"""How the names of files begin with which locks are tried."""

RESERVE: Final = 4 << 20
"""Bytes that are set aside, so that garbage can be collected on a full disk."""

_MAY_BE_THERE: Final = {PRIVATE, "lost+found"}


def open_layout(
    layout: StoreLayout,
    mounts: bytes,
    *,
    create: bool,
    effect: Callable[[str], None] = no_effect,
) -> Access:
    """How the store at a place may be used; with `create` it is made if none is there.

    Raises:
        StoreUnavailable: there is none, or, with `create`, it cannot be written.
        StoreFull: no space is left to make it.
    """
    if create:
        ensure_store(layout, mounts, effect)
    require_store(layout)
    access = find_access(layout, mounts)
    if create and access.refusal is not None:
        raise access.refusal
    return access


def require_store(layout: StoreLayout) -> None:
    """Check that a store is there which this fromager knows; nothing is changed.

    Raises:
        StoreUnavailable: there is none, or it is too new, or damaged.
    """
    try:
        version = read_version(layout)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StoreUnavailable(
            layout.root,
            "there is no store at this place",
            "It is made when something is built or added",
        ) from error
    except OSError as error:
        raise storage_error(layout.root, error) from error
    except InvalidRecord as error:
        raise DatabaseUnusable(layout.root, str(error)) from error
    if version > FORMAT:
        raise StoreUnavailable(
            layout.root,
            f"its format is {version}, this fromager knows {FORMAT}",
            "Use the fromager that made it, or another store",
        )


def read_version(layout: StoreLayout) -> int:
    """The format of the store that is there.

    Raises:
        OSError: the file cannot be read.
        InvalidRecord: it does not say what it must.
    """
    content = layout.version.read_bytes()
    try:
        return int(json.loads(content)["format"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidRecord(str(layout.version), "it is damaged") from error


def write_version(
    layout: StoreLayout, effect: Callable[[str], None] = no_effect
) -> None:
    """Mark the folder as a store, durably."""
    new = layout.private / "version.new"
    effect("write version")
    new.write_bytes(json.dumps({"format": FORMAT}).encode() + b"\n")
    sync_each(os.fsencode(path) for path in (new, layout.private))
    effect("rename version")
    new.rename(layout.version)
    effect("sync creation")
    sync_each(os.fsencode(path) for path in (layout.private, layout.root))


@dataclass(frozen=True, slots=True)
class Access:
    """How this process may use a store."""

    refusal: StoreUnavailable | None = None
    """Why it must not be written to; None if it may be."""
    along: bool = True
    """Its file system shares memory between all who use it."""


def find_access(layout: StoreLayout, mounts: bytes, *, write: bool = True) -> Access:
    """How a store that is there may be used; `mounts` is what `read_mounts` gives.

    With `write` false it is used as if it could not be written.
    """
    along = _trust(layout.root, mounts) is not Trust.NETWORK
    try:
        if not write:
            raise StoreUnavailable(
                layout.root,
                "it is used read-only",
                "Name a store of your own, which lies above this one",
            )
        require_writable(layout)
        require_locks(layout, mounts)
    except StoreUnavailable as error:
        return Access(error, along)
    return Access()


def require_locks(layout: StoreLayout, mounts: bytes) -> None:
    """Check that a place, there or not, is one where locks hold.

    Raises:
        StoreUnavailable: its files come over a network, or locks do not work there.
    """
    place = Path(os.path.realpath(layout.root))
    mount = mount_of(place, parse_mounts(mounts))
    trust = Trust.UNKNOWN if mount is None else mount.trust
    if trust is Trust.LOCAL or (trust is Trust.UNKNOWN and _probe(place)):
        return
    raise StoreUnavailable(
        layout.root,
        f"it lies on {mount or 'an unknown file system'}, where locks of other "
        "machines and processes cannot be relied upon",
        "Use a folder on a disk of this machine; a store that is there already can be "
        "used read-only, below a store of your own",
    )


def require_writable(layout: StoreLayout) -> None:
    """Check that this user may change a store that is there.

    Raises:
        StoreUnavailable: it is another user's, or read-only.
    """
    owner = layout.private.stat().st_uid
    if owner != os.geteuid():
        raise StoreUnavailable(
            layout.root,
            f"it belongs to user {_user(owner)}, this is user {_user(os.geteuid())}",
            f"Use a store of your own, or become user {_user(owner)}",
        )
    for folder in (layout.root, layout.private):
        if not os.access(folder, os.W_OK | os.X_OK):
            raise StoreUnavailable(
                layout.root,
                f"{folder} is read-only",
                "Make it writable, or use another store",
            )


def ensure_store(
    layout: StoreLayout, mounts: bytes, effect: Callable[[str], None] = no_effect
) -> None:
    """Make a store if none is there; many processes may do so at once.

    Raises:
        StoreUnavailable: the place cannot be used.
        StoreFull: no space is left.
    """
    try:
        if layout.version.is_file():
            return
        require_locks(layout, mounts)
        _make_folder(layout.root, effect)
        _refuse_foreign(layout)
        _make_folder(layout.private, effect)
        with exclusive(layout.private / "creation.lock", effect):
            if not layout.version.exists():
                _create(layout, effect)
    except FileExistsError as error:
        raise StoreUnavailable(layout.root, f"{error.filename} is no folder") from error
    except OSError as error:
        raise storage_error(layout.root, error) from error


def _make_folder(folder: Path, effect: Callable[[str], None]) -> None:
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        effect("make folder")
        new.mkdir(exist_ok=True)


def _create(layout: StoreLayout, effect: Callable[[str], None]) -> None:
    for folder in layout.folders:
        _make_folder(folder, effect)
    if any((layout.private / "records").iterdir()):
        raise DatabaseUnusable(
            layout.root, f"{layout.version} is missing, though objects are there"
        )
    # An earlier attempt was cut off: nothing in it can be of use.
    for name in ("db.sqlite", "db.sqlite-wal", "db.sqlite-shm"):
        effect("remove database")
        (layout.private / name).unlink(missing_ok=True)
    effect("create database")
    create_database(layout.root, layout.database)
    reserve_space(layout, effect)
    effect("sync version")
    sync_each([os.fsencode(layout.links.parent)])
    sync_to_the_top(layout.private)
    write_version(layout, effect)


def reserve_space(
    layout: StoreLayout, effect: Callable[[str], None] = no_effect
) -> None:
    """Set space aside that is given up when garbage is collected, if there is enough.

    Deleting needs some itself: SQLite writes before it forgets.
    """
    with suppress(OSError):
        effect("reserve space")
        descriptor = os.open(layout.reserve, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, RESERVE)
        finally:
            os.close(descriptor)


def make_room(root: Path) -> None:
    """Give up the space that a store has set aside, if its file system has no other."""
    layout = StoreLayout(root.absolute())
    with suppress(OSError):
        disk = os.statvfs(layout.private)
        if disk.f_bavail * disk.f_frsize < RESERVE:
            layout.reserve.unlink()


def _refuse_foreign(layout: StoreLayout) -> None:
    there = {entry.name for entry in layout.root.iterdir()} - _MAY_BE_THERE
    others = sorted(name for name in there if not name.startswith(PROBE))
    if others and not layout.private.exists():
        raise StoreUnavailable(
            layout.root,
            f"the folder holds other things, such as {others[0]}",
            "Use an empty folder, or one that is not there yet",
        )


def _trust(root: Path, mounts: bytes) -> Trust:
    mount = mount_of(Path(os.path.realpath(root)), parse_mounts(mounts))
    return Trust.UNKNOWN if mount is None else mount.trust


def _probe(place: Path) -> bool:
    """Whether locks work at a place, or in the nearest folder above it."""
    from fromager.store.probing import locks_work

    locks = StoreLayout(place).locks
    folder = next(each for each in (locks, place, *place.parents) if each.is_dir())
    return locks_work(folder, PROBE)


def _user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
