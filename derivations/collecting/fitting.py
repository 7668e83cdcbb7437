"""Whether wheels can be installed together, by what they say of themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name, parse_wheel_filename

from fromager.derivations.errors import ResolutionError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from packaging.requirements import Requirement
    from packaging.version import Version

    from fromager.derivations.resolution.candidate import Metadata


class Misfit(ResolutionError):
    """Wheels that cannot be installed together."""

    def __init__(self, conflicts: Sequence[str]) -> None:
        super().__init__(
            f"the wheels do not fit together: {'; '.join(conflicts)}",
            hint="Constrain one of the packages to a version that fits, or correct "
            "what it requires with a patch",
        )
        self.conflicts = tuple(conflicts)
        """One clause for each, sorted."""


@dataclass(frozen=True, slots=True)
class FittingWheel:
    """What decides whether a wheel fits others."""

    name: str
    version: Version
    filename: str
    metadata: Metadata
    extras: tuple[str, ...] = ()
    """The extras that are asked for."""

    @property
    def subject(self) -> str:
        """`stevedore==5.10.0`."""
        return f"{self.name}=={self.version}"


def check_fit(
    wheels: Collection[FittingWheel],
    markers: Mapping[str, str],
    tags: Iterable[str],
) -> None:
    """Refuse wheels of which one lacks what it needs, or does not fit the interpreter.

    `markers` are the variables of PEP 508 for the interpreter, `tags` those that it
    accepts (PEP 425).

    Raises:
        Misfit: all conflicts are named.
    """
    found = sorted({*conflicts(wheels, markers, frozenset(tags))})
    if found:
        raise Misfit(found)


def conflicts(
    wheels: Collection[FittingWheel],
    markers: Mapping[str, str],
    tags: frozenset[str],
) -> Iterator[str]:
    """One clause for each thing that keeps wheels from being installed together."""
    there: dict[str, FittingWheel] = {}
    for wheel in wheels:
        if wheel.name in there:
            yield f"{there[wheel.name].subject} and {wheel.subject} are both in the set"
        there[wheel.name] = wheel
    for wheel in wheels:
        yield from _misfits_interpreter(wheel, markers, tags)
        surroundings = [{**markers, "extra": extra} for extra in ("", *wheel.extras)]
        for requirement in wheel.metadata.requires_dist:
            marker = requirement.marker
            if marker is None or any(marker.evaluate(each) for each in surroundings):
                reason = _unmet(requirement, there)
                if reason is not None:
                    yield f"{wheel.subject} requires {_shown(requirement)}, {reason}"


def _misfits_interpreter(
    wheel: FittingWheel, markers: Mapping[str, str], tags: frozenset[str]
) -> Iterator[str]:
    if wheel.metadata.problem is not None:
        yield f"{wheel.subject} {wheel.metadata.problem}"
    wanted, python = wheel.metadata.requires_python, markers["python_full_version"]
    if wanted is not None and not wanted.contains(python, prereleases=True):
        yield f"{wheel.subject} requires Python {wanted}, and this is {python}"
    own = {str(tag) for tag in parse_wheel_filename(wheel.filename)[3]}
    if own.isdisjoint(tags):
        yield f"{wheel.subject} is not for this interpreter ({wheel.filename})"


def _unmet(requirement: Requirement, there: Mapping[str, FittingWheel]) -> str | None:
    found = there.get(canonicalize_name(requirement.name))
    if found is None:
        return "which is not in the set"
    # What is required from a place of its own was found by name.
    if not requirement.specifier.contains(found.version, prereleases=True):
        return f"and {found.subject} is in the set"
    missing = {canonicalize_name(e) for e in requirement.extras} - set(found.extras)
    unknown = missing & found.metadata.provides_extra
    if unknown:
        return f"and {found.subject} is in the set without {', '.join(sorted(unknown))}"
    return None


def _shown(requirement: Requirement) -> str:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier}"
