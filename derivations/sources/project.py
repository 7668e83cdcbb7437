"""What a source tree says of itself: its build system, and metadata it commits to.

Build systems after PEP 517 and 518; metadata is taken as final only where the source
promises that a build cannot change it (PEP 643 for PKG-INFO, PEP 621 for
pyproject.toml).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from fromager.derivations.core_metadata import Headers, parse_headers
from fromager.derivations.errors import SourceError

LEGACY_BACKEND: Final = "setuptools.build_meta:__legacy__"
LEGACY_REQUIRES: Final = ("setuptools>=40.8.0",)
"""The first setuptools that has the legacy backend."""

_BACKEND: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(:[^\W\d]\w*(\.[^\W\d]\w*)*)?")
_NEEDED: Final = frozenset(
    {"name", "version", "requires-dist", "requires-python", "provides-extra"}
)
_PROJECT_NEEDED: Final = frozenset(
    {"version", "dependencies", "optional-dependencies", "requires-python"}
)


class InvalidProject(SourceError):
    """A pyproject.toml that does not say what it must."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"pyproject.toml: {reason}", hint="Correct pyproject.toml with a patch"
        )
        self.reason = reason


@dataclass(frozen=True, slots=True)
class BuildSystem:
    """Who builds a source tree, and what that one needs to be loaded."""

    requires: tuple[str, ...]
    """Requirements (PEP 508), as they are written."""
    backend: str
    """`module` or `module:object`."""
    backend_path: tuple[str, ...] = ()
    """Folders of the source tree that hold the backend, relative to its root."""


@dataclass(frozen=True, slots=True)
class StaticMetadata:
    """Metadata that no build can change."""

    name: str
    version: str
    requires_dist: tuple[str, ...]
    requires_python: str | None
    provides_extra: tuple[str, ...]

    def dump(self) -> dict[str, object]:
        """JSON values; `load` reads them back."""
        return {
            "name": self.name,
            "version": self.version,
            "requires_dist": list(self.requires_dist),
            "requires_python": self.requires_python,
            "provides_extra": list(self.provides_extra),
        }

    @classmethod
    def load(cls, value: object) -> StaticMetadata | None:
        """What `dump` gave; None for anything else."""
        match value:
            case {
                "name": str(name),
                "version": str(version),
                "requires_dist": list(requires),
                "requires_python": str() | None as python,
                "provides_extra": list(extras),
            }:
                return cls(name, version, tuple(requires), python, tuple(extras))
        return None


def build_system(pyproject: bytes | None) -> BuildSystem:
    """The build system of a source tree, from its pyproject.toml if it has one.

    Without the file or its table the legacy backend is meant (PEP 517); where only the
    backend is missing, the requirements stand as they are.

    Raises:
        InvalidProject: no TOML, or a table that is not as PEP 517 and 518 demand.
    """
    table = _parse(pyproject).get("build-system") if pyproject is not None else None
    if table is None:
        return BuildSystem(LEGACY_REQUIRES, LEGACY_BACKEND)
    if not isinstance(table, Mapping):
        raise InvalidProject("build-system is no table")
    if "requires" not in table:
        raise InvalidProject("build-system has no requires, which PEP 518 demands")
    requires = _strings(table["requires"], "build-system.requires")
    for text in requires:
        _check_requirement(text)
    backend = table.get("build-backend", LEGACY_BACKEND)
    if not isinstance(backend, str) or _BACKEND.fullmatch(backend) is None:
        reason = f"build-system.build-backend {backend!r} names no object of a module"
        raise InvalidProject(reason)
    path = _strings(table.get("backend-path", []), "build-system.backend-path")
    if path and "build-backend" not in table:
        raise InvalidProject("build-system.backend-path needs a build-backend")
    return BuildSystem(requires, backend, tuple(map(_inside, path)))


def static_metadata(
    pkg_info: bytes | None, pyproject: bytes | None
) -> StaticMetadata | None:
    """Metadata that the source commits to, or None if a build has to be asked.

    PKG-INFO counts from Metadata-Version 2.2 on, with none of the fields Dynamic; else
    the `project` table, with none of them in `dynamic` but a version that PKG-INFO has.

    Raises:
        InvalidProject: a pyproject.toml that is needed and is no TOML.
    """
    headers = None if pkg_info is None else parse_headers(pkg_info)
    found = None if headers is None else _from_pkg_info(headers)
    if found is None and pyproject is not None:
        # A version in PKG-INFO is never dynamic, wherever the project takes it from.
        version = None if headers is None else headers.first("Version")
        found = _from_project(_parse(pyproject).get("project"), version)
    return found


