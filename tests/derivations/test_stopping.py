"""Telling work to stop, in as many runs of one process as there may be."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from fromager.derivations import StopSignal


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_signal_that_nobody_has_any_more_keeps_no_descriptor() -> None:
    before = open_descriptors()

    for _ in range(20):
        StopSignal().set()

    assert open_descriptors() == before


def test_a_signal_is_heard_in_a_process_with_many_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 1100
    if soft < 2 * wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(2 * wanted, hard), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(wanted)]
    try:
        stop = StopSignal()
        assert stop.fileno() > 1024
        assert not stop.wait(0)
        stop.set()
        assert stop.wait(60)
        stop.close()
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
