"""A process of its own finds out what this one would."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

from fromager.derivations import host_platform, host_platform_apart, known_platform
from fromager.derivations.building import apart
from fromager.derivations.building.probe import probe
from support.facts import MemoryFacts, NoFacts

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_another_process_finds_what_this_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter = probe(sys.executable, NoFacts())
    facts = MemoryFacts()
    # What fails here can only have been found there.
    quick = partial(known_platform, interpreter, tmp_path, facts)
    monkeypatch.setattr(
        apart, "host_platform", lambda *_, thorough: thorough or quick()
    )

    found = host_platform_apart(interpreter, tmp_path, facts)

    assert known_platform(interpreter, tmp_path, facts) == found
    assert host_platform(interpreter, tmp_path, NoFacts(), thorough=True) == found


def test_where_no_other_process_can_be_had_this_one_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter = probe(sys.executable, NoFacts())
    monkeypatch.setattr(sys, "executable", str(tmp_path / "absent"))
    facts = MemoryFacts()

    found = host_platform_apart(interpreter, tmp_path, facts)

    assert known_platform(interpreter, tmp_path, facts) == found
