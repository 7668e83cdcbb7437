from __future__ import annotations

import pytest

from fromager.store.file_status import RACY_NS, is_settled

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND + 5


@pytest.mark.parametrize(
    ("changed", "settled"),
    [
        (NOW - 50_000_000, False),
        (NOW - 150_000_000, True),
        # Without parts of seconds, a file system may know none.
        (NOW - 5, False),
        (NOW - 5 - SECOND, False),
        (NOW - 5 - RACY_NS, True),
        # The clock went backwards.
        (NOW + 3 * SECOND + 1, False),
    ],
)
def test_a_change_shows_once_the_clock_of_the_file_system_has_ticked(
    changed: int, settled: bool
) -> None:
    assert is_settled(changed, NOW) is settled
