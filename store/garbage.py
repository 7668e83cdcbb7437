"""Which objects go, in which order, and how many of them: decided purely."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fromager.store.liveness import Edge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fromager.store.generations import Generation
    from fromager.store.liveness import Graph

DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Policy:
    """What is to be kept although no root needs it, and when to stop.

    Durations are in seconds, amounts in bytes. With nothing said, all goes that no
    root keeps alive.
    """

    keep_derivations: bool = True
    """What is alive keeps the derivation that it came of."""
    keep_build_closure: bool = True
    """What is alive keeps all that it was built from."""
    keep_records: bool = True
    """Realisations whose output is gone are kept, as evidence."""
    keep_recent: int | None = None
    """Objects that were used so lately are kept."""
    older_than: int | None = None
    """Generations older than this go, but for the current ones."""
    keep_generations: int | None = None
    """Of each root only so many generations stay, and the current one."""
    failed_after: int = 7 * DAY
    """Folders of failed builds, and logs of builds that gave nothing that is still
    here, go when they are older than this."""
    max_size: int | None = None
    """Stop when the pool is no larger."""
    free_to: int | None = None
    """Stop when the file system has so much free space."""
    max_freed: int | None = None
    """Stop when so much was freed."""
    thorough: bool = False
    """Look at every file of the store for what crashes left, not only after one."""

    @property
    def limited(self) -> bool:
        """Whether less than all garbage may be wanted to go."""
        limits = (self.max_size, self.free_to, self.max_freed)
        return any(limit is not None for limit in limits)

    def goal(self, size: int, free: int) -> int | None:
        """How many bytes are to go, with a pool of that size and so much free space.

        None stands for all that can go.
        """
        wanted = [
            *([] if self.max_size is None else [size - self.max_size]),
            *([] if self.free_to is None else [self.free_to - free]),
        ]
        goal = max(0, *wanted) if wanted else None
        if self.max_freed is None:
            return goal
        return self.max_freed if goal is None else min(goal, self.max_freed)


def expired(
    generations: Iterable[Generation], policy: Policy, now: int
) -> tuple[Generation, ...]:
    """Those generations that the policy lets go, never a current one."""
    by_root: dict[str, list[Generation]] = {}
    for each in generations:
        by_root.setdefault(each.root, []).append(each)
    gone: list[Generation] = []
    for found in by_root.values():
        newest = sorted(found, key=lambda each: each.number, reverse=True)
        for place, each in enumerate(newest):
            old = policy.older_than is not None and (
                each.created < now - policy.older_than
            )
            many = (
                policy.keep_generations is not None and place >= policy.keep_generations
            )
            if (old or many) and not each.current:
                gone.append(each)
    return tuple(sorted(gone, key=lambda each: (each.root, each.number)))


def recent(graph: Graph, since: int) -> list[int]:
    """Objects that were used at that time or later."""
    return [node for node in range(graph.objects) if graph.used[node] >= since]


@dataclass(frozen=True, slots=True)
class Order:
    """Dead objects: the least recently used first, and before what it refers to."""

    nodes: Sequence[int]
    whole_from: int
    """From here on objects refer to each other in a circle: all of them go, or none."""

    def chunks(self, size: int) -> Iterable[Sequence[int]]:
        """Parts that can be deleted one after the other."""
        for start in range(0, self.whole_from, size):
            yield self.nodes[start : min(start + size, self.whole_from)]
        if self.whole_from < len(self.nodes):
            yield self.nodes[self.whole_from :]

    def until(self, goal: int, weigh: Callable[[int], int]) -> Order:
        """As much of it as it takes to reach a goal, by what each object weighs."""
        reached = 0
        for place, node in enumerate(self.nodes):
            if reached >= goal and place <= self.whole_from:
                return Order(self.nodes[:place], min(place, self.whole_from))
            reached += weigh(node)
        return self


def order(graph: Graph, alive: bytearray) -> Order:
    """All objects that are not alive, in the order in which they go.

    An object counts as used whenever something was used that refers to it.
    """
    dead = [node for node in range(graph.objects) if not alive[node]]
    below = {node: _dead_references(graph, alive, node) for node in dead}
    referrers = array("i", bytes(4 * graph.objects))
    for found in below.values():
        for target in found:
            referrers[target] += 1
    used = array("q", graph.used)
    ready = [node for node in dead if not referrers[node]]
    for node in ready:
        for target in below[node]:
            used[target] = max(used[target], used[node])
            referrers[target] -= 1
            if not referrers[target]:
                ready.append(target)
    # The sort is stable: of equal times, what refers stays before what is referred to.
    freed = sorted(ready, key=used.__getitem__)
    circle = [node for node in dead if referrers[node]]
    return Order([*freed, *circle], len(freed))


def _dead_references(graph: Graph, alive: bytearray, node: int) -> list[int]:
    """The other objects that one refers to and that are dead, too."""
    edges = range(graph.starts[node], graph.starts[node + 1])
    return [
        target
        for edge in edges
        if graph.kinds[edge] == Edge.REFERENCE
        and (target := graph.targets[edge]) != node
        and not alive[target]
    ]
