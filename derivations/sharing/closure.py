"""What belongs to realisations that are to be shared: the objects, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fromager.store import LocalStore, Realisation, StorePath


def objects_in_order(
    store: LocalStore, steps: Iterable[Realisation]
) -> tuple[StorePath, ...]:
    """Outputs and derivations of steps with all that they refer to, each once.

    None comes before what it refers to.
    """
    found: dict[StorePath, None] = {}
    for step in steps:
        stack = [step.derivation, step.output]
        while stack:
            path = stack[-1]
            info = store.info(path) if path not in found else None
            waiting = [r for r in info.references if r not in found] if info else []
            stack += [each for each in waiting if each != path]
            if stack[-1] == path:
                stack.pop()
                if info is not None:
                    found[path] = None
    return tuple(found)
