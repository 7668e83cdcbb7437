"""Looking at a whole store: its roots, and the graph of what keeps what alive."""

from __future__ import annotations

import json
from array import array
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from fromager.store.errors import InvalidRecord
from fromager.store.generations import Member
from fromager.store.leases import reliances
from fromager.store.links import LinkState
from fromager.store.liveness import Edge, GraphBuilder
from fromager.store.path import StorePath
from fromager.store.realisation import NOT_A_RECORD, is_evidence_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from fromager.store.database import Database
    from fromager.store.digest import Digest
    from fromager.store.garbage import Policy
    from fromager.store.generations import Generation, Generations
    from fromager.store.layout import StoreLayout
    from fromager.store.links import LinkRoot, Links
    from fromager.store.liveness import Graph


class RootKind(Enum):
    """What a root is."""

    GENERATION = "generation"
    LINK = "link"
    PROCESS = "process"


@dataclass(frozen=True, slots=True)
class Root:
    """Something that keeps objects alive."""

    kind: RootKind
    name: str
    """The name of a root, the place of a link, or who a process is."""
    members: tuple[Member, ...]
    """What it holds; a key names the build that is kept with it."""
    generation: int | None = None
    current: bool = False
    since: int | None = None
    """When it was made, in seconds since the epoch, as far as that is known."""
    certain: bool = True
    """False for a link that cannot be read, and may be there."""

    def __str__(self) -> str:
        if self.kind is RootKind.GENERATION:
            return f"root {self.name}, generation {self.generation}"
        return f"{self.kind.value} {self.name}"


@dataclass(frozen=True, slots=True)
class Roots:
    """All roots as they were at one time."""

    generations: tuple[Generation, ...]
    links: tuple[LinkRoot, ...]
    processes: Mapping[str, frozenset[StorePath]]

    def has_more_than(self, before: Roots) -> bool:
        """Whether roots that do not end with a process hold what they did not then."""
        if (self.links, self.generations) == (before.links, before.generations):
            return False
        return not self._lasting() <= before._lasting()

    def held(
        self, without: Iterable[Generation] = ()
    ) -> Iterator[tuple[str, Digest | None]]:
        """The paths that all of them hold, but some generations, and with which key."""
        for each in self._generations_but(without):
            for member in each.members:
                yield str(member.path), member.key
        for link in self.links:
            if not _gone(link):
                yield link.target, None
        for paths in self.processes.values():
            for path in paths:
                yield str(path), None

    def _lasting(self) -> set[tuple[str, Digest | None]]:
        return set(replace(self, processes={}).held())

    @property
    def broken(self) -> tuple[LinkRoot, ...]:
        """Links that are gone, and still listed."""
        return tuple(each for each in self.links if _gone(each))

    def each(self, without: Iterable[Generation] = ()) -> Iterator[Root]:
        """All of them, but for some generations."""
        for each in self._generations_but(without):
            yield Root(
                *(RootKind.GENERATION, each.root, each.members),
                *(each.number, each.current, each.created),
            )
        for link in self.links:
            if not _gone(link):
                target = Member("", StorePath.parse(link.target))
                yield Root(
                    *(RootKind.LINK, link.link, (target,)),
                    since=link.made,
                    certain=link.state is LinkState.THERE,
                )
        for name, paths in sorted(self.processes.items()):
            members = tuple(Member("", path) for path in sorted(paths))
            yield Root(RootKind.PROCESS, name, members)

    def _generations_but(self, some: Iterable[Generation]) -> Iterator[Generation]:
        left_out = {(each.root, each.number) for each in some}
        for each in self.generations:
            if (each.root, each.number) not in left_out:
                yield each


def find_roots(layout: StoreLayout, generations: Generations, links: Links) -> Roots:
    """All roots; nothing is changed.

    Raises:
        InvalidRecord: one that cannot be read: what it keeps alive is not known.
    """
    # Processes come first: what one relied on, it may have made a root of before it
    # ended. In the other order both could be missed.
    processes = reliances(layout)
    return Roots(generations.all(), links.all(), processes)


