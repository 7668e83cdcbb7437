"""Commands that are killed at any moment leave a sound store, and succeed when repeated."""

from __future__ import annotations

import random
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fromager.store import open_store
from support.crashes import thoroughness
from support.soundness import faults
from support.store_check import check_store
from support.syscalls import supervision

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.command_line import Outcome, Place

KILLS = 2 * thoroughness()
USUAL_CALLS = 13_000
"""About so many calls change the store where two tiny projects are built in a new one."""
SUPERVISION = supervision()

pytestmark = pytest.mark.skipif(SUPERVISION is not None, reason=f"{SUPERVISION}")


def killed_at(place: Place, number: int, *words: str) -> Outcome:
    """How a command ended that was killed at that call, if it came to it."""
    tests = Path(__file__).parents[1]
    wrapper = (
        *(sys.executable, str(tests / "support" / "supervised.py")),
        *(str(place.store), str(number)),
    )
    known = replace(place, variables={**place.variables, "PYTHONPATH": str(tests)})
    return known.call(*words, wrapper=wrapper)


def test_a_build_that_is_killed_anywhere_succeeds_when_repeated(
    fresh: Place, offer: Callable[..., Any]
) -> None:
    offer("base")
    offer("user", requires=["base"], imports=["base"])
    chance, killed = random.Random(1), 0
    for turn in range(KILLS):
        # Each on a store of its own: where much is known, little is done.
        place = replace(
            fresh, store=fresh.store.with_name(f"{fresh.store.name}-{turn}")
        )
        outcome = killed_at(place, chance.randint(1, USUAL_CALLS), "realise", "user")

        assert outcome.code in (128 + signal.SIGKILL, 0), outcome.err
        killed += outcome.code != 0
        with open_store(place.store) as store:
            assert faults(store) == []
        again = place.run("realise", "user")
        assert again.code == 0, again.err
        with open_store(place.store) as store:
            assert faults(store) == []
        check_store(place)
    assert killed
