"""One requirement in any of its forms, and what may have been meant by a bad one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from fromager.derivations.errors import InputError
from fromager.derivations.index.address import redact
from fromager.derivations.resolution.request import GivenRequirement
from fromager.derivations.sources.direct import (
    ARCHIVE_SUFFIXES,
    DirectRequirement,
    parse_source,
)

if TYPE_CHECKING:
    from pathlib import Path

_NAME: Final = r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?(?:\[[^\]]*\])?"
_MISTAKE: Final = re.compile(
    rf"({_NAME})\s*(=|=>|=<|@|\s)\s*([0-9][\w.!+*-]*)\s*(;.*)?"
)
_RIGHT: Final = {"=": "==", "=>": ">=", "=<": "<=", "@": "=="}
_NAMED: Final = re.compile(rf"{_NAME}\s*@\s*(?![0-9][\w.!+*-]*\s*(;|$))")
_SCHEME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:(?://)?|(?:git\+)?git@")
_EXTRAS: Final = re.compile(
    r"(?P<place>[^\s\[\]]+(?:\s+[^\s\[\];]+)*)\[(?P<extras>[^\]]*)\]"
)


def parse_given(
    text: str, origin: str, folder: Path
) -> GivenRequirement | DirectRequirement:
    """A requirement in any of its forms; `origin` is where it was written.

    `name==1.0` is one on a project of an index; `name @ https://…`, `name @ ./folder`,
    `https://…`, `git+https://…` and `./folder[extra]` say themselves where to look.

    Raises:
        InputError: it cannot be understood; the hint tells what may have been meant.
    """
    text = text.strip()
    if _is_place(text):
        return _unnamed(text, origin, folder)
    if not _NAMED.match(text):
        return GivenRequirement(parse_requirement(text), origin)
    name, _, rest = text.partition("@")
    place, marker = _without_marker(rest.strip())
    bare = parse_requirement(name)
    found = parse_source(place, folder)
    return DirectRequirement(
        found.source,
        origin,
        canonicalize_name(bare.name),
        _extras(bare),
        marker,
        found.login,
    )


def parse_requirement(text: str) -> Requirement:
    """A requirement on a project of an index (PEP 508).

    Raises:
        InputError: anything else; the hint tells what may have been meant.
    """
    text = text.strip()
    if _is_place(text):
        raise InputError(
            f"{redact(text)!r} is a place, no requirement",
            hint="Name a project of an index with its version (name==1.0)",
        )
    mistake = _MISTAKE.fullmatch(text)
    if mistake is not None:
        name, operator, version, marker = mistake.groups()
        meant = f"{name}{_RIGHT.get(operator, '==')}{version}{marker or ''}"
        hint = f"Did you mean {meant}?"
        raise InputError(f"{text!r} is not a valid requirement", hint=hint)
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InputError(
            f"{redact(text)!r} is not a valid requirement: {redact(reason)}",
            hint="Write a name, and a version where it matters: name==1.0",
        ) from error
    if requirement.url is not None:
        raise InputError(
            f"{requirement.name} is required from a place of its own",
            hint="Name a project of an index with its version (name==1.0)",
        )
    return requirement


def _unnamed(text: str, origin: str, folder: Path) -> DirectRequirement:
    place, marker = _without_marker(text)
    extras: tuple[str, ...] = ()
    name = None
    found = _EXTRAS.fullmatch(place)
    if found is not None:
        place = found["place"]
        extras = _extras(parse_requirement(f"x[{found['extras']}]"))
    source = parse_source(place, folder)
    if source.name:
        egg = parse_requirement(source.name)
        name, extras = canonicalize_name(egg.name), extras or _extras(egg)
    return DirectRequirement(source.source, origin, name, extras, marker, source.login)


def _without_marker(text: str) -> tuple[str, Marker | None]:
    """A place, and the marker behind it: after `;` with a blank before it (PEP 508)."""
    place, *rest = re.split(r"\s;|;\s", text, maxsplit=1)
    if not rest:
        return text, None
    try:
        return place.strip(), Marker(rest[0].strip())
    except InvalidMarker as error:
        raise InputError(
            f"{redact(text)!r}: the marker cannot be understood"
        ) from error


def _extras(requirement: Requirement) -> tuple[str, ...]:
    return tuple(sorted({canonicalize_name(extra) for extra in requirement.extras}))


def _is_place(text: str) -> bool:
    """Whether a requirement begins with where it is, and not with a name."""
    requirement = re.split(r"\s;|;\s", text, maxsplit=1)[0].strip()
    place = requirement.partition("[")[0]
    if _SCHEME.match(requirement):
        return True
    if "@" in place.partition("/")[0]:
        return False
    return (
        place.startswith((".", "/", "~"))
        or "/" in place
        or place.endswith((".whl", *ARCHIVE_SUFFIXES))
    )
