from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from fromager.store import File, blob_digest
from fromager.store.hashing import READ_AHEAD, hashed

if TYPE_CHECKING:
    from pathlib import Path

PIECE = 1 << 20


@pytest.mark.parametrize("size", [0, READ_AHEAD], ids=["alone", "ahead"])
@pytest.mark.parametrize("count", [0, 1, PIECE - 1, PIECE, 5 * PIECE + 7])
def test_a_file_is_hashed_whole_however_it_is_read(
    tmp_path: Path, size: int, count: int
) -> None:
    content = os.urandom(count)
    place = tmp_path / "file"
    place.write_bytes(content)

    with place.open("rb") as file:
        file.seek(count // 2)
        found = hashed(file.fileno(), size, executable=True)

        assert file.tell() == count // 2
    assert found == File(blob_digest(content), executable=True, size=count)


@pytest.mark.parametrize("size", [0, READ_AHEAD], ids=["alone", "ahead"])
def test_what_cannot_be_read_is_an_error_of_who_asked(
    tmp_path: Path, size: int
) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(IsADirectoryError):
            hashed(descriptor, size, executable=False)
    finally:
        os.close(descriptor)
