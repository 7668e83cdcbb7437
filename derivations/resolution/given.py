"""The request's own requirements and constraints, as far as they apply."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.markers import UndefinedComparison

from fromager.derivations.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fromager.derivations.resolution.demand import Demand, TargetEnvironment
    from fromager.derivations.resolution.request import GivenRequirement, Request


def roots_of(request: Request, environment: TargetEnvironment) -> list[Demand]:
    """What a request requires, in an order of its own.

    Raises:
        InputError: a direct URL, or a marker that cannot be evaluated.
    """
    return [given.demand for given in _applicable(request.requirements, environment)]


def constraints_of(
    request: Request, environment: TargetEnvironment
) -> dict[str, list[Demand]]:
    """What a request limits, by project.

    Raises:
        InputError: as for requirements; and a constraint with extras.
    """
    by_name: dict[str, list[Demand]] = {}
    for given in _applicable(request.constraints, environment):
        if given.requirement.extras:
            raise InputError(
                f"{given.origin}: the constraint {given.requirement} has extras",
                hint="Take the extras out; a constraint limits versions only",
            )
        by_name.setdefault(given.demand.name, []).append(given.demand)
    return by_name


def _applicable(
    given: Iterable[GivenRequirement], environment: TargetEnvironment
) -> Iterator[GivenRequirement]:
    for one in sorted(given, key=lambda one: (one.text, one.origin)):
        requirement = one.requirement
        try:
            if not environment.applies(requirement.marker):
                continue
        except UndefinedComparison as error:
            raise InputError(f"{one.origin}: {requirement}: {error}") from error
        if requirement.url is not None:
            # The URL is not repeated: it may hold credentials.
            raise InputError(
                f"{one.origin}: {requirement.name} is required from a URL; "
                "only releases on an index can be resolved",
                hint=f"Require {requirement.name} by name and version",
            )
        yield one
