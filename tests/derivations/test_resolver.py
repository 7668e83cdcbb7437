from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fromager.derivations.errors import InputError
from fromager.derivations.resolution.outcome import Impossible, Missing, Resolved
from fromager.derivations.resolution.resolver import resolve
from support.scenarios import SCENARIOS, load_scenario

if TYPE_CHECKING:
    from pathlib import Path

    from fromager.derivations.resolution.outcome import Outcome

ALL = sorted(SCENARIOS.glob("*.json"))


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_the_scenario_comes_out_as_expected(path: Path) -> None:
    scenario = load_scenario(path)

    try:
        found = described(resolve(scenario.request, scenario.knowledge))
    except InputError as error:
        found = {"invalid": str(error), "hint": error.hint}

    assert found == scenario.expected


def described(outcome: Outcome) -> dict[str, Any]:
    """An outcome in the form that scenarios have it in."""
    match outcome:
        case Resolved(pins, warnings):
            found: dict[str, Any] = {"pins": {}}
            for pin in pins:
                extras = f"[{','.join(pin.extras)}]" if pin.extras else ""
                found["pins"][pin.name + extras] = str(pin.version)
            return found | ({"warnings": list(warnings)} if warnings else {})
        case Impossible(message, hint):
            return {"refused": message.splitlines(), "hint": hint}
        case Missing(projects, metadata):
            return {"missing": [*sorted(projects), *sorted(metadata)]}
