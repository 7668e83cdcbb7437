"""Users' links into the store, and the list of them, which keeps objects alive.

For each link there is one small file that says where the link lies, what it led to
when it was made, and on which mounted file system it was. A link that is gone is no
root. One that cannot be read, or whose file system is not mounted now, may still be
there: what it led to stays.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from errno import EINVAL
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fromager.store.digest import derived_digest
from fromager.store.durability import (
    held_in,
    replace_link_durably,
    storage_error,
    write_durably,
)
from fromager.store.effects import no_effect
from fromager.store.errors import InvalidName, InvalidRecord, LinkRefused, ObjectMissing
from fromager.store.locks import exclusive
from fromager.store.path import StorePath
from fromager.store.realisation import NOT_A_RECORD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fromager.store.layout import StoreLayout

_LINK_CONTEXT: Final = "fromager store 2026-11 out-link v1"
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


def link_root(
    layout: StoreLayout,
    link: Path,
    target: Path,
    path: StorePath,
    now: int,
    effect: Callable[[str], None] = no_effect,
) -> None:
    """Make or replace a symbolic link to `target`, which is `path` or lies in it.

    It is there or not, never half. Both it and its listing are on disk at the end,
    and the listing is before the link is.

    Raises:
        LinkRefused: something that is no link lies there, or it cannot be written.
        StoreFull, StoreUnavailable: it cannot be listed.
    """
    place = _free_place(link)
    # Listed first: what is listed and not there does no harm.
    record = {
        "version": RECORD_VERSION,
        "link": str(place),
        "mount": str(_mount_point(place.parent)),
        "path": str(path),
        "made": now,
    }
    content = json.dumps(record).encode("ascii")
    with held_in(layout.root, exclusive(layout.locks / "roots", effect)):
        try:
            write_durably(listing(layout, place), content, effect)
        except OSError as error:
            raise storage_error(layout.root, error) from error
        _put(link, place, target, effect)


def plain_link(link: Path, target: Path) -> None:
    """Make or replace a symbolic link that keeps nothing alive.

    Raises:
        LinkRefused: as `link_root`.
    """
    _put(link, _free_place(link), target)


def _free_place(link: Path) -> Path:
    place = link_place(link)
    if os.path.lexists(place) and not place.is_symlink():
        raise LinkRefused(link, "something that is no link lies there")
    return place


def _put(
    link: Path,
    place: Path,
    target: Path,
    effect: Callable[[str], None] = no_effect,
) -> None:
    try:
        replace_link_durably(place, target, effect)
    except OSError as error:
        raise LinkRefused(link, error.strerror or str(error)) from error


def link_place(link: Path) -> Path:
    """Where a link lies: absolute, and its folder without links."""
    place = link.absolute()
    return place.parent.resolve() / place.name


def listing(layout: StoreLayout, place: Path) -> Path:
    """The file that lists the link at a place."""
    name = derived_digest(_LINK_CONTEXT, os.fsencode(place)).hex[:32]
    return layout.links / f"{name}.json"


def link_roots(layout: StoreLayout) -> Iterator[LinkRoot]:
    """All links that are listed, as they are now; nothing is changed.

    Raises:
        InvalidRecord: a file that is no listing: what it kept alive is not known.
    """
    for place in sorted(layout.links.glob("*.json")):
        try:
            content = place.read_bytes()
        except FileNotFoundError:
            continue
        yield _found(layout, place, content)


def forget_links(
    layout: StoreLayout, links: Iterable[LinkRoot], effect: Callable[[str], None]
) -> int:
    """Remove the listings of those links that are gone still; how many went."""
    count = 0
    with exclusive(layout.locks / "roots", effect):
        for link in links:
            with suppress(FileNotFoundError):
                content = link.listing.read_bytes()
                if _found(layout, link.listing, content).state is LinkState.GONE:
                    effect("forget link")
                    link.listing.unlink()
                    count += 1
    return count


def _found(layout: StoreLayout, place: Path, content: bytes) -> LinkRoot:
    try:
        value = json.loads(content)
        if value["version"] != RECORD_VERSION:
            raise InvalidRecord(str(place), f"version {value['version']} is unknown")
        link, mount = Path(value["link"]), Path(value["mount"])
        path, made = StorePath.parse(value["path"]), int(value["made"])
    except NOT_A_RECORD as error:
        raise InvalidRecord(str(place), f"not the listing of a link: {error}") from None
    try:
        now = object_at(layout, link.parent / link.readlink())
        return LinkRoot(link, LinkState.THERE, now, made, place)
    except ObjectMissing:
        state = LinkState.GONE
    except (FileNotFoundError, NotADirectoryError):
        state = LinkState.GONE if _is_mounted(mount) else LinkState.UNREADABLE
    except OSError as error:
        # That is what is said of a file or folder that is no link.
        gone = error.errno == EINVAL
        state = LinkState.GONE if gone else LinkState.UNREADABLE
    return LinkRoot(link, state, path, made, place)


def object_at(layout: StoreLayout, place: Path) -> StorePath:
    """The object that a place is or lies in, be it there or not.

    Raises:
        ObjectMissing: no object can be at that place.
    """
    # Not resolved: links inside of an object are its own.
    normal = Path(os.path.normpath(place.absolute()))
    for root in (layout.root, layout.root.resolve()):
        with suppress(ValueError, InvalidName, IndexError):
            return StorePath.parse(normal.relative_to(root).parts[0])
    raise ObjectMissing(str(place))


def _mount_point(folder: Path) -> Path:
    while not folder.is_mount():
        folder = folder.parent
    return folder


def _is_mounted(folder: Path) -> bool:
    try:
        return folder.is_mount()
    except OSError:
        return False
