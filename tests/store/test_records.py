"""Records of objects and realisations, and the vectors that fix all encodings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

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
from fromager.store.tree import listing
from support.golden import DATA, check_golden
from support.trees import Sketch, sketches, tree_of

if TYPE_CHECKING:
    from collections.abc import Callable

DIGESTS = st.binary(min_size=32, max_size=32).map(Digest)
PATHS = st.builds(
    StorePath.of, DIGESTS, st.from_regex(r"[a-z0-9][a-z.-]{0,9}", fullmatch=True)
)
TEXT = st.text(max_size=12)


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
    ],
)
def test_a_record_that_does_not_agree_with_itself_is_refused(
    change: Callable[[dict[str, Any]], object],
) -> None:
    value = record()
    assert load_record(json.dumps(value).encode())

    change(value)

    with pytest.raises(InvalidRecord):
        load_record(json.dumps(value).encode())


@pytest.mark.parametrize("field", [*json.loads(dump_realisation(CLAIM)), "nothing"])
@pytest.mark.parametrize(
    "value", [None, [], {}, "x", -1, 1e999, [[]], {"out": {}}, {"x": "y"}, {"x": 1}]
)
def test_a_realisation_with_odd_fields_is_refused_or_kept(
    field: str, value: object
) -> None:
    fields = json.loads(dump_realisation(CLAIM)) | {field: value}
    try:
        loaded = load_realisation(json.dumps(fields).encode())
    except InvalidRecord:
        return
    assert load_realisation(dump_realisation(loaded)) == loaded


@given(st.binary(max_size=50))
def test_other_bytes_are_no_record(content: bytes) -> None:
    for load in (load_record, load_realisation):
        with pytest.raises(InvalidRecord):
            load(content)


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
