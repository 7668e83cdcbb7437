"""Trees: canonical form, digests, text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fromager.store import (
    Digest,
    Directory,
    File,
    InvalidRecord,
    Link,
    blob_digest,
    from_paths,
)
from fromager.store.tree import MAX_DEPTH, dump_node, listing, load_node
from support.trees import Program, Sketch, names, sketches, tree_of

if TYPE_CHECKING:
    from fromager.store import Node

EMPTY = File(blob_digest(b""))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("d"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


def deep(levels: int) -> Directory:
    tree = Directory.of({"leaf": EMPTY})
    for _ in range(levels):
        tree = Directory.of({"d": tree})
    return tree


@given(sketches())
def test_a_tree_comes_back_from_its_rows(sketch: dict[str, Sketch]) -> None:
    tree = tree_of(sketch)

    loaded = load_node(json.loads(json.dumps(dump_node(tree))))

    assert loaded == tree
    assert isinstance(loaded, Directory) and loaded.size == tree.size


@given(sketches())
def test_a_tree_is_made_of_its_paths(sketch: dict[str, Sketch]) -> None:
    tree = tree_of(sketch)
    nodes = [
        (path, node)
        for path, node in tree.nodes()
        if not (isinstance(node, Directory) and node.entries)
    ]

    assert from_paths(nodes) == tree
    assert from_paths(reversed(nodes)) == tree


@given(sketches())
def test_every_node_is_found_at_its_path(sketch: dict[str, Sketch]) -> None:
    tree = tree_of(sketch)

    assert all(tree.get(path) == node for path, node in tree.nodes())


@given(sketches().flatmap(lambda s: st.tuples(st.just(s), st.permutations(list(s)))))
def test_the_order_of_entries_does_not_matter(
    drawn: tuple[dict[str, Sketch], list[str]],
) -> None:
    sketch, order = drawn
    shuffled = {name: sketch[name] for name in order}

    assert tree_of(shuffled).entries == tree_of(sketch).entries


@given(sketches(), sketches())
def test_digests_agree_only_where_trees_do(
    one: dict[str, Sketch], other: dict[str, Sketch]
) -> None:
    # Written out without our code: what the trees hold, name by name.
    same = plain(one) == plain(other)

    assert (tree_of(one).digest == tree_of(other).digest) == same


def plain(sketch: Sketch) -> object:
    if isinstance(sketch, dict):
        return {name: plain(child) for name, child in sketch.items()}
    return (type(sketch).__name__, sketch)


@given(sketches(), names(), st.binary(max_size=8), st.binary(max_size=8))
def test_any_change_changes_the_digest(
    sketch: dict[str, Sketch], name: str, old: bytes, new: bytes
) -> None:
    before = tree_of({"below": sketch | {name: old}})
    others: list[Sketch] = [Program(old), Link("x"), {}, {"x": old}]
    if new != old:
        others.append(new)

    assert all(
        tree_of({"below": sketch | {name: other}}).digest != before.digest
        for other in others
    )
    without = {key: child for key, child in sketch.items() if key != name}
    assert tree_of({"below": without}).digest != before.digest


def test_sizes_are_no_part_of_a_digest() -> None:
    digest = blob_digest(b"x")

    one, other = (Directory.of({"a": File(digest, False, size)}) for size in (1, 2))

    assert one.digest == other.digest


def test_a_listing_is_canonical_json() -> None:
    tree = Directory.of(
        {
            "é": Link("\udcff"),
            "a.txt": EMPTY,
            "run": File(blob_digest(b""), True),
            "bin": Directory(()),
        }
    )
    empty = blob_digest(b"").hex
    folder = Directory(()).digest.hex

    assert listing(tree).decode() == (
        f'[["a.txt","f","{empty}"],["bin","d","{folder}"],["run","x","{empty}"],'
        '["\\u00e9","l","\\udcff"]]'
    )


def test_entries_are_ordered_by_their_bytes() -> None:
    # By code points U+FFFF comes before U+10000, and a lone surrogate before both.
    tree = Directory.of(dict.fromkeys(("\U00010000", "\uffff", "\udcff", "z"), EMPTY))

    assert [name for name, _ in tree.entries] == ["z", "\uffff", "\U00010000", "\udcff"]


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "a/b", "a\0b", "x" * 256, "é" * 128, "\ud800"),
        "\udcc3\udca9",  # the bytes of é, written otherwise
    ],
)
def test_a_name_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(InvalidRecord):
        Directory.of({name: EMPTY})


@pytest.mark.parametrize("target", ["", "a\0b", "x" * 4096, "\ud800"])
def test_a_link_that_cannot_be_is_refused(target: str) -> None:
    with pytest.raises(InvalidRecord):
        Directory.of({"link": Link(target)})


@pytest.mark.parametrize(
    "paths",
    [
        ["a", "a"],
        ["a", "a/b"],
        ["a/b", "a"],
        ["a/b", "a/b/c"],
        ["/a"],
        ["a//b"],
        ["a/"],
        ["../a"],
        ["a/./b"],
        [""],
    ],
)
def test_paths_that_make_no_tree_are_refused(paths: list[str]) -> None:
    with pytest.raises(InvalidRecord):
        from_paths((path, EMPTY) for path in paths)


def test_two_folders_at_one_path_are_refused() -> None:
    folder = Directory.of({"x": EMPTY})

    with pytest.raises(InvalidRecord):
        from_paths([("a", folder), ("a/y", EMPTY)])


@given(JSON)
def test_what_is_no_node_is_refused(value: object) -> None:
    try:
        node = load_node(value)
    except InvalidRecord:
        return
    assert dump_node(node) == value


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [["", "d"], ["", "d"]],
        [["", "d"], ["a/b", "f", "0" * 64, 0]],
        [["", "d"], ["a", "d"], ["a", "d"]],
        [["", "d"], ["a", "f", "0" * 64, 0], ["a/b", "d"]],
        [["", "d"], ["a", "f", "0" * 64, -1]],
        [["", "d"], ["a", "f", "0" * 64, True]],
        [["", "d"], ["a", "f", "0" * 63, 0]],
        [["", "d"], ["a", "f", "AB" * 32, 0]],
        [["", "d"], ["a", "f", " " + "00" * 32, 0]],
        [["", "d"], ["..", "d"]],
        [["", "d"], ["a", "l", 5]],
        [["", "d"], ["a", "s", "x"]],
        [["", "d", 1]],
        [["", "f", "0" * 64, 0], ["a", "d"]],
        "d",
        {"": "d"},
    ],
)
def test_rows_that_make_no_tree_are_refused(rows: object) -> None:
    with pytest.raises(InvalidRecord):
        load_node(rows)


def test_the_deepest_tree_that_may_be_can_be_used() -> None:
    tree = deep(MAX_DEPTH - 1)

    loaded = load_node(json.loads(json.dumps(dump_node(tree))))

    assert loaded == tree
    assert hash(loaded) == hash(tree)
    assert [path.count("/") for path, _ in tree.walk()] == [MAX_DEPTH - 1]


def test_a_deeper_tree_is_refused() -> None:
    with pytest.raises(InvalidRecord):
        load_node(dump_node(deep(MAX_DEPTH + 1)))


def test_a_file_and_a_link_come_back_alone() -> None:
    nodes: list[Node] = [File(Digest(b"\1" * 32), True, 5), Link("a/../b")]

    assert [load_node(dump_node(node)) for node in nodes] == nodes


def test_nothing_is_found_below_a_file() -> None:
    tree = from_paths([("a/b", EMPTY)])

    assert tree.get("a/b") == EMPTY
    assert tree.get("a/b/c") is None
    assert tree.get("a/c") is None
