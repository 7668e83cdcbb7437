"""What wheels need, held against what was believed when versions were chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fromager.derivations.realising.attempt import BuiltWheel
from fromager.derivations.realising.direct import without_places
from fromager.derivations.realising.events import Noted
from fromager.derivations.realising.settling import same_needs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fromager.derivations.realising.events import Reporter
    from fromager.derivations.realising.resolutions import Resolutions


def believe_wheels(
    resolutions: Resolutions,
    built: Iterable[BuiltWheel | BaseException],
    report: Reporter,
) -> bool:
    """Whether a wheel needs something else than what was resolved upon.

    The wheel is believed from then on.
    """
    found = False
    for result in built:
        if not isinstance(result, BuiltWheel):
            continue
        key = (result.name, result.version)
        believed = resolutions.metadata.get(key)
        if believed is None:
            continue
        needs = result.metadata
        if resolutions.comes_from_place(*key):
            needs = without_places(needs)
        if same_needs(believed, needs):
            continue
        resolutions.metadata[key] = needs
        text = "its wheel needs something else than its source promised"
        report(Noted(f"{result.name}=={result.version}", text))
        found = True
    return found
