"""Opening stores: alone, or above others that are only read."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from fromager.store.effects import no_effect
from fromager.store.errors import StoreUnavailable
from fromager.store.layered import LayeredStore
from fromager.store.layout import StoreLayout
from fromager.store.local import LocalStore
from fromager.store.locks import ANONYMOUS
from fromager.store.mounts import read_mounts
from fromager.store.opening import find_access, open_layout, require_store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from fromager.store.locks import Caller


def open_store(
    root: Path,
    *,
    create: bool = True,
    clock: Callable[[], float] = time.time,
    effect: Callable[[str], None] = no_effect,
    caller: Caller = ANONYMOUS,
    mounts: Callable[[], bytes] = read_mounts,
) -> LocalStore:
    """The store in a folder; it is made if there is none and `create` is true.

    Without `create` nothing on disk is changed by opening it. `effect` is called
    with a name before each thing that a transaction does to the disk. `mounts` gives
    what `/proc/self/mountinfo` says.

    Raises:
        StoreUnavailable: there is none, it cannot be written (with `create`), it was
            made by a newer fromager, or the place cannot hold a store.
        StoreFull: no space is left to make it.
    """
    layout, mounted = StoreLayout(root.absolute()), mounts()
    access = open_layout(layout, mounted, create=create, effect=effect)
    return LocalStore(layout, access, clock, effect, caller)


def open_layers(
    root: Path | None,
    lower: Sequence[Path],
    *,
    create: bool = True,
    clock: Callable[[], float] = time.time,
    effect: Callable[[str], None] = no_effect,
    caller: Caller = ANONYMOUS,
    mounts: Callable[[], bytes] = read_mounts,
) -> LocalStore:
    """The store in a folder, above others that are only read, the first one first.

    Without a `root` the first of the others is on top; it is not written to either.

    Raises:
        StoreUnavailable: as for `open_store`; one of the others is not there; there
            is nothing to write to, and `create` is true.
    """
    if root is not None and not lower:
        return open_store(
            root,
            create=create,
            clock=clock,
            effect=effect,
            caller=caller,
            mounts=mounts,
        )
    mounted = mounts()
    layouts = _distinct([StoreLayout(path.absolute()) for path in lower], root)
    for layout in layouts:
        _require_lower(layout)
    if root is None:
        layout, *layouts = layouts
        access = find_access(layout, mounted, write=False)
        if create and access.refusal is not None:
            raise access.refusal
    else:
        layout = StoreLayout(root.absolute())
        access = open_layout(layout, mounted, create=create, effect=effect)
    stores = []
    try:
        for each in layouts:
            reading = find_access(each, mounted, write=False)
            stores.append(LocalStore(each, reading, clock, no_effect, caller))
        lower_stores = tuple(stores)
        return LayeredStore(layout, access, clock, effect, caller, lower_stores)
    except BaseException:
        for store in stores:
            store.close()
        raise


def _distinct(layouts: list[StoreLayout], top: Path | None) -> list[StoreLayout]:
    """Each store once; none beneath itself."""
    seen = {os.path.realpath(top)} if top is not None else set()
    found = []
    for layout in layouts:
        place = os.path.realpath(layout.root)
        if top is not None and place == os.path.realpath(top):
            raise StoreUnavailable(
                layout.root,
                "it cannot be both written to and only read",
                "Name another store to write to",
            )
        if place not in seen:
            seen.add(place)
            found.append(layout)
    return found


def _require_lower(layout: StoreLayout) -> None:
    if not os.path.lexists(layout.version):
        raise StoreUnavailable(
            layout.root,
            "there is no store at this place that could be read",
            "Mount it, correct its name, or leave it out",
        )
    require_store(layout)
