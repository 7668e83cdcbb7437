"""Graphs of what needs what, as plain mappings."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

    from fromager.derivations.resolution.outcome import Pin

    Node = TypeVar("Node", bound=Hashable)
else:
    Node = TypeVar("Node")


def runtime_edges(pins: Iterable[Pin]) -> dict[str, tuple[str, ...]]:
    """What each project of a resolved set needs at run time. Cycles are legal there."""
    return {pin.name: pin.dependencies for pin in pins}


def find_cycle(edges: Mapping[Node, Iterable[Node]]) -> tuple[Node, ...] | None:
    """A cycle, each node needing the next and the last the first; None if there is none.

    Nodes that are needed, but are not in the mapping, need nothing. The first cycle in
    the mapping's order is found, however deep the graph.
    """
    done: set[Node] = set()
    for start in edges:
        path: list[Node] = []
        on_path: dict[Node, int] = {}
        if start in done:
            continue
        walks = [iter((start,))]
        while walks:
            node = next((n for n in walks[-1] if n not in done), None)
            if node is None:
                walks.pop()
                if path:
                    done.add(path[-1])
                    del on_path[path.pop()]
            elif node in on_path:
                return tuple(path[on_path[node] :])
            else:
                on_path[node] = len(path)
                path.append(node)
                walks.append(iter(edges.get(node, ())))
    return None