def identity(
    pkg_info: bytes | None, pyproject: bytes | None
) -> tuple[str | None, Version | None]:
    """Name and version of a source, as far as they can be known without a build.

    PKG-INFO is written when a source distribution is made, and its version is never
    dynamic (PEP 643); else the `project` table says both, or the name alone.

    Raises:
        InvalidProject: a pyproject.toml that is needed and is no TOML.
    """
    if pkg_info is not None:
        headers = parse_headers(pkg_info)
        name, version = headers.first("Name"), headers.first("Version")
        if name and version and _valid(version):
            return name, Version(version)
    project = _parse(pyproject).get("project") if pyproject is not None else None
    if not isinstance(project, Mapping) or not isinstance(project.get("name"), str):
        return None, None
    text = project.get("version")
    if not isinstance(text, str) or not _valid(text):
        return project["name"], None
    return project["name"], Version(text)


def _from_pkg_info(headers: Headers) -> StaticMetadata | None:
    name, version = headers.first("Name"), headers.first("Version")
    if not name or not version or not _valid(version):
        return None
    if not _at_least_2_2(headers.first("Metadata-Version")):
        return None
    if _NEEDED.intersection(field.lower() for field in headers.all("Dynamic")):
        return None
    return StaticMetadata(
        name,
        version,
        headers.all("Requires-Dist"),
        headers.first("Requires-Python") or None,
        headers.all("Provides-Extra"),
    )


def _at_least_2_2(text: str | None) -> bool:
    major, _, minor = (text or "").partition(".")
    if not (major.isdecimal() and minor.isdecimal()):
        return False
    return (int(major), int(minor)) >= (2, 2)


def _from_project(project: object, stated: str | None) -> StaticMetadata | None:
    if not isinstance(project, Mapping):
        return None
    name, version = project.get("name"), project.get("version", stated)
    if not isinstance(name, str) or not isinstance(version, str):
        return None
    dynamic = project.get("dynamic", [])
    if not isinstance(dynamic, list):
        return None
    unknown = {field for field in dynamic if isinstance(field, str)}
    if stated is not None:
        unknown.discard("version")
    if _PROJECT_NEEDED & unknown:
        return None
    if not _valid(version):
        return None
    python = project.get("requires-python")
    optional = project.get("optional-dependencies", {})
    if not isinstance(optional, Mapping) or not isinstance(python, str | None):
        return None
    try:
        requires = _strings(project.get("dependencies", []), "project.dependencies")
        requires += tuple(
            _with_extra(text, canonicalize_name(extra))
            for extra, texts in optional.items()
            for text in _strings(texts, f"project.optional-dependencies.{extra}")
        )
    except (InvalidProject, InvalidRequirement):
        # The backend is asked, and says what it makes of it.
        return None
    extras = tuple(map(canonicalize_name, optional))
    return StaticMetadata(name, version, requires, python, extras)


def _with_extra(text: str, extra: str) -> str:
    requirement = Requirement(text)
    condition = f'extra == "{extra}"'
    if requirement.marker is not None:
        condition = f"({requirement.marker}) and {condition}"
    requirement.marker = None
    # A URL runs up to the next blank.
    blank = " " if requirement.url else ""
    return f"{requirement}{blank}; {condition}"


def _parse(pyproject: bytes) -> dict[str, object]:
    import tomllib

    try:
        return tomllib.loads(pyproject.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidProject(f"it cannot be read: {error}") from error


def _strings(value: object, place: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise InvalidProject(f"{place} is no list of strings")
    return tuple(value)


def _check_requirement(text: str) -> None:
    try:
        Requirement(text)
    except InvalidRequirement as error:
        what = f"build-system.requires: {text!r} is no requirement"
        raise InvalidProject(what) from error


def _inside(path: str) -> str:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or "\0" in path:
        reason = f"build-system.backend-path {path!r} leads out of the source tree"
        raise InvalidProject(reason)
    return "/".join(parts) or "."


def _valid(version: str) -> bool:
    try:
        Version(version)
    except InvalidVersion:
        return False
    return True
