"""Derivations: one canonical form, one key, and nothing that slips past either."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fromager.derivations import (
    Derivation,
    InvalidDerivation,
    Kind,
    ResolvedDerivation,
    decode,
    encode,
    resolve_inputs,
)
from fromager.store import Digest, blob_digest
from support.golden import check_golden

DIGESTS = {name: blob_digest(name.encode()) for name in "abcdefgh"}
BUILD: dict[str, Any] = {
    "build_dir": "/build/src",
    "config_settings": {"--build-option": ("--a", "--b"), "x": True},
    "platform": str(DIGESTS["e"]),
    "runner": "0123456789abcdef",
    "sandbox": "fromager-sandbox/1 full",
    "variables": {"LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": "315532800"},
}
EXAMPLES = (
    ResolvedDerivation(
        Kind.FETCH,
        "demo-1.0.tar.gz",
        "fetch/1",
        options=(("filename", "demo-1.0.tar.gz"), ("sha256", "ab" * 32)),
    ),
    ResolvedDerivation(
        Kind.PATCH_SET,
        "demo==1.0",
        "patch-set/1",
        options=(("patches", (("0001-fix.patch", str(DIGESTS["a"])),)),),
    ),
    ResolvedDerivation(
        Kind.SOURCE,
        "demo==1.0",
        "source/1",
        (("archive", DIGESTS["a"]), ("patches", DIGESTS["b"])),
        (("filename", "demo-1.0.tar.gz"),),
    ),
    ResolvedDerivation(
        Kind.ENVIRONMENT,
        "setuptools==80.0",
        "environment/1",
        (("layout:setuptools==80.0", DIGESTS["c"]),),
        (("base", str(DIGESTS["d"])), ("executable", "/usr/bin/python3.12")),
    ),
    ResolvedDerivation(
        Kind.REQUIRES,
        "demo==1.0",
        "requires/1 0123456789abcdef",
        (("environment", DIGESTS["d"]), ("source", DIGESTS["c"])),
        tuple(sorted({**BUILD, "hook": "get_requires_for_build_wheel"}.items())),
    ),
    ResolvedDerivation(
        Kind.METADATA,
        "demo==1.0",
        "metadata/1 0123456789abcdef",
        (("environment", DIGESTS["d"]), ("source", DIGESTS["c"])),
        tuple(sorted(BUILD.items())),
    ),
    ResolvedDerivation(
        Kind.WHEEL,
        "demo==1.0",
        "wheel/1 0123456789abcdef",
        (("environment", DIGESTS["d"]), ("source", DIGESTS["c"])),
        tuple(sorted({**BUILD, "normalisation": "wheel-nf/1"}.items())),
    ),
    ResolvedDerivation(
        Kind.SDIST,
        "demo==1.0",
        "sdist/1 0123456789abcdef",
        (("environment", DIGESTS["d"]), ("source", DIGESTS["c"])),
        tuple(sorted(BUILD.items())),
    ),
    ResolvedDerivation(
        Kind.LAYOUT,
        "demo==1.0",
        "layout/1 fedcba9876543210",
        (("wheel", DIGESTS["f"]),),
        (
            ("cache_tag", "cpython-312"),
            ("filename", "demo-1.0-py3-none-any.whl"),
            ("platlib", "lib/python3.12/site-packages"),
        ),
    ),
    ResolvedDerivation(
        Kind.COLLECTION,
        "demo==1.0 \u00fcml\u00e4ut",
        "collection/1",
        (("wheel:demo==1.0", DIGESTS["f"]),),
        (("lock", None), ("number", 7)),
    ),
)


def test_every_kind_has_a_golden_vector() -> None:
    assert {example.kind for example in EXAMPLES} == set(Kind)

    check_golden(
        "derivations/keys.json",
        [
            {"encoded": encode(example).decode("ascii"), "key": str(example.key)}
            for example in EXAMPLES
        ],
    )


def test_symbolic_derivations_have_golden_digests() -> None:
    archive = Derivation(
        Kind.FETCH, "a.zip", "fetch/1", hints=(("urls", ("https://a.test/a.zip",)),)
    )
    source = Derivation(Kind.SOURCE, "a==1", "source/1", (("archive", archive),))

    check_golden(
        "derivations/symbolic.json",
        [
            {"encoded": encode(each).decode("ascii"), "digest": str(each.digest)}
            for each in (archive, source)
        ],
    )


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.kind.value)
def test_decoding_gives_back_what_was_encoded(example: ResolvedDerivation) -> None:
    assert decode(encode(example)) == example or encode(decode(encode(example))) == (
        encode(example)
    )
    assert decode(encode(example)).key == example.key


def _mutations(example: ResolvedDerivation) -> list[ResolvedDerivation]:
    """The derivation with one thing changed, for every thing that it holds."""
    changed = [
        replace(example, subject=example.subject + "x"),
        replace(example, builder=example.builder + "x"),
        *(replace(example, kind=kind) for kind in Kind if kind is not example.kind),
        replace(example, inputs=(*example.inputs, ("zz", DIGESTS["h"]))),
        replace(example, options=(*example.options, ("zz", "x"))),
    ]
    for number, (role, _) in enumerate(example.inputs):
        others = example.inputs[:number] + example.inputs[number + 1 :]
        changed.append(replace(example, inputs=others))
        swapped = tuple(sorted((*others, (role, DIGESTS["h"]))))
        changed.append(replace(example, inputs=swapped))
    for number, (name, value) in enumerate(example.options):
        others_ = example.options[:number] + example.options[number + 1 :]
        changed.append(replace(example, options=others_))
        changed += [
            replace(
                example,
                options=tuple(sorted((*others_, (name, other)), key=lambda o: o[0])),
            )
            for other in _other_values(value)
        ]
    return changed


def _other_values(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [{**value, "added": "x"}] + [
            {**value, key: other}
            for key, each in value.items()
            for other in _other_values(each)
        ]
    if isinstance(value, tuple):
        return [(*value, "x"), value[1:]]
    return [f"{value}x", None if value is not None else "None", [], 0 if value else 1][
        :2
    ]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.kind.value)
def test_any_change_of_any_field_changes_the_key(example: ResolvedDerivation) -> None:
    mutations = _mutations(example)
    keys = {mutation.key for mutation in mutations}

    assert example.key not in keys
    assert len(keys) == len(mutations)


def test_the_address_of_a_file_is_no_part_of_its_key() -> None:
    here = Derivation(Kind.FETCH, "a.zip", "fetch/1", hints=(("urls", ("x",)),))
    there = Derivation(Kind.FETCH, "a.zip", "fetch/1", hints=(("urls", ("y",)),))

    assert here.digest != there.digest
    assert resolve_inputs(here, {}).key == resolve_inputs(there, {}).key


def test_inputs_with_equal_content_give_equal_keys() -> None:
    one = Derivation(Kind.FETCH, "a.zip", "fetch/1")
    two = Derivation(Kind.FETCH, "b.zip", "fetch/1")
    of_one = Derivation(Kind.SOURCE, "a==1", "source/1", (("archive", one),))
    of_two = Derivation(Kind.SOURCE, "a==1", "source/1", (("archive", two),))
    outputs = {one.digest: DIGESTS["a"], two.digest: DIGESTS["a"]}

    assert of_one.digest != of_two.digest
    assert resolve_inputs(of_one, outputs).key == resolve_inputs(of_two, outputs).key


def test_an_input_that_was_not_realised_is_named() -> None:
    archive = Derivation(Kind.FETCH, "a.zip", "fetch/1")
    source = Derivation(Kind.SOURCE, "a==1", "source/1", (("archive", archive),))

    with pytest.raises(InvalidDerivation, match="archive"):
        resolve_inputs(source, {})


@pytest.mark.parametrize(
    "options", [(("b", 1), ("a", 1)), (("a", 1), ("a", 2))], ids=["order", "twice"]
)
def test_unsorted_or_repeated_names_are_refused(
    options: tuple[tuple[str, int], ...],
) -> None:
    with pytest.raises(InvalidDerivation):
        ResolvedDerivation(Kind.FETCH, "a", "fetch/1", options=options)


@pytest.mark.parametrize("value", [1.5, {1, 2}, b"x", {1: "x"}, object()])
def test_values_without_a_canonical_form_are_refused(value: Any) -> None:
    derivation = ResolvedDerivation(Kind.FETCH, "a", "fetch/1", options=(("o", value),))

    with pytest.raises(InvalidDerivation):
        encode(derivation)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_derivation_are_refused(content: bytes) -> None:
    with pytest.raises(InvalidDerivation):
        decode(content)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: {**v, "version": 2},
        lambda v: {**v, "form": "symbolic"},
        lambda v: {**v, "extra": 1},
        lambda v: {**v, "kind": "spell"},
        lambda v: {**v, "inputs": {"source": "sha256:00"}},
        lambda v: {name: each for name, each in v.items() if name != "options"},
    ],
)
def test_other_records_are_refused(change: Any) -> None:
    value = change(json.loads(encode(EXAMPLES[0])))

    with pytest.raises(InvalidDerivation):
        decode(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def test_a_form_that_is_not_canonical_is_refused() -> None:
    with pytest.raises(InvalidDerivation, match="canonical"):
        decode(json.dumps(json.loads(encode(EXAMPLES[0]))).encode())


NAMES = st.text(min_size=1, max_size=10)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(NAMES, inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.sampled_from(Kind),
    st.text(max_size=20),
    st.dictionaries(NAMES, st.binary(min_size=32, max_size=32).map(Digest), max_size=4),
    st.dictionaries(NAMES, VALUES, max_size=4),
)
def test_any_derivation_survives_encoding(
    kind: Kind, subject: str, inputs: dict[str, Digest], options: dict[str, Any]
) -> None:
    derivation = ResolvedDerivation(
        kind,
        subject,
        "recipe/1",
        tuple(sorted(inputs.items())),
        tuple(sorted(options.items())),
    )

    assert encode(decode(encode(derivation))) == encode(derivation)
