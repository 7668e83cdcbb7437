"""Users' links into the store, read: what each leads to now, and whether it is there.

A link that is gone is no root. One that cannot be read, or whose file system is not
mounted now, may still be there: what it led to stays.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from enum import Enum
from errno import EINVAL
from time import time_ns
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from fromager.store.errors import InvalidName, InvalidRecord, ObjectMissing
from fromager.store.file_status import RACY_NS, is_settled
from fromager.store.mounts import ChangeTimes
from fromager.store.path import PATH_PATTERN, StorePath, check_path
from fromager.store.realisation import NOT_A_RECORD

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from fromager.store.layout import StoreLayout

RECORD_VERSION: Final = 1

_SIMPLE: Final = re.compile(
    r'\{"version": 1, "link": "([ !#-[\]-~]*)", "mount": "([ !#-[\]-~]*)",'
    rf' "path": "({PATH_PATTERN.pattern})", "made": ([0-9]{{1,18}})\}}'
)
"""Almost every listing, told several times faster than by a parser of JSON."""

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


class Listed(NamedTuple):
    """What the listing of a link says."""

    link: str
    mount: str
    """Where the file system was mounted on which it was made."""
    path: str
    """The store path of what it led to when it was made."""
    made: int
    listing: str


_Followed: TypeAlias = "dict[str, tuple[LinkRoot, str | None]]"
"""By listing, what was found, and the text of a link that is there."""


class Links:
    """The links that are listed. What was read of one is not read again."""

    def __init__(self, layout: StoreLayout) -> None:
        self._layout = layout
        self._folder: tuple[int, int] | None = None
        self._marked = False
        self._listed: dict[str, tuple[Listed, tuple[int, int, int]]] = {}
        self._by_place: dict[str, list[Listed]] = {}
        self._places = _Places()
        self._followed: _Followed = {}
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
        before = self._followed
        if folder != self._folder:
            self._read()
            # One that is made within a tick of the clock would not be seen.
            old = status.st_mtime_ns < time_ns() - RACY_NS
            marked = self._marked and status.st_mtime_ns == MARKED[1]
            self._folder = folder if old or marked else None
        self._follow()
        if self._followed is not before:
            self._all = tuple([root for root, _ in self._followed.values()])
        return self._all

    def _read(self) -> None:
        """Read all that is listed, but what is as it was."""
        folder = os.fspath(self._layout.links)
        before, self._listed, self._by_place = self._listed, {}, {}
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in sorted(os.listdir(descriptor)):
                if not name.endswith(".json"):
                    continue
                with suppress(FileNotFoundError):
                    listing = f"{folder}/{name}"
                    found = before.get(listing)
                    if not found or found[1] != _identity(
                        os.stat(name, dir_fd=descriptor)
                    ):
                        content, identity = _content(name, descriptor)
                        found = parse_listing(listing, content), identity
                    self._listed[listing] = found
                    place = os.path.dirname(found[0].link)
                    self._by_place.setdefault(place, []).append(found[0])
        finally:
            os.close(descriptor)
        if self._listed != before:
            known = self._followed
            self._followed = {
                listing: known[listing]
                for listing, now in self._listed.items()
                if before.get(listing) == now
            }

    def _follow(self) -> None:
        """Read again the links that may not be as they were."""
        known, changed = self._followed, {}
        anew = self._places.look(self._by_place)
        for place, listed in self._by_place.items():
            for each in listed:
                seen = known.get(each.listing)
                if seen is not None:
                    target = seen[1]
                    if target is not None and (
                        place not in anew or _leads_to(each.link, target)
                    ):
                        continue
                changed[each.listing] = follow(self._layout, each)
        if changed:
            found = known | changed
            self._followed = {listing: found[listing] for listing in self._listed}


class _Places:
    """Tells of the folders in which links lie whether something in them has changed.

    A folder's change time tells, where its file system keeps it, unless it is so new
    that another change may get the same.
    """

    def __init__(self) -> None:
        self._identities: dict[str, tuple[int, int, int] | None] = {}
        self._times = ChangeTimes()

    def look(self, folders: Iterable[str]) -> set[str]:
        """Those in which all has to be read again, after this.

        What has changed since they were looked at is among them.
        """
        before = self._identities
        self._identities = {folder: self._identity(folder) for folder in folders}
        return {
            folder
            for folder, now in self._identities.items()
            if now is None or now != before.get(folder)
        }

    def _identity(self, folder: str) -> tuple[int, int, int] | None:
        with suppress(OSError):
            status = os.stat(folder)
            sure = is_settled(status.st_ctime_ns, time_ns())
            if sure and self._times.hold(folder, status.st_dev):
                return status.st_dev, status.st_ino, status.st_ctime_ns
        return None


def _leads_to(link: str, target: str) -> bool:
    try:
        return os.readlink(link) == target
    except OSError:
        return False


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    """What a file has that is never written to, and no other that replaces it."""
    return status.st_ino, status.st_mtime_ns, status.st_size


def _content(name: str, folder: int) -> tuple[bytes, tuple[int, int, int]]:
    """The bytes of a listing in an open folder, and which file it is."""
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        status = os.fstat(descriptor)
        return os.read(descriptor, status.st_size), _identity(status)
    finally:
        os.close(descriptor)


def parse_listing(listing: str, content: bytes) -> Listed:
    """What a listing with this content says.

    Raises:
        InvalidRecord: the content is no listing.
    """
    try:
        text = content.decode("ascii")
        if simple := _SIMPLE.fullmatch(text):
            link, mount, path, made = simple.groups()
            return Listed(link, mount, path, int(made), listing)
        value = json.loads(text)
        if value["version"] != RECORD_VERSION:
            raise InvalidRecord(listing, f"version {value['version']} is unknown")
        link, mount, path = value["link"], value["mount"], check_path(value["path"])
        if not (isinstance(link, str) and isinstance(mount, str)):
            raise InvalidRecord(listing, "a place that is no text")
        return Listed(link, mount, path, int(value["made"]), listing)
    except NOT_A_RECORD as error:
        raise InvalidRecord(listing, f"not the listing of a link: {error}") from None


def follow(layout: StoreLayout, listed: Listed) -> tuple[LinkRoot, str | None]:
    """A link that is listed, as it is now, and its text if it is there."""
    link, mount, path, made, listing = listed
    try:
        target = os.readlink(link)
        now = _object_at(layout, target, path, link)
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


def _object_at(layout: StoreLayout, place: str, likely: str | None, link: str) -> str:
    """The store path in a place, which may be given from where a link lies."""
    if likely is not None:
        for above in layout.names:
            if place.startswith(above) and place[len(above) :] == likely:
                return likely
    # Not resolved: links inside of an object are its own.
    normal = os.path.abspath(os.path.join(os.path.dirname(link), place))
    for above in layout.names:
        if normal.startswith(above):
            with suppress(InvalidName):
                return check_path(normal[len(above) :].partition("/")[0])
    raise ObjectMissing(place)
