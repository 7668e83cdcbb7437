"""Records of objects and realisations, and the vectors that fix all encodings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fromager.store import (
    Digest,
    Directory,
    File,
    InvalidRecord,
    Link,
    LocalStore,
    Realisation,
    StorePath,
    blob_digest,
    dump_realisation,
    load_realisation,
)
from fromager.store.records import ObjectRecord, dump_record, load_record
from fromager.store.tree import dump_node, listing, load_node
from support.golden import DATA, check_golden
from support.trees import Sketch, sketches, tree_of

if TYPE_CHECKING:
    from collections.abc import Callable

DIGESTS = st.binary(min_size=32, max_size=32).map(Digest)
PATHS = st.builds(
    StorePath.of, DIGESTS, st.from_regex(r"[a-z0-9][a-z.-]{0,9}", fullmatch=True)
)
TEXT = st.text(max_size=12)
T = TypeVar("T")


def pairs(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(TEXT, values, max_size=4).map(
        lambda found: tuple(sorted(found.items()))
    )


REALISATIONS = st.builds(
    Realisation,
    key=DIGESTS,
    derivation=PATHS,
    kind=TEXT,
    subject=TEXT,
    output=PATHS,
    output_digest=DIGESTS,
    level=TEXT,
    started=st.integers(0, 1 << 40),
    duration=st.integers(0, 1 << 40).map(lambda ms: ms / 1000),
    inputs=pairs(DIGESTS),
    facts=pairs(TEXT),
)


PATH = str(StorePath.of(blob_digest(b""), "other"))

TREES: dict[str, Directory] = {
    "empty": Directory(()),
    "one-file": Directory.of({"a.txt": File(blob_digest(b"text"), False, 4)}),
    "program": Directory.of({"a.txt": File(blob_digest(b"text"), True, 4)}),
    "link": Directory.of({"a.txt": Link("../elsewhere/\u00e9")}),
    "names": Directory.of(
        {
            name: File(blob_digest(b""))
            for name in (
                "a",
                "B",
                "\u00e9",
                "e\u0301",
                "\U0001f40d",
                "\udcff",
                "a\n",
                '"\\',
            )
        }
    ),
    "nested": Directory.of(
        {
            "bin": Directory.of({"run": File(blob_digest(b"#!"), True, 2)}),
            "lib": Directory.of({"empty": Directory(())}),
            "lib64": Link("lib"),
        }
    ),
}

CLAIM = Realisation(
    key=blob_digest(b"key"),
    derivation=StorePath.of(blob_digest(b"drv"), "thing-1-wheel.drv"),
    kind="wheel",
    subject="thing==1",
    output=StorePath.of(TREES["nested"].digest, "thing-1"),
    output_digest=TREES["nested"].digest,
    level="full",
    started=1_800_000_000,
    duration=12.345,
    inputs=(("environment", blob_digest(b"e")), ("source", blob_digest(b"s"))),
    facts=(("builder", "fromager"), ("raw", "\u00e9")),
)


@given(REALISATIONS)
def test_a_realisation_comes_back_from_its_record(realisation: Realisation) -> None:
    content = dump_realisation(realisation)

    assert load_realisation(content) == realisation
    assert dump_realisation(load_realisation(content)) == content


@given(REALISATIONS, REALISATIONS)
def test_equal_claims_are_equal_records(one: Realisation, other: Realisation) -> None:
    assert (one.record_digest == other.record_digest) == (one == other)


@given(sketches(), st.lists(PATHS, max_size=3, unique=True))
def test_an_object_comes_back_from_its_record(
    sketch: dict[str, Sketch], references: list[StorePath]
) -> None:
    tree = tree_of(sketch)
    path = StorePath.of(tree.digest, "name")
    record = ObjectRecord(path, tuple(sorted(references)), tree)

    assert load_record(dump_record(record)) == record


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def record() -> dict[str, Any]:
    tree = Directory.of({"a": File(blob_digest(b"1"), False, 1)})
    path = StorePath.of(tree.digest, "name")
    found = json.loads(dump_record(ObjectRecord(path, (), tree)))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.update(version=2),
        lambda value: value.pop("version"),
        lambda value: value.update(path="x"),
        lambda value: value.update(digest=str(blob_digest(b""))),
        lambda value: value.update(kind="blob"),
        lambda value: value.update(references=["x"]),
        lambda value: value.update(references=5),
        lambda value: value.update(content=[["", "l", "a"]]),
        lambda value: value.update(content=[["", "d"]]),
        lambda value: value["content"].append(["b", "f", "0" * 64, 1]),
        lambda value: value.update(more=1),
        lambda value: value.update(size=2),
        lambda value: value.update(references=value["references"] * 2 + [PATH] * 2),
    ],
)
def test_a_record_that_does_not_agree_with_itself_is_refused(
    change: Callable[[dict[str, Any]], object],
) -> None:
    value = record()
    assert load_record(canonical(value))

    change(value)

    with pytest.raises(InvalidRecord):
        load_record(canonical(value))


@pytest.mark.parametrize("field", [*json.loads(dump_realisation(CLAIM)), "nothing"])
@pytest.mark.parametrize(
    "value", [None, [], {}, "x", -1, 1e999, [[]], {"out": {}}, {"x": "y"}, {"x": 1}]
)
def test_a_realisation_with_odd_fields_is_refused_or_kept(
    field: str, value: object
) -> None:
    content = canonical(json.loads(dump_realisation(CLAIM)) | {field: value})
    try:
        loaded = load_realisation(content)
    except InvalidRecord:
        return
    assert dump_realisation(loaded) == content


@given(st.binary(max_size=50))
def test_other_bytes_are_no_record(content: bytes) -> None:
    for load in (load_record, load_realisation):
        with pytest.raises(InvalidRecord):
            load(content)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)
    ),
    max_leaves=12,
)
CHANGES = st.one_of(
    st.tuples(st.just("cut"), st.integers(0, 3000)),
    st.tuples(st.just("put"), st.integers(0, 3000), st.binary(min_size=1, max_size=4)),
    st.tuples(st.just("take"), st.integers(0, 3000), st.integers(1, 40)),
)


def changed(content: bytes, changes: list[Any]) -> bytes:
    """The same bytes, damaged as disks and people damage them."""
    for change in changes:
        match change:
            case "cut", at:
                content = content[:at]
            case "put", at, new:
                content = content[:at] + new + content[at + len(new) :]
            case "take", at, count:
                content = content[:at] + content[at + count :]
    return content


def is_taken(
    load: Callable[[bytes], T], dump: Callable[[T], bytes], content: bytes
) -> bool:
    """Whether a parser takes these bytes; if so, they are what it would write."""
    try:
        loaded = load(content)
    except InvalidRecord:
        return False
    assert dump(loaded) == content
    return True


def is_record(content: bytes) -> bool:
    """Whether one of the parsers takes these bytes; never do both."""
    as_object = is_taken(load_record, dump_record, content)
    as_claim = is_taken(load_realisation, dump_realisation, content)
    assert not (as_object and as_claim)
    return as_object or as_claim


@given(sketches(), st.lists(CHANGES, min_size=1, max_size=3))
def test_a_damaged_record_is_refused_or_is_a_record(
    sketch: dict[str, Sketch], changes: list[Any]
) -> None:
    tree = tree_of(sketch)
    content = dump_record(ObjectRecord(StorePath.of(tree.digest, "name"), (), tree))
    assert is_record(content)

    is_record(changed(content, changes))


@given(REALISATIONS, st.lists(CHANGES, min_size=1, max_size=3))
def test_a_damaged_realisation_is_refused_or_is_a_realisation(
    realisation: Realisation, changes: list[Any]
) -> None:
    content = dump_realisation(realisation)
    assert is_record(content)

    is_record(changed(content, changes))


@given(st.sampled_from(["content", "references", "path", "size", "kind"]), VALUES)
def test_a_record_with_any_value_is_refused_or_is_a_record(
    field: str, value: object
) -> None:
    is_record(canonical({**record(), field: value}))


@given(st.lists(st.lists(SCALARS | st.just(""), max_size=5), max_size=6))
def test_any_rows_are_refused_or_are_a_tree(rows: list[list[Any]]) -> None:
    try:
        node = load_node(json.loads(json.dumps(rows)))
    except InvalidRecord:
        return
    assert load_node(dump_node(node)) == node


@given(VALUES)
def test_any_json_is_refused_or_is_a_record(value: object) -> None:
    for content in (canonical(value), json.dumps(value).encode("utf-16")):
        assert not is_record(content)


def test_blobs_have_the_digests_agreed_upon() -> None:
    contents = [b"", b"text", b"x" * 1024, b"x" * 1025, bytes(range(256)) * 256]

    check_golden(
        "store/blobs.json",
        [
            [len(content), content[:8].hex(), str(blob_digest(content))]
            for content in contents
        ],
    )


def test_trees_have_the_listings_and_digests_agreed_upon() -> None:
    check_golden(
        "store/trees.json",
        {
            name: {
                "listing": listing(tree).decode(),
                "digest": str(tree.digest),
                "path": str(StorePath.of(tree.digest, name)),
            }
            for name, tree in TREES.items()
        },
    )


def test_objects_have_the_records_agreed_upon() -> None:
    references = (StorePath.of(blob_digest(b""), "other"),)
    nodes: dict[str, File | Directory] = {
        **TREES,
        "blob": File(blob_digest(b"text"), False, 4),
    }

    check_golden(
        "store/records.json",
        {
            name: dump_record(
                ObjectRecord(StorePath.of(node.digest, name), references, node)
            ).decode()
            for name, node in nodes.items()
        },
    )


def test_records_agreed_upon_are_read() -> None:
    written = json.loads((DATA / "store" / "records.json").read_text())

    for name, text in written.items():
        loaded = load_record(text.encode())
        assert loaded.path.name == name
        assert dump_record(loaded).decode() == text


def test_realisations_have_the_records_agreed_upon() -> None:
    check_golden(
        "store/realisations.json",
        [[dump_realisation(CLAIM).decode(), str(CLAIM.record_digest)]],
    )


def test_realisations_agreed_upon_are_read() -> None:
    written = json.loads((DATA / "store" / "realisations.json").read_text())

    for text, digest in written:
        loaded = load_realisation(text.encode())
        assert loaded == CLAIM
        assert str(loaded.record_digest) == digest


def test_records_on_disk_hold_all_that_the_database_knows(store: LocalStore) -> None:
    with store.transaction() as transaction:
        one = transaction.add_bytes(b"1", "one")
        two = transaction.add_bytes(b"2", "two", references=[one.path])
        claim = Realisation(
            blob_digest(b"k"), one.path, "wheel", "x==1", two.path, two.digest
        )
        transaction.register(claim)

    private = store.root / ".fromager"
    records = [load_record(p.read_bytes()) for p in (private / "records").iterdir()]
    claims = [
        load_realisation(path.read_bytes())
        for path in (private / "realisations").glob("*/*/*.json")
    ]
    assert {(r.path, r.digest, r.kind, r.references) for r in records} == {
        (info.path, info.digest, info.kind, info.references) for info in (one, two)
    }
    assert claims == [claim]
