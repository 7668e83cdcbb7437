"""Folders in memory: only where they are of use, and gone with their process."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from fromager.store import LocalStore, open_store
from fromager.store.layout import StoreLayout
from fromager.store.memory import MEMORY, make_memory_scratch, memory_scratch
from support.processes import fork, wait

needs_memory = pytest.mark.skipif(
    not os.access(MEMORY, os.W_OK) or bool(os.statvfs(MEMORY).f_flag & os.ST_NOEXEC),
    reason="programs cannot be run from memory here",
)


@needs_memory
def test_a_scratch_folder_in_memory_is_private_and_goes(store: LocalStore) -> None:
    with store.scratch("work", in_memory=True) as scratch:
        assert scratch.in_memory
        assert scratch.path.is_relative_to(MEMORY)
        assert scratch.path.stat().st_mode & 0o7777 == 0o700
        assert scratch.path.parent.stat().st_mode & 0o7777 == 0o700
        (scratch.path / "file").write_bytes(b"x")

    assert not scratch.path.parent.exists()


@needs_memory
def test_it_can_be_kept_on_disk(store: LocalStore) -> None:
    with store.scratch("work", in_memory=True) as scratch:
        (scratch.path / "file").write_text("x")
        (scratch.path / "link").symlink_to("file")
        kept = scratch.keep()

    assert kept == store.root / ".fromager" / "failed" / "work-1"
    assert (kept / "link").readlink() == Path("file")
    assert (kept / "file").read_text() == "x"


@needs_memory
def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    def die() -> None:
        with open_store(tmp_path) as store, store.scratch("w", in_memory=True) as it:
            (it.path / "file").write_bytes(b"x")
            os.kill(os.getpid(), signal.SIGKILL)

    with open_store(tmp_path):
        pass
    assert wait(fork(die)) == -signal.SIGKILL
    left = memory_scratch(StoreLayout(tmp_path))
    assert list(left.iterdir())

    with open_store(tmp_path) as store, store.scratch("w", in_memory=True) as scratch:
        assert list(left.iterdir()) == [scratch.path]


def test_a_folder_that_waited_for_us_is_not_used(
    store: LocalStore, tmp_path: Path
) -> None:
    layout = StoreLayout(store.root)
    memory = tmp_path / "memory"
    memory.mkdir()
    waiting = memory_scratch(layout, memory)

    waiting.symlink_to(tmp_path)
    assert make_memory_scratch(layout, memory) is None
    waiting.unlink()
    waiting.mkdir(mode=0o777)
    waiting.chmod(0o777)
    assert make_memory_scratch(layout, memory) is None


def test_two_stores_share_no_folder(tmp_path: Path) -> None:
    with open_store(tmp_path / "one") as one, open_store(tmp_path / "two") as two:
        layouts = [StoreLayout(store.root) for store in (one, two)]

    assert len({memory_scratch(layout) for layout in layouts}) == 2
