"""Walks in the graph of what keeps what alive, against the plainest way to do them."""

from __future__ import annotations

from array import array

from hypothesis import given, settings
from hypothesis import strategies as st

from fromager.store import Policy
from fromager.store.garbage import order
from fromager.store.liveness import (
    NOBODY,
    SHARED,
    Edge,
    Graph,
    GraphBuilder,
    owners,
    reach,
    way_to,
)
from fromager.store.pool import Amount, Ledger

Edges = list[tuple[int, int, Edge]]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Graph, Edges]:
    """A graph of objects, which may refer to each other in circles."""
    count = draw(st.integers(1, 12))
    nodes = st.integers(0, count - 1)
    edges = draw(
        st.lists(st.tuples(nodes, nodes, st.sampled_from(list(Edge))), max_size=25)
    )
    builder = GraphBuilder()
    for source, target, kind in edges:
        builder.add(source, target, kind)
    used = array("q", [draw(st.integers(0, 4)) for _ in range(count)])
    names = [f"n{number}" for number in range(count)]
    return builder.build(names, count, array("q", [1]) * count, used), edges


def reached(edges: Edges, roots: set[int]) -> set[int]:
    found: set[int] = set()
    queue = list(roots)
    while queue:
        node = queue.pop()
        if node not in found:
            found.add(node)
            queue += [target for source, target, _ in edges if source == node]
    return found


roots_of = st.lists(st.lists(st.integers(0, 11), max_size=3), max_size=4)


@given(made=graphs(), roots=roots_of)
@settings(max_examples=100, deadline=None)
def test_each_node_belongs_to_those_roots_that_reach_it(
    made: tuple[Graph, Edges], roots: list[list[int]]
) -> None:
    graph, edges = made
    held = [[node for node in root if node < len(graph)] for root in roots]
    by_root = [reached(edges, set(nodes)) for nodes in held]

    owner = owners(graph, held)
    alive = reach(graph, [node for nodes in held for node in nodes])

    for node in range(len(graph)):
        having = [number for number, found in enumerate(by_root) if node in found]
        expected = SHARED if len(having) > 1 else having[0] if having else NOBODY
        assert owner[node] == expected
        assert bool(alive[node]) == bool(having)
        way = way_to(graph, held, node)
        assert (way is not None) == bool(having)
        if way is not None:
            at = int(way.start[1:])
            assert at in held[way.root]
            for kind, name in way.steps:
                assert (at, int(name[1:]), kind) in edges
                at = int(name[1:])
            assert at == node


@given(made=graphs(), keep=st.sets(st.integers(0, 11), max_size=3))
@settings(max_examples=100, deadline=None)
def test_what_goes_can_be_deleted_in_order_and_in_any_chunks(
    made: tuple[Graph, Edges], keep: set[int]
) -> None:
    graph, edges = made
    alive = reach(graph, [node for node in keep if node < len(graph)])
    dead = {node for node in range(len(graph)) if not alive[node]}

    found = order(graph, alive)

    assert sorted(found.nodes) == sorted(dead)
    for size in (1, 2, 5):
        left = set(range(len(graph)))
        for chunk in found.chunks(size):
            left -= set(chunk)
            # Nothing that stays refers to what is gone.
            assert not [
                (source, target)
                for source, target, kind in edges
                if kind is Edge.REFERENCE and source in left and target not in left
            ]


def line(*used: int) -> Graph:
    """Objects, each of which refers to the next."""
    builder = GraphBuilder()
    for number in range(len(used) - 1):
        builder.add(number, number + 1, Edge.REFERENCE)
    names = [str(number) for number in range(len(used))]
    sizes = array("q", [1]) * len(used)
    return builder.build(names, len(used), sizes, array("q", used))


def test_what_is_referred_to_is_used_whenever_what_refers_is() -> None:
    assert list(order(line(5, 1, 9), bytearray(3)).nodes) == [0, 1, 2]
    assert list(order(line(1, 1), bytearray(2)).nodes) == [0, 1]


def test_no_more_goes_than_the_goal_takes_but_circles_go_whole() -> None:
    builder = GraphBuilder()
    for source, target in ((1, 2), (2, 1), (2, 3)):
        builder.add(source, target, Edge.REFERENCE)
    graph = builder.build(list("abcd"), 4, array("q", [1] * 4), array("q", [0] * 4))
    found = order(graph, bytearray(4))

    assert [list(found.until(goal, lambda node: 10).nodes) for goal in (0, 1, 10)] == [
        *([], [0], [0])
    ]
    assert sorted(found.until(11, lambda node: 10).nodes) == [0, 1, 2, 3]
    assert [sorted(chunk) for chunk in found.chunks(1)] == [[0], [1, 2, 3]]


def test_goals_follow_from_sizes() -> None:
    assert Policy().goal(100, 5) is None
    assert Policy(max_size=30).goal(100, 5) == 70
    assert Policy(max_size=300).goal(100, 5) == 0
    assert Policy(max_size=30, free_to=100).goal(100, 5) == 95
    assert Policy(max_freed=10).goal(100, 5) == 10
    assert Policy(max_freed=10, free_to=6).goal(100, 5) == 1


@given(holders=st.lists(st.lists(st.integers(0, 4), max_size=5), max_size=6))
@settings(max_examples=100, deadline=None)
def test_a_blob_is_counted_when_its_last_link_goes(holders: list[list[int]]) -> None:
    names = [[b"%d" % blob for blob in blobs] for blobs in holders]
    links = {
        name: sum(each.count(name) for each in names) for each in names for name in each
    }
    # One more object has the blob 0, and stays.
    links[b"0"] = links.get(b"0", 0) + 1
    ledger = Ledger(lambda name: (links[name], 10))

    total = sum((ledger.remove(each) for each in names), Amount())

    gone = {name for each in names for name in each} - {b"0"}
    assert total == Amount(len(gone), 10 * len(gone))
