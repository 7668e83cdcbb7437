"""Users' links into the store, and the list of them, which keeps objects alive."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from fromager.store.digest import derived_digest
from fromager.store.errors import LinkRefused

if TYPE_CHECKING:
    from pathlib import Path

    from fromager.store.layout import StoreLayout

_LINK_CONTEXT: Final = "fromager store 2026-11 out-link v1"


def link_root(layout: StoreLayout, link: Path, target: Path) -> None:
    """Make or replace a symbolic link, and list it; it is there or not, never half.

    Raises:
        LinkRefused: something that is no link lies there, or it cannot be written.
    """
    place = link.absolute()
    place = place.parent.resolve() / place.name
    if os.path.lexists(place) and not place.is_symlink():
        raise LinkRefused(link, "something that is no link lies there")
    # Listed first: what is listed and not there does no harm.
    listed = derived_digest(_LINK_CONTEXT, os.fsencode(place)).hex[:32]
    _replace(layout.links / listed, place)
    try:
        _replace(place, target)
    except OSError as error:
        raise LinkRefused(link, error.strerror or str(error)) from error


def _replace(link: Path, target: Path) -> None:
    try:
        link.symlink_to(target)
    except FileExistsError:
        new = link.with_name(f".{os.urandom(8).hex()}")
        new.symlink_to(target)
        try:
            new.replace(link)
        except OSError:
            new.unlink()
            raise
