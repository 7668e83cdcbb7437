"""Small judgements on the way from requirements to wheels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from fromager.derivations.errors import BuildError, InputError
from fromager.derivations.resolution.candidate import Metadata

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from packaging.version import Version

    from fromager.derivations.resolution.candidate import Release
    from fromager.derivations.resolution.outcome import Pin, Resolved
    from fromager.derivations.resolution.request import GivenRequirement
    from fromager.derivations.sources.project import StaticMetadata


def way_to(wanted: Pin, resolution: Resolved, asked: Iterable[str]) -> tuple[str, ...]:
    """Why a release is in a set: from what was asked for, along what needs it."""
    pins = {pin.name: pin for pin in resolution.pins}
    ways: list[tuple[Pin, ...]] = [
        (pins[name],) for name in sorted(asked) if name in pins
    ]
    seen = {way[0].name for way in ways}
    for way in ways:
        if way[-1].name == wanted.name:
            return tuple(f"{pin.name}=={pin.version}" for pin in way)
        for name in way[-1].dependencies:
            if name not in seen:
                seen.add(name)
                ways.append((*way, pins[name]))
    return ()


def asked_for(given: Iterable[GivenRequirement]) -> frozenset[str]:
    """The projects of requirements, by normalised name."""
    return frozenset(canonicalize_name(each.requirement.name) for each in given)


def check_hashes(resolution: Resolved, promised: Container[str]) -> None:
    """Refuse projects without a hash: what no hash names, anybody could replace.

    Raises:
        InputError: there is one.
    """
    for pin in resolution.pins:
        if pin.name not in promised:
            raise InputError(
                f"{pin.name}=={pin.version} is needed, and no hash is given for it",
                hint="Give hashes for everything that is needed, or for nothing",
            )


async def needs_nothing(name: str, version: Version, release: Release) -> Metadata:
    return Metadata()


def static_needs(static: StaticMetadata) -> Metadata:
    """What a source commits to, as resolution wants it."""
    return Metadata.from_fields(
        static.requires_dist, static.requires_python, static.provides_extra
    )


def same_needs(a: Metadata, b: Metadata) -> bool:
    """Whether two metadata demand the same, in whatever order and spelling."""
    return {str(r) for r in a.requires_dist} == {str(r) for r in b.requires_dist} and (
        a.requires_python or ""
    ) == (b.requires_python or "")


def root_causes(errors: list[Exception]) -> tuple[Exception, ...]:
    """The errors that others come from first, each once."""
    causes: dict[int, Exception] = {}
    consequences: dict[int, Exception] = {}
    for error in errors:
        cause: BaseException = error
        while isinstance(cause, BuildError) and isinstance(cause.__cause__, Exception):
            if not isinstance(cause.__cause__, BuildError):
                break
            cause = cause.__cause__
        if isinstance(cause, Exception):
            causes[id(cause)] = cause
        if cause is not error:
            consequences[id(error)] = error
    return (*causes.values(), *consequences.values())
