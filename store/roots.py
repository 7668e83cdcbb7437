"""Users' links into the store, made and listed: the list keeps objects alive.

For each link there is one small file that says where the link lies, what it led to
when it was made, and on which mounted file system it was.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
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
from fromager.store.errors import LinkRefused
from fromager.store.links import RECORD_VERSION, LinkState, follow, parse_listing
from fromager.store.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fromager.store.layout import StoreLayout
    from fromager.store.links import LinkRoot
    from fromager.store.path import StorePath

_LINK_CONTEXT: Final = "fromager store 2026-11 out-link v1"


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


def forget_links(
    layout: StoreLayout, links: Iterable[LinkRoot], effect: Callable[[str], None]
) -> int:
    """Remove the listings of those links that are gone still; how many went."""
    count = 0
    with exclusive(layout.locks / "roots", effect):
        for link in links:
            with suppress(FileNotFoundError):
                place = Path(link.listing)
                listed = parse_listing(link.listing, place.read_bytes())
                found, _ = follow(layout, listed)
                if found.state is LinkState.GONE:
                    effect("forget link")
                    place.unlink()
                    count += 1
    return count


def _mount_point(folder: Path) -> Path:
    while not folder.is_mount():
        folder = folder.parent
    return folder
