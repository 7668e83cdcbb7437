"""Entry points of the groups that plugins are in, found without importing anything.

Most installations have none: the file of each distribution is looked through for the
groups' names before it is parsed.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PROJECT_GROUP: Final = "fromager.project_overrides"
HOOK_GROUP: Final = "fromager.hooks"
COMMAND_GROUP: Final = "fromager.cli"
GROUPS: Final = (PROJECT_GROUP, HOOK_GROUP, COMMAND_GROUP)
"""Groups of entry points."""

_FILE: Final = "entry_points.txt"
_SUFFIXES: Final = (".dist-info", ".egg-info")
_NAME: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_GROUPS: Final = tuple(f"[{group}]".encode() for group in GROUPS)


@dataclass(frozen=True, slots=True, order=True)
class EntryPoint:
    """A name that a distribution gives to something in a module."""

    group: str
    name: str
    module: str
    attribute: str
    """What of the module is meant; empty for the module itself."""
    distribution: str
    """`demo-plugins-1.0`."""
    problem: str = ""
    """Why it is of no use; empty if it may be of some."""

    def __str__(self) -> str:
        value = f"{self.module}:{self.attribute}" if self.attribute else self.module
        return f"{value} ({self.distribution})"


def find_entry_points(paths: Iterable[str]) -> tuple[EntryPoint, ...]:
    """All of the groups, sorted; `paths` is where modules are looked for.

    Of a distribution that is there twice the first counts.
    """
    found: list[EntryPoint] = []
    seen: set[str] = set()
    for folder in dict.fromkeys(paths):
        for name in _distributions(folder or "."):
            project = name.rpartition(".")[0].partition("-")[0].lower()
            if project in seen:
                continue
            seen.add(project)
            try:
                content = Path(folder, name, _FILE).read_bytes()
            except OSError:
                continue
            if any(group in content for group in _GROUPS):
                found += _parse(content, name.rpartition(".")[0])
    return tuple(sorted(found))


def _distributions(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if e.name.endswith(_SUFFIXES))
    except OSError:
        return []


def _parse(content: bytes, distribution: str) -> Iterator[EntryPoint]:
    # Only who has plugins pays for it.
    from configparser import ConfigParser
    from configparser import Error as InvalidFile

    parser = ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string(content.decode("utf-8", "replace"))
    except InvalidFile as error:
        reason = f"its {_FILE} cannot be read: {str(error).splitlines()[0]}"
        yield EntryPoint(GROUPS[0], "", "", "", distribution, reason)
        return
    for group in GROUPS:
        if not parser.has_section(group):
            continue
        for name, value in parser.items(group):
            # Extras (`module:name [extra]`) are obsolete, and of no use here.
            text = value.partition("[")[0].replace(" ", "")
            module, _, attribute = text.partition(":")
            right = _NAME.fullmatch(module) and (
                not attribute or _NAME.fullmatch(attribute)
            )
            problem = "" if right else f"{value!r} is no module"
            yield EntryPoint(group, name, module, attribute, distribution, problem)
