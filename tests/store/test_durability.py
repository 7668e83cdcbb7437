"""What must have reached the disk."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from fromager.store.durability import syncing_ahead

if TYPE_CHECKING:
    from pathlib import Path


def test_what_a_sync_ahead_could_not_write_is_told(tmp_path: Path) -> None:
    threads = threading.active_count()

    with pytest.raises(FileNotFoundError), syncing_ahead(bytes(tmp_path / "gone"), 0):
        while threading.active_count() > threads:
            os.sched_yield()


def test_what_the_work_raises_comes_before_what_the_sync_does(tmp_path: Path) -> None:
    with pytest.raises(KeyError), syncing_ahead(bytes(tmp_path / "gone"), 0):
        raise KeyError


def test_syncing_ahead_ends_with_the_work(tmp_path: Path) -> None:
    threads = threading.active_count()

    with syncing_ahead(bytes(tmp_path)):
        (tmp_path / "file").write_bytes(b"content")

    assert threading.active_count() == threads
