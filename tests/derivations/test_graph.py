from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from fromager.derivations.resolution.candidate import Release
from fromager.derivations.resolution.graph import find_cycle, runtime_edges
from fromager.derivations.resolution.outcome import Pin

graphs = st.dictionaries(
    st.integers(0, 7), st.lists(st.integers(0, 7), max_size=3), max_size=8
)


def test_a_cycle_starts_where_the_walk_entered_it() -> None:
    edges = {"app": ["a"], "a": ["b"], "b": ["x", "c"], "c": ["a"]}

    assert find_cycle(edges) == ("a", "b", "c")


def test_what_needs_itself_is_a_cycle() -> None:
    assert find_cycle({"a": ["a"]}) == ("a",)


def test_shared_dependencies_are_no_cycle() -> None:
    assert find_cycle({"a": ["b", "c"], "b": ["d"], "c": ["d"]}) is None


def test_a_cycle_is_found_however_deep_the_graph() -> None:
    edges = {n: [n + 1] for n in range(20_000)} | {20_000: [19_999]}

    assert find_cycle(edges) == (19_999, 20_000)


@given(graphs)
def test_a_cycle_is_found_exactly_where_some_node_reaches_itself(
    edges: dict[int, list[int]],
) -> None:
    cycle = find_cycle(edges)

    if cycle is None:
        assert not any(node in reached(edges, node) for node in edges)
    else:
        following = (*cycle[1:], cycle[0])
        assert all(b in edges[a] for a, b in zip(cycle, following, strict=True))
        assert len(set(cycle)) == len(cycle)


def test_edges_of_a_resolved_set_are_its_runtime_dependencies() -> None:
    release = Release(Version("1"), "a-1.tar.gz", "https://files.example/a-1.tar.gz")
    pins = [
        Pin("a", Version("1"), release, (), ("b",)),
        Pin("b", Version("1"), release, (), ("a",)),
    ]

    assert runtime_edges(pins) == {"a": ("b",), "b": ("a",)}


def reached(edges: dict[int, list[int]], start: int) -> set[int]:
    found: set[int] = set()
    pending = list(edges[start])
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending += edges.get(node, ())
    return found
