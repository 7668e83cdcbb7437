"""What keeps what alive: a graph of numbers, and walks in it.

Nodes are objects, and builds that gave objects. Only arrays hold the graph, so that
it stays small: 13 bytes for each edge and 17 for each node, beside the names.
Everything here is a pure function of it.
"""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NOBODY: Final = -1
SHARED: Final = -2


class Edge(IntEnum):
    """Why a node keeps another alive."""

    REFERENCE = 0
    """An object refers to another."""
    MADE_BY = 1
    """An object keeps the newest build that gave it."""
    DERIVATION = 2
    """A build keeps its derivation."""
    INPUT = 3
    """A build keeps those that gave what went into it."""
    OUTPUT = 4
    """A build keeps what it gave."""


@dataclass(frozen=True, slots=True)
class Graph:
    """Who keeps whom alive. Nodes below `objects` are objects, the others builds."""

    names: Sequence[str]
    """Store paths of objects; of builds, what they made."""
    objects: int
    sizes: array[int]
    """Of objects: bytes of all files in them."""
    used: array[int]
    """Of objects: when they were last used, in seconds since the epoch."""
    starts: array[int]
    """Of each node, its first edge; one more at the end."""
    targets: array[int]
    kinds: bytes

    def __len__(self) -> int:
        return len(self.starts) - 1


class GraphBuilder:
    """Collects edges, in any order, for a `Graph`."""

    def __init__(self) -> None:
        self._sources, self._targets = array("i"), array("i")
        self._kinds = bytearray()

    def add(self, source: int, target: int, kind: Edge) -> None:
        """Let a node keep another alive."""
        self._sources.append(source)
        self._targets.append(target)
        self._kinds.append(kind)

    def build(
        self, names: Sequence[str], objects: int, sizes: array[int], used: array[int]
    ) -> Graph:
        """The graph of all edges that were added."""
        starts = array("i", bytes(4 * (len(names) + 1)))
        for source in self._sources:
            starts[source + 1] += 1
        total = 0
        for node, count in enumerate(starts):
            total += count
            starts[node] = total
        free = array("i", starts)
        targets = array("i", bytes(4 * total))
        kinds = bytearray(total)
        for source, target, kind in zip(
            self._sources, self._targets, self._kinds, strict=True
        ):
            place = free[source]
            targets[place], kinds[place] = target, kind
            free[source] = place + 1
        return Graph(names, objects, sizes, used, starts, targets, bytes(kinds))


def reach(graph: Graph, roots: Iterable[int]) -> bytearray:
    """For each node, 1 if a root keeps it alive or it is one, else 0."""
    alive = bytearray(len(graph))
    spread(graph, alive, roots)
    return alive


def spread(graph: Graph, alive: bytearray, nodes: Iterable[int]) -> None:
    """Mark nodes as alive, and all that they keep alive."""
    starts, targets = graph.starts, graph.targets
    pending = [node for node in nodes if not alive[node]]
    for node in pending:
        alive[node] = 1
    while pending:
        node = pending.pop()
        for target in targets[starts[node] : starts[node + 1]]:
            if not alive[target]:
                alive[target] = 1
                pending.append(target)


def owners(graph: Graph, roots: Sequence[Iterable[int]]) -> array[int]:
    """For each node, the one root that keeps it alive, SHARED or NOBODY.

    A root is several nodes. Each node changes its owner twice at most, so that the
    cost does not grow with the number of roots.
    """
    starts, targets = graph.starts, graph.targets
    owner = array("i", [NOBODY]) * len(graph)
    for number, nodes in enumerate(roots):
        pending = [(node, number) for node in nodes]
        while pending:
            node, by = pending.pop()
            if owner[node] in (by, SHARED):
                continue
            owner[node] = by = by if owner[node] == NOBODY else SHARED
            pending += [(t, by) for t in targets[starts[node] : starts[node + 1]]]
    return owner


@dataclass(frozen=True, slots=True)
class Way:
    """A shortest way from a root to what it keeps alive."""

    root: int
    """The number of the root."""
    start: str
    """What the root holds."""
    steps: tuple[tuple[Edge, str], ...]
    """Each edge, and where it leads; the last one leads to what was asked about."""


def way_to(graph: Graph, roots: Sequence[Iterable[int]], goal: int) -> Way | None:
    """Why a node is alive; None if it is not."""
    starts, targets = graph.starts, graph.targets
    root_of: dict[int, int] = {}
    for number, nodes in enumerate(roots):
        for node in nodes:
            root_of.setdefault(node, number)
    came = array("i", [-1]) * len(graph)
    pending = deque(root_of)
    while pending and goal not in root_of and came[goal] < 0:
        node = pending.popleft()
        for edge in range(starts[node], starts[node + 1]):
            target = targets[edge]
            if came[target] < 0 and target not in root_of:
                came[target] = edge
                pending.append(target)
    if goal not in root_of and came[goal] < 0:
        return None
    steps: list[tuple[Edge, str]] = []
    node = goal
    while node not in root_of:
        steps.append((Edge(graph.kinds[came[node]]), graph.names[node]))
        node = _source(graph, came[node])
    return Way(root_of[node], graph.names[node], tuple(reversed(steps)))


def _source(graph: Graph, edge: int) -> int:
    """The node that an edge begins at."""
    low, high = 0, len(graph)
    while high - low > 1:
        middle = (low + high) // 2
        if graph.starts[middle] <= edge:
            low = middle
        else:
            high = middle
    return low
