"""Store paths."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fromager.store import Digest, InvalidName, StorePath, blob_digest, check_name
from fromager.store.path import check_path

NAMES = st.from_regex(r"[A-Za-z0-9+_=][A-Za-z0-9+._=-]{0,40}", fullmatch=True)
DIGESTS = st.binary(min_size=32, max_size=32).map(Digest)


@given(DIGESTS, NAMES)
def test_parse_after_format_is_identity(digest: Digest, name: str) -> None:
    path = StorePath.of(digest, name)

    assert StorePath.parse(str(path)) == path


@given(DIGESTS, DIGESTS, NAMES, NAMES)
def test_other_content_or_name_is_another_path(
    one: Digest, other: Digest, name: str, alias: str
) -> None:
    same = (one, name) == (other, alias)

    assert (StorePath.of(one, name).hash == StorePath.of(other, alias).hash) == same


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", ".hidden", "-dash", "a/b", "a b", "a\n", "a\0", "é", "a:b"),
        *("x" * 212, "x" * 300, "e\u0301", "名", "a\\b", "~", "a%"),
    ],
)
def test_a_name_that_no_object_may_have_is_refused(name: str) -> None:
    with pytest.raises(InvalidName):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "x" * 211, "a.tar.gz", "_", "1+2=3", "A-b_c"])
def test_a_proper_name_is_given_back(name: str) -> None:
    assert check_name(name) == name


@given(
    st.text(max_size=60)
    | st.from_regex(r"[a-z1-8]{31,33}[-.][A-Za-z0-9+._=/é-]{0,220}\n?", fullmatch=True)
)
def test_text_is_a_path_or_refused(text: str) -> None:
    try:
        path = StorePath.parse(text)
    except InvalidName:
        with pytest.raises(InvalidName):
            check_path(text)
        return
    assert str(path) == text == check_path(text)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 32,
        "a" * 32 + "-",
        "A" * 32 + "-name",
        "1" * 32 + "-name",
        "a" * 31 + "-name",
        "a" * 32 + "-../x",
        "a" * 32 + "-x\n",
    ],
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        StorePath.parse(text)


def test_a_path_lies_below_any_root() -> None:
    path = StorePath.of(blob_digest(b""), "name")

    assert path.below(Path("/store")) == Path(f"/store/{path}")
