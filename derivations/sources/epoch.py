"""SOURCE_DATE_EPOCH: the time that a build takes for its own, from the source alone."""

from __future__ import annotations

from typing import Final

EARLIEST: Final = 315532800
"""1980-01-01, the first time that a zip file can hold."""
LATEST: Final = 4354819199
"""2107-12-31, the last one."""


def source_date_epoch(newest: int, upload_time: int | None) -> int:
    """Seconds since the epoch: the newest file's time, not later than the upload.

    `newest` is 0 where the archive holds no times; then the upload's counts, and
    `EARLIEST` where that is unknown too. Always between `EARLIEST` and `LATEST`.
    """
    times = [time for time in (newest, upload_time) if time]
    return max(EARLIEST, min([*times, LATEST]) if times else EARLIEST)