@dataclass(frozen=True)
class Census:
    """The graph of a store, and where things are in it."""

    graph: Graph
    objects: Mapping[str, int]
    """Nodes of objects by store path."""
    builds: Mapping[tuple[str, str], int]
    """Nodes of builds by key and output."""
    blobs: Mapping[int, bytes]
    """Of objects that are single files, the digits of the digest."""

    def nodes(self, root: Root) -> list[int]:
        """What a root holds, as far as it is valid."""
        return self.nodes_of((str(each.path), each.key) for each in root.members)

    def nodes_of(self, held: Iterable[tuple[str, Digest | None]]) -> list[int]:
        """The objects at these paths, and the builds that are held with them."""
        found = []
        for path, key in held:
            node = self.objects.get(path)
            if node is not None:
                found.append(node)
                if key is not None:
                    build = self.builds.get((str(key), path))
                    found += [] if build is None else [build]
        return found


def take_census(database: Database, policy: Policy) -> Census:
    """The whole graph, with the edges that a policy has.

    Raises:
        InvalidRecord: a realisation that cannot be read.
    """
    with database.snapshot() as run:
        return _Taking(policy).census(run)


class _Taking:
    """A census being taken."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._names: list[str] = []
        self._index: dict[str, int] = {}
        self._blobs: dict[int, bytes] = {}
        self._edges = GraphBuilder()
        self._builds: dict[tuple[str, str], int] = {}

    def census(self, run: Callable[[str], Iterator[tuple[Any, ...]]]) -> Census:
        sizes, used = array("q"), array("q")
        by_id: dict[int, int] = {}
        query = "SELECT id, path, size, last_used, kind, digest FROM objects"
        for number, path, size, last_used, kind, digest in run(query):
            by_id[number] = self._index[path] = node = len(self._names)
            self._names.append(path)
            sizes.append(size)
            used.append(last_used)
            if kind == "blob":
                self._blobs[node] = digest.encode()
        for referrer, reference in run("SELECT referrer, reference FROM refs"):
            self._edges.add(by_id[referrer], by_id[reference], Edge.REFERENCE)
        objects = len(self._names)
        if self._policy.keep_derivations or self._policy.keep_build_closure:
            self._add_builds(
                run(
                    "SELECT key, kind, subject, derivation, output, content"
                    " FROM realisations ORDER BY started, id"
                )
            )
        graph = self._edges.build(self._names, objects, sizes, used)
        return Census(graph, self._index, self._builds, self._blobs)

    def _add_builds(self, rows: Iterator[tuple[Any, ...]]) -> None:
        """A node for each build whose output is valid; the newest one of equal ones.

        What a check found is never used in place of a build: it keeps nothing.
        """
        newest: dict[str, int] = {}
        made_by: dict[int, int] = {}
        inputs: dict[int, bytes] = {}
        for key, kind, subject, derivation, output, content in rows:
            out = self._index.get(output)
            if out is None or is_evidence_record(content):
                continue
            build = self._builds.get((key, output))
            if build is None:
                build = self._builds[key, output] = len(self._names)
                self._names.append(f"{kind} {subject}")
                self._edges.add(build, out, Edge.OUTPUT)
                drv = self._index.get(derivation)
                if self._policy.keep_derivations and drv is not None:
                    self._edges.add(build, drv, Edge.DERIVATION)
                if self._policy.keep_build_closure:
                    inputs[build] = content
            newest[key] = made_by[out] = build
        for out, build in made_by.items():
            self._edges.add(out, build, Edge.MADE_BY)
        for build, content in inputs.items():
            for key in _inputs(content):
                if key in newest:
                    self._edges.add(build, newest[key], Edge.INPUT)


def _inputs(content: bytes) -> list[str]:
    try:
        return list(json.loads(content)["inputs"].values())
    except NOT_A_RECORD as error:
        raise InvalidRecord("realisation", f"not a record: {error}") from error


def _gone(link: LinkRoot) -> bool:
    return link.state is LinkState.GONE
