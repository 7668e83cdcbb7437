"""What wheels and sources need, held against what was believed when versions were
chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fromager.derivations.realising.attempt import BuiltWheel
from fromager.derivations.realising.direct import without_places
from fromager.derivations.realising.events import Noted
from fromager.derivations.realising.settling import same_needs, static_needs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fromager.derivations.realising.events import Reporter
    from fromager.derivations.realising.resolutions import Resolutions
    from fromager.derivations.realising.sources import Sources
    from fromager.derivations.resolution.candidate import Metadata
    from fromager.derivations.resolution.outcome import Pin


def believe_wheels(
    resolutions: Resolutions,
    built: Iterable[BuiltWheel | BaseException],
    report: Reporter,
) -> bool:
    """Whether a wheel needs something else than what was resolved upon.

    The wheel is believed from then on; both are told.
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
        text = contradiction(believed, needs, "its wheel", "its source promised")
        report(Noted(f"{result.name}=={result.version}", text))
        found = True
    return found


async def believe_sources(
    resolutions: Resolutions,
    sources: Sources,
    pins: Iterable[Pin],
    report: Reporter,
) -> bool:
    """Whether a source needs something else than its index served as its metadata.

    The source is believed from then on; both are told.
    """
    found = False
    for pin in pins:
        key = (pin.name, pin.version)
        believed = resolutions.metadata.get(key)
        if believed is None or not pin.release.metadata_served:
            continue
        effects = sources.effects(*key, pin.release)
        static = sources.static(await sources.tree(*key, pin.release), effects)
        if static is None:
            continue
        needs = static_needs(static)
        if same_needs(believed, needs):
            continue
        resolutions.metadata[key] = needs
        text = contradiction(believed, needs, "its source", "the index told")
        report(Noted(f"{pin.name}=={pin.version}", text))
        found = True
    return found


def contradiction(believed: Metadata, needs: Metadata, who: str, said: str) -> str:
    """How what is needed differs from what was believed, in words."""
    promised, found = _demands(believed), _demands(needs)
    return (
        f"{who} needs {_listed(found - promised)}, where {said} "
        f"{_listed(promised - found)}: versions are chosen anew"
    )


def _demands(metadata: Metadata) -> set[str]:
    python = metadata.requires_python
    demands = {str(each) for each in metadata.requires_dist}
    return demands | ({f"Python {python}"} if python else set())


def _listed(demands: set[str]) -> str:
    return ", ".join(sorted(demands)) or "nothing"
