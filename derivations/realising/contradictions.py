"""What wheels and sources need, held against what was believed when versions were
chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fromager.derivations.realising.attempt import BuiltWheel
from fromager.derivations.realising.events import Noted
from fromager.derivations.realising.located import without_places
from fromager.derivations.realising.settling import same_needs, static_needs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.version import Version

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
        if key not in resolutions.metadata:
            continue
        needs = result.metadata
        if resolutions.comes_from_place(*key):
            needs = without_places(needs)
        telling = ("its wheel", "its source promised")
        found |= _believe(resolutions, key, needs, telling, report)
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
        if key not in resolutions.metadata or not pin.release.metadata_served:
            continue
        effects = sources.effects(*key, pin.release)
        static = sources.static(await sources.tree(*key, pin.release), effects)
        if static is not None:
            telling = ("its source", "the index told")
            needs = static_needs(static)
            found |= _believe(resolutions, key, needs, telling, report)
    return found


def _believe(
    resolutions: Resolutions,
    key: tuple[str, Version],
    needs: Metadata,
    telling: tuple[str, str],
    report: Reporter,
) -> bool:
    """Whether a release needs something else than was believed; it is, from now on.

    `telling` are who says so, and what was believed till now, in words.
    """
    believed = resolutions.metadata[key]
    if same_needs(believed, needs):
        return False
    resolutions.metadata[key] = needs
    name, version = key
    report(Noted(f"{name}=={version}", contradiction(believed, needs, *telling)))
    return True


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
