"""Users' links into the store, read: what each leads to now, and whether it is there.

A link that is gone is no root. One that cannot be read, or whose file system is not
mounted now, may still be there: what it led to stays.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from errno import EINVAL
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING, Final

from fromager.store.errors import InvalidName, InvalidRecord, ObjectMissing
from fromager.store.file_status import RACY_NS
from fromager.store.path import StorePath
from fromager.store.realisation import NOT_A_RECORD

if TYPE_CHECKING:
    from fromager.store.layout import StoreLayout

RECORD_VERSION: Final = 1


class LinkState(Enum):
    """What is known of a user's link."""

    THERE = "there"
    GONE = "gone"
    """It was removed, or leads elsewhere: it keeps nothing alive."""
    UNREADABLE = "unreadable"
    """Whether it is there cannot be told: it keeps what it was made for."""


@dataclass(frozen=True, slots=True)
class LinkRoot:
    """A user's link into the store, as it was found."""

    link: Path
    state: LinkState
    target: StorePath
    """What it leads to; if that cannot be told, what it led to when it was made."""
    made: int
    """Seconds since the epoch."""
    listing: Path
    """The file that lists it."""


class Links:
    """The links that are listed. What was read of one is not read again."""

    def __init__(self, layout: StoreLayout) -> None:
        self._layout = layout
        self._folder: tuple[int, int] | None = None
        self._listed: dict[str, tuple[LinkRoot, str | None]] = {}
        self._identities: dict[str, tuple[int, int, int]] = {}

    def all(self) -> tuple[LinkRoot, ...]:
        """All links that are listed, as they are now; nothing is changed.

        Raises:
            InvalidRecord: a file that is no listing: what it kept alive is not known.
        """
        try:
            status = os.stat(self._layout.links)
        except FileNotFoundError:
            return ()
        folder = (status.st_ino, status.st_mtime_ns)
        if folder != self._folder:
            self._read()
            # One that is made within a tick of the clock would not be seen.
            old = status.st_mtime_ns < time_ns() - RACY_NS
            self._folder = folder if old else None
        else:
            self._look()
        return tuple(root for root, _ in self._listed.values())

    def _look(self) -> None:
        """Read the links again; what is listed is as it was."""
        for listing, (root, target) in self._listed.items():
            if target is None or not _leads_to(root.link, target):
                with suppress(FileNotFoundError):
                    content = _content(listing)
                    self._listed[listing] = read_link(self._layout, listing, content)

    def _read(self) -> None:
        """Read all that is listed, but what is as it was."""
        folder = os.fspath(self._layout.links)
        before, self._listed = self._listed, {}
        for name in sorted(os.listdir(folder)):
            if not name.endswith(".json"):
                continue
            listing = f"{folder}/{name}"
            with suppress(FileNotFoundError):
                status = os.stat(listing)
                identity = (status.st_ino, status.st_mtime_ns, status.st_size)
                seen = before.get(listing)
                if seen and self._identities[listing] == identity:
                    root, target = seen
                    if target is not None and _leads_to(root.link, target):
                        self._listed[listing] = seen
                        continue
                found = read_link(self._layout, listing, _content(listing))
                self._listed[listing] = found
                self._identities[listing] = identity


def _leads_to(link: Path, target: str) -> bool:
    try:
        return os.readlink(link) == target
    except OSError:
        return False


def _content(listing: str) -> bytes:
    descriptor = os.open(listing, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        return os.read(descriptor, size)
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
        link, mount = Path(value["link"]), os.fspath(value["mount"])
        path, made = StorePath.parse(value["path"]), int(value["made"])
    except NOT_A_RECORD as error:
        raise InvalidRecord(listing, f"not the listing of a link: {error}") from None
    try:
        target = os.readlink(link)
        place = target if target.startswith("/") else f"{link.parent}/{target}"
        now = _object_at(layout, place, path)
        return LinkRoot(link, LinkState.THERE, now, made, Path(listing)), target
    except ObjectMissing:
        state = LinkState.GONE
    except (FileNotFoundError, NotADirectoryError):
        state = LinkState.GONE if _is_mounted(Path(mount)) else LinkState.UNREADABLE
    except OSError as error:
        # That is what is said of a file or folder that is no link.
        gone = error.errno == EINVAL
        state = LinkState.GONE if gone else LinkState.UNREADABLE
    return LinkRoot(link, state, path, made, Path(listing)), None


def object_at(layout: StoreLayout, place: Path) -> StorePath:
    """The object that a place is or lies in, be it there or not.

    Raises:
        ObjectMissing: no object can be at that place.
    """
    return _object_at(layout, os.fspath(place), None)


def _object_at(layout: StoreLayout, place: str, likely: StorePath | None) -> StorePath:
    # Not resolved: links inside of an object are its own.
    normal = os.path.abspath(place)
    for above in layout.names:
        if normal.startswith(above):
            name = normal[len(above) :].partition("/")[0]
            if likely is not None and name == str(likely):
                return likely
            with suppress(InvalidName):
                return StorePath.parse(name)
    raise ObjectMissing(place)


def _is_mounted(folder: Path) -> bool:
    try:
        return folder.is_mount()
    except OSError:
        return False
