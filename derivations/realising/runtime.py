"""What wheels in a store need when they run, found in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from fromager.derivations.realising.wheel_file import wheel_file, wheel_metadata
from fromager.derivations.resolution.candidate import Metadata

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.requirements import Requirement

    from fromager.store import LocalStore, Realisation


def runtime_closure(
    store: LocalStore, roots: Iterable[Realisation], markers: Mapping[str, str]
) -> tuple[tuple[Realisation, ...], tuple[str, ...]]:
    """These wheels and what they need, and the requirements that no wheel here meets.

    Of several wheels that meet a requirement, it is the one that was built last.
    """
    found: dict[str, Realisation] = {}
    unmet: dict[str, None] = {}
    queue: list[tuple[Realisation, frozenset[str]]] = [(r, frozenset()) for r in roots]
    seen: set[tuple[str, frozenset[str]]] = set()
    while queue:
        wheel, extras = queue.pop()
        if wheel.kind != "wheel" or (wheel.subject, extras) in seen:
            found.setdefault(f"{wheel.kind} {wheel.subject}", wheel)
            continue
        seen.add((wheel.subject, extras))
        found.setdefault(f"{wheel.kind} {wheel.subject}", wheel)
        for requirement in _needs(store, wheel, extras, markers):
            needed = _newest(store, requirement)
            if needed is None:
                unmet[str(requirement)] = None
            else:
                queue.append((needed, frozenset(requirement.extras)))
    return tuple(found.values()), tuple(unmet)


def _needs(
    store: LocalStore,
    wheel: Realisation,
    extras: frozenset[str],
    markers: Mapping[str, str],
) -> list[Requirement]:
    path, _ = wheel_file(store, wheel.output)
    metadata = Metadata.parse(wheel_metadata(path))
    found = []
    for requirement in metadata.requires_dist:
        surroundings = [dict(markers) | {"extra": each} for each in ("", *extras)]
        marker = requirement.marker
        if marker is None or any(marker.evaluate(each) for each in surroundings):
            found.append(requirement)
    return found


def _newest(store: LocalStore, requirement: Requirement) -> Realisation | None:
    wanted = canonicalize_name(requirement.name)
    for subject in store.subjects("wheel"):
        name, _, version = subject.partition("==")
        if name == wanted and requirement.specifier.contains(version, prereleases=True):
            valid = [
                claim
                for claim in store.history("wheel", subject)
                if store.info(claim.output) is not None
            ]
            if valid:
                return valid[0]
    return None
