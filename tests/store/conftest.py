"""A store of its own for each test that asks for one; locks are taken in order."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fromager.store import LocalStore, open_store
from support.lock_order import WATCH

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    with open_store(tmp_path / "store", clock=lambda: 1_800_000_000.0) as opened:
        yield opened


@pytest.fixture
def quick_path() -> Iterator[Path]:
    """A folder in memory where there is one: for tests that make many stores."""
    memory = Path("/dev/shm")
    place = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="fromager-", dir=place) as folder:
        yield Path(folder)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that any user may enter and write to, and find."""
    # Not in pytest's own folder: each run of pytest closes that to other users.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


@pytest.fixture(autouse=True)
def _locks_in_order() -> Iterator[None]:
    WATCH.breaches.clear()
    yield
    assert WATCH.breaches == []
