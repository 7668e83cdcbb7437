"""Users' links into the store, and the list of them, which keeps objects alive."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from fromager.store.digest import derived_digest
from fromager.store.durability import no_effect, storage_error, sync_each
from fromager.store.errors import LinkRefused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fromager.store.layout import StoreLayout

_LINK_CONTEXT: Final = "fromager store 2026-11 out-link v1"


def link_root(
    layout: StoreLayout,
    link: Path,
    target: Path,
    effect: Callable[[str], None] = no_effect,
) -> None:
    """Make or replace a symbolic link, and list it; it is there or not, never half.

    Both are on disk at the end, and the listing is before the link is.

    Raises:
        LinkRefused: something that is no link lies there, or it cannot be written.
        StoreFull, StoreUnavailable: it cannot be listed.
    """
    place = link.absolute()
    place = place.parent.resolve() / place.name
    if os.path.lexists(place) and not place.is_symlink():
        raise LinkRefused(link, "something that is no link lies there")
    # Listed first: what is listed and not there does no harm.
    listed = derived_digest(_LINK_CONTEXT, os.fsencode(place)).hex[:32]
    try:
        _replace(layout.links / listed, place, effect)
    except OSError as error:
        raise storage_error(layout.root, error) from error
    try:
        _replace(place, target, effect)
    except OSError as error:
        raise LinkRefused(link, error.strerror or str(error)) from error


def _replace(link: Path, target: Path, effect: Callable[[str], None]) -> None:
    try:
        effect("make link")
        link.symlink_to(target)
    except FileExistsError:
        new = link.with_name(f".{os.urandom(8).hex()}")
        effect("make link")
        new.symlink_to(target)
        try:
            effect("rename link")
            new.replace(link)
        except OSError:
            new.unlink()
            raise
    effect("sync folders")
    # A folder may be written to by one who may not list it.
    with suppress(PermissionError):
        sync_each([os.fsencode(link.parent)])
