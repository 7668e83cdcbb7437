"""What each root costs, and which one keeps an object alive. Nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fromager.store.errors import ObjectMissing
from fromager.store.garbage import Policy
from fromager.store.generations import Generations
from fromager.store.links import Links
from fromager.store.liveness import Edge, owners, reach, way_to
from fromager.store.survey import RootKind, find_roots, take_census

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fromager.store.database import Database
    from fromager.store.layout import StoreLayout
    from fromager.store.path import StorePath
    from fromager.store.pool import Amount
    from fromager.store.survey import Census, Root, Roots


@dataclass(frozen=True, slots=True)
class RootUse:
    """A root, and what it takes."""

    roots: tuple[Root, ...]
    """The root; of a named one, its generations."""
    objects: int
    """How many objects it keeps alive."""
    exclusive: int
    """How many of them nothing else keeps alive."""
    freed: Amount
    """Blobs, and bytes of the disk, that would go with it."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an object is alive."""

    root: Root
    start: str
    """The store path that the root holds, or the build that it keeps."""
    steps: tuple[tuple[Edge, str], ...]
    """What keeps what, from there to the object asked about."""


class Accounts:
    """Answers questions about roots."""

    def __init__(
        self,
        layout: StoreLayout,
        database: Database,
        weigh: Callable[[Census, Iterable[int]], Amount],
    ) -> None:
        self._layout, self._database, self._weigh = layout, database, weigh

    def roots(self) -> tuple[RootUse, ...]:
        """All roots; the generations of a name are one.

        Raises:
            InvalidRecord: a root that cannot be read.
        """
        groups: dict[tuple[RootKind, str], list[Root]] = {}
        for root in self._roots().each():
            groups.setdefault((root.kind, root.name), []).append(root)
        return self._uses(list(groups.values()), range(len(groups)))

    def generations(self, name: str) -> tuple[RootUse, ...]:
        """Each generation of a named root, apart from all other roots."""
        groups = [[root] for root in self._roots().each()]
        wanted = [
            number
            for number, (root,) in enumerate(groups)
            if root.kind is RootKind.GENERATION and root.name == name
        ]
        return self._uses(groups, wanted)

    def _roots(self) -> Roots:
        generations, links = Generations(self._layout), Links(self._layout)
        return find_roots(self._layout, generations, links)

    def why_alive(self, path: StorePath) -> Reason | None:
        """The nearest root that keeps an object alive, and the way from there.

        Roots that last are named before processes. None: the object is garbage.

        Raises:
            ObjectMissing: it is not valid.
        """
        census = take_census(self._database, Policy())
        goal = census.objects.get(str(path))
        if goal is None:
            raise ObjectMissing(str(path))
        roots = list(self._roots().each())
        lasting = [root for root in roots if root.kind is not RootKind.PROCESS]
        for some in (lasting, roots):
            way = way_to(census.graph, [census.nodes(root) for root in some], goal)
            if way is not None:
                return Reason(some[way.root], way.start, way.steps)
        return None

    def _uses(
        self, groups: Sequence[Sequence[Root]], wanted: Sequence[int]
    ) -> tuple[RootUse, ...]:
        census = take_census(self._database, Policy())
        graph = census.graph
        held = [
            [node for root in group for node in census.nodes(root)] for group in groups
        ]
        owner = owners(graph, held)
        own: dict[int, list[int]] = {number: [] for number in wanted}
        for node in range(graph.objects):
            if owner[node] in own:
                own[owner[node]].append(node)
        return tuple(
            RootUse(
                tuple(groups[number]),
                sum(reach(graph, held[number])[: graph.objects]),
                len(own[number]),
                self._weigh(census, own[number]),
            )
            for number in wanted
        )
