"""Users' links into the store, read: what each leads to now, and whether it is there.

A link that is gone is no root. One that cannot be read, or whose file system is not
mounted now, may still be there: what it led to stays.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from enum import Enum
from errno import EINVAL
from time import time_ns
from typing import TYPE_CHECKING, Final, NamedTuple

from fromager.store.errors import InvalidName, InvalidRecord, ObjectMissing
from fromager.store.file_status import RACY_NS
from fromager.store.path import StorePath, check_path
from fromager.store.realisation import NOT_A_RECORD

if TYPE_CHECKING:
    from pathlib import Path

    from fromager.store.layout import StoreLayout

RECORD_VERSION: Final = 1

MARKED: Final = (0, 0)
"""Access and modification time of the folder of listings while it is watched."""


class LinkState(Enum):
    """What is known of a user's link."""

    THERE = "there"
    GONE = "gone"
    """It was removed, or leads elsewhere: it keeps nothing alive."""
    UNREADABLE = "unreadable"
    """Whether it is there cannot be told: it keeps what it was made for."""


class LinkRoot(NamedTuple):
    """A user's link into the store, as it was found. There may be very many."""

    link: str
    state: LinkState
    target: str
    """The store path of what it leads to; if that cannot be told, of what it led to
    when it was made."""
    made: int
    """Seconds since the epoch."""
    listing: str
    """The file that lists it."""


class Links:
    """The links that are listed. What was read of one is not read again."""

    def __init__(self, layout: StoreLayout) -> None:
        self._layout = layout
        self._folder: tuple[int, int] | None = None
        self._marked = False
        self._listed: dict[str, tuple[LinkRoot, str | None]] = {}
        self._identities: dict[str, tuple[int, int, int]] = {}
        self._all: tuple[LinkRoot, ...] = ()

    def watch(self) -> None:
        """See from now on that a link is listed, in whichever tick of the clock.

        The folder gets a time that no change of it can give it. Only one may do so at
        a time: who collects garbage. What it listed before is looked at again.
        """
        self._folder = None
        # Only its owner may set it: others look at each listing while it is new.
        with suppress(PermissionError):
            os.utime(self._layout.links, ns=MARKED)
            self._marked = True

    def all(self) -> tuple[LinkRoot, ...]:
        """All links that are listed, as they are now; nothing is changed.

        It is the same object as before if all is as it was.

        Raises:
            InvalidRecord: a file that is no listing: what it kept alive is not known.
        """
        try:
            status = os.stat(self._layout.links)
        except FileNotFoundError:
            return ()
        folder = (status.st_ino, status.st_mtime_ns)
        before = self._listed
        if folder != self._folder:
            self._listed = self._read(before)
            # One that is made within a tick of the clock would not be seen.
            old = status.st_mtime_ns < time_ns() - RACY_NS
            marked = self._marked and status.st_mtime_ns == MARKED[1]
            self._folder = folder if old or marked else None
        else:
            self._listed = self._looked(before)
        if self._listed is not before:
            self._all = tuple([root for root, _ in self._listed.values()])
        return self._all

    def _looked(
        self, before: dict[str, tuple[LinkRoot, str | None]]
    ) -> dict[str, tuple[LinkRoot, str | None]]:
        """What is listed is as it was; the links are read again."""
        changed = {
            listing: root
            for listing, (root, target) in before.items()
            if target is None or not _leads_to(root.link, target)
        }
        found = dict(before) if changed else before
        for listing in changed:
            with suppress(FileNotFoundError):
                found[listing] = read_link(self._layout, listing, _content(listing)[0])
        return found

    def _read(
        self, before: dict[str, tuple[LinkRoot, str | None]]
    ) -> dict[str, tuple[LinkRoot, str | None]]:
        """Read all that is listed, but what is as it was."""
        folder = os.fspath(self._layout.links)
        listed: dict[str, tuple[LinkRoot, str | None]] = {}
        for name in sorted(os.listdir(folder)):
            if not name.endswith(".json"):
                continue
            listing = f"{folder}/{name}"
            with suppress(FileNotFoundError):
                seen = before.get(listing)
                if seen and self._identities[listing] == _identity(os.stat(listing)):
                    root, target = seen
                    if target is not None and _leads_to(root.link, target):
                        listed[listing] = seen
                        continue
                content, identity = _content(listing)
                listed[listing] = read_link(self._layout, listing, content)
                self._identities[listing] = identity
        return listed


def _leads_to(link: str, target: str) -> bool:
    try:
        return os.readlink(link) == target
    except OSError:
        return False


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    """What a file has that is never written to, and no other that replaces it."""
    return status.st_ino, status.st_mtime_ns, status.st_size


def _content(listing: str) -> tuple[bytes, tuple[int, int, int]]:
    """The bytes of a listing, and which file it is."""
    descriptor = os.open(listing, os.O_RDONLY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        return os.read(descriptor, status.st_size), _identity(status)
    finally:
        os.close(descriptor)


def read_link(
    layout: StoreLayout, listing: str, content: bytes
) -> tuple[LinkRoot, str | None]:
    """The link that is listed with this content, and the text of one that is there.

    Raises:
        InvalidRecord: the content is no listing.
    """
    try:
        value = json.loads(content.decode("ascii"))
        if value["version"] != RECORD_VERSION:
            raise InvalidRecord(listing, f"version {value['version']} is unknown")
        link, mount, path = value["link"], value["mount"], check_path(value["path"])
        if not (isinstance(link, str) and isinstance(mount, str)):
            raise InvalidRecord(listing, "a place that is no text")
        made = int(value["made"])
    except NOT_A_RECORD as error:
        raise InvalidRecord(listing, f"not the listing of a link: {error}") from None
    try:
        target = os.readlink(link)
        now = _object_at(layout, target, path, os.path.dirname(link))
        return LinkRoot(link, LinkState.THERE, now, made, listing), target
    except ObjectMissing:
        state = LinkState.GONE
    except (FileNotFoundError, NotADirectoryError):
        state = LinkState.GONE if os.path.ismount(mount) else LinkState.UNREADABLE
    except (OSError, ValueError) as error:
        # That is what is said of a file or folder that is no link.
        gone = isinstance(error, OSError) and error.errno == EINVAL
        state = LinkState.GONE if gone else LinkState.UNREADABLE
    return LinkRoot(link, state, path, made, listing), None


def object_at(layout: StoreLayout, place: Path) -> StorePath:
    """The object that a place is or lies in, be it there or not.

    Raises:
        ObjectMissing: no object can be at that place.
    """
    return StorePath.parse(_object_at(layout, os.fspath(place), None, ""))


def _object_at(layout: StoreLayout, place: str, likely: str | None, folder: str) -> str:
    """The store path in a place, which may be below a folder."""
    if likely is not None:
        for above in layout.names:
            if place.startswith(above) and place[len(above) :] == likely:
                return likely
    # Not resolved: links inside of an object are its own.
    normal = os.path.abspath(os.path.join(folder, place))
    for above in layout.names:
        if normal.startswith(above):
            with suppress(InvalidName):
                return check_path(normal[len(above) :].partition("/")[0])
    raise ObjectMissing(place)
