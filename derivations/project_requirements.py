"""Requirements of a pyproject.toml: dependencies, extras (PEP 621) and groups (PEP 735)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from packaging.utils import canonicalize_name

from fromager.derivations.errors import InputError
from fromager.derivations.requirement import parse_given
from fromager.derivations.requirement_lines import Misunderstood, read_text
from fromager.derivations.requirements import RequirementFile
from fromager.derivations.resolution.request import GivenRequirement

if TYPE_CHECKING:
    from pathlib import Path

    from fromager.derivations.sources.direct import DirectRequirement

FILE_NAME: Final = "pyproject.toml"


def read_project(
    path: Path, *, extras: Sequence[str] = (), groups: Sequence[str] = ()
) -> RequirementFile:
    """What a project needs, not the project itself; `extras` and `groups` add to it.

    With groups only those count, and the extras: so says PEP 735, as a group is no
    part of the project.

    Raises:
        InputError: no such file, extra or group; dependencies that only a build backend
            knows; or a requirement that cannot be understood.
    """
    project = _Project(path, *_parsed(path))
    if not groups:
        project.add(project.dependencies(), "project.dependencies")
    for extra in extras:
        project.add_extra(extra)
    for group in groups:
        project.add(project.group(group), f"group {group}")
    return project.result()


def _parsed(path: Path) -> tuple[str, Mapping[str, object]]:
    import tomllib

    try:
        text = read_text(path)
        return text, tomllib.loads(text)
    except Misunderstood as error:
        raise InputError(str(error), hint=error.hint) from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not valid TOML: {error}") from error


@dataclass
class _Project:
    path: Path
    text: str
    content: Mapping[str, object]
    given: list[GivenRequirement] = field(default_factory=list)
    direct: list[DirectRequirement] = field(default_factory=list)
    _expanded: set[str] = field(default_factory=set)

    def result(self) -> RequirementFile:
        """All that was added."""
        tool = self.content.get("tool")
        uv = tool.get("uv") if isinstance(tool, Mapping) else None
        notes = []
        if isinstance(uv, Mapping) and uv.get("sources"):
            text = "tool.uv.sources is not used; write NAME @ URL where it matters"
            notes.append(f"{self.path}: {text}")
        return RequirementFile(
            tuple(self.given),
            (),
            {},
            False,
            (),
            False,
            tuple(notes),
            tuple(self.direct),
        )

    def dependencies(self) -> Sequence[str]:
        """Those that every installation needs."""
        self._check_static("dependencies")
        return self._texts(self._table.get("dependencies", []), "project.dependencies")

    def extra(self, name: str) -> Sequence[str]:
        """Those of an extra."""
        self._check_static("optional-dependencies")
        optional = self._table.get("optional-dependencies", {})
        if not isinstance(optional, Mapping):
            raise InputError(f"{self.path}: project.optional-dependencies is no table")
        for key, texts in optional.items():
            if canonicalize_name(str(key)) == canonicalize_name(name):
                return self._texts(texts, f"project.optional-dependencies.{key}")
        raise InputError(
            f"{self.path} has no extra {name!r}", hint=_there_are("extras", optional)
        )

    def group(self, name: str) -> Sequence[str]:
        """Those of a dependency group, with the groups that it includes."""
        # Only who asks for groups pays for loading this.
        from packaging.dependency_groups import DependencyGroupResolver

        groups = self.content.get("dependency-groups", {})
        if not isinstance(groups, Mapping):
            raise InputError(f"{self.path}: dependency-groups is no table")
        if canonicalize_name(name) not in map(canonicalize_name, map(str, groups)):
            hint = _there_are("groups", groups)
            raise InputError(f"{self.path} has no group {name!r}", hint=hint)
        try:
            found = DependencyGroupResolver(groups).resolve(name)
        except (ValueError, TypeError, LookupError, ExceptionGroup) as error:
            reason = error
            while isinstance(reason, ExceptionGroup):
                reason = reason.exceptions[0]
            raise InputError(f"{self.path}: group {name}: {reason}") from error
        return [str(requirement) for requirement in found]

    def add_extra(self, name: str) -> None:
        """Take the requirements of an extra, once."""
        if canonicalize_name(name) not in self._expanded:
            self._expanded.add(canonicalize_name(name))
            self.add(self.extra(name), f"extra {name}")

    def add(self, texts: Sequence[str], place: str) -> None:
        """Take requirements; what names this project with extras stands for those."""
        own = canonicalize_name(str(self._table.get("name", "")))
        for text in texts:
            origin = f"{self.path}:{self._line_of(text)}"
            try:
                given = parse_given(text, origin, self.path.parent)
            except InputError as error:
                message = f"{origin}: {place}: {error}"
                raise InputError(message, hint=error.hint) from error
            if not isinstance(given, GivenRequirement):
                self.direct.append(given)
                continue
            requirement = given.requirement
            if own and canonicalize_name(requirement.name) == own:
                for extra in sorted(requirement.extras):
                    self.add_extra(extra)
                continue
            self.given.append(given)

    @property
    def _table(self) -> Mapping[str, object]:
        table = self.content.get("project", {})
        if not isinstance(table, Mapping):
            raise InputError(f"{self.path}: project is no table")
        return table

    def _check_static(self, what: str) -> None:
        if "project" not in self.content:
            raise InputError(
                f"{self.path} has no table [project]",
                hint="Realise the folder instead: its build backend knows what it needs",
            )
        dynamic = self._table.get("dynamic", [])
        if isinstance(dynamic, list) and what in dynamic:
            raise InputError(
                f"{self.path}: only the build backend knows {what}",
                hint="Realise the folder instead",
            )

    def _texts(self, value: object, place: str) -> Sequence[str]:
        if isinstance(value, list) and all(isinstance(text, str) for text in value):
            return value
        raise InputError(f"{self.path}: {place} is no list of strings")

    def _line_of(self, text: str) -> int:
        """The first line that holds a requirement; the first of all if none does."""
        name = re.match(r"[\w.-]+", text)
        for wanted in (text, name[0] if name else text):
            for number, line in enumerate(self.text.splitlines(), start=1):
                if wanted in line and not line.lstrip().startswith("#"):
                    return number
        return 1


def _there_are(what: str, table: Mapping[object, object]) -> str:
    names = ", ".join(sorted(map(str, table)))
    return f"Its {what} are {names}" if names else f"It has no {what}"
