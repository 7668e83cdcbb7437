"""What must hold for a store at any time, whatever happened to those who wrote to it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fromager.store import Directory, File, open_store

if TYPE_CHECKING:
    from support.command_line import Outcome, Place


def check_store(place: Place) -> None:
    """Every object of the store is what its digest says, and nothing is left over."""
    with open_store(place.store, create=False) as store:
        for info in store.objects():
            tree = store.tree(info.path)
            if not isinstance(tree, Directory):
                store.read_file(info.path)
                continue
            for path, node in tree.walk():
                if isinstance(node, File):
                    store.read_file(info.path, path)
    assert not list((place.store / ".fromager" / "scratch").iterdir())


def check_error(outcome: Outcome, code: int, *parts: str) -> None:
    """One error that says all the parts, and no traceback of this program."""
    assert outcome.code == code, outcome.err
    for part in parts:
        assert re.search(part, outcome.error), outcome.error
    assert outcome.out == ""
    assert "Traceback" not in outcome.error
