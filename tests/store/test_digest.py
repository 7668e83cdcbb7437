"""Digests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fromager.store import (
    DERIVATION_CONTEXT,
    Digest,
    InvalidRecord,
    blob_digest,
    derived_digest,
    stream_digest,
)


def test_the_digest_of_nothing_is_the_one_that_b3sum_prints() -> None:
    expected = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"

    assert blob_digest(b"").hex == expected


@given(st.binary(min_size=32, max_size=32).map(Digest))
def test_parse_after_format_is_identity(digest: Digest) -> None:
    assert Digest.parse(str(digest)) == digest


@given(st.text(max_size=80))
def test_other_text_is_no_digest(text: str) -> None:
    with pytest.raises(InvalidRecord):
        Digest.parse(text)


@pytest.mark.parametrize("prefix", ["", "sha256:", "BLAKE3:", " blake3:"])
def test_a_digest_names_its_algorithm(prefix: str) -> None:
    with pytest.raises(InvalidRecord):
        Digest.parse(prefix + "0" * 64)


def test_a_digest_has_32_bytes() -> None:
    with pytest.raises(InvalidRecord):
        Digest(b"\0" * 31)


@given(st.lists(st.binary(max_size=30), max_size=6))
def test_a_stream_has_the_digest_of_its_bytes(chunks: list[bytes]) -> None:
    assert stream_digest(chunks) == blob_digest(b"".join(chunks))


@given(st.binary(max_size=40))
def test_what_is_no_blob_never_has_a_blobs_digest(content: bytes) -> None:
    assert derived_digest(DERIVATION_CONTEXT, content) != blob_digest(content)
