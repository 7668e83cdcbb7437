"""Finding which of several variations change an output."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def guilty(
    names: Sequence[str], differs: Callable[[tuple[str, ...]], bool]
) -> frozenset[str]:
    """The names that matter, of a set with which the output is known to differ.

    `differs` tells whether the output differs where only these are varied. Each half
    that differs is halved again; where neither half does, it takes both, and all of
    them are named.
    """
    if len(names) <= 1:
        return frozenset(names)
    middle = len(names) // 2
    halves = (tuple(names[:middle]), tuple(names[middle:]))
    found = [guilty(half, differs) for half in halves if differs(half)]
    return frozenset().union(*found) if found else frozenset(names)
