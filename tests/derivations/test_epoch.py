"""SOURCE_DATE_EPOCH."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fromager.derivations.sources.epoch import EARLIEST, LATEST, source_date_epoch


@pytest.mark.parametrize(
    ("newest", "upload_time", "expected"),
    [
        (1_700_000_000, None, 1_700_000_000),
        (1_700_000_000, 1_700_000_500, 1_700_000_000),
        (1_800_000_000, 1_700_000_500, 1_700_000_500),
        (0, 1_700_000_500, 1_700_000_500),
        (0, None, EARLIEST),
        (1, None, EARLIEST),
        (1 << 36, None, LATEST),
    ],
)
def test_the_newest_file_counts_but_not_later_than_the_upload(
    newest: int, upload_time: int | None, expected: int
) -> None:
    assert source_date_epoch(newest, upload_time) == expected


@given(st.integers(0, 1 << 40), st.none() | st.integers(0, 1 << 40))
def test_every_epoch_fits_a_zip_file(newest: int, upload_time: int | None) -> None:
    assert EARLIEST <= source_date_epoch(newest, upload_time) <= LATEST
