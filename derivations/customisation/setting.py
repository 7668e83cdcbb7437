"""What a setting of a package is: its form, its meaning, how its rules combine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

from fromager.derivations.customisation import composites, readers
from fromager.derivations.customisation.document import Origin, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fromager.derivations.customisation.document import Node


class Combine(Enum):
    """What becomes of a setting that several rules have."""

    REPLACE = "the last one counts"
    TABLE = "for each key the last one counts"
    SEQUENCE = "all count, in order"


class Covered(Enum):
    """What of a package's build a setting is part of."""

    KEY = "the key of its build"
    SOURCE = "the key of its source"
    CHOICE = "which file it is made from"
    FINISH = "the key of the finished wheel"
    NOTHING = "no key"


@dataclass(frozen=True, slots=True)
class Part:
    """One value of a setting; those that are lists or tables have several."""

    key: str
    value: object
    origin: Origin


Reader: TypeAlias = "Callable[[Node], tuple[Part, ...]]"


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of a package."""

    name: str
    form: str
    meaning: str
    combine: Combine
    covered: Covered
    read: Reader


def one(read: Callable[[Node], object]) -> Reader:
    """A setting that is one value."""
    return lambda node: (Part("", read(node), node.origin),)


def many(read: Callable[[Node], object]) -> Reader:
    """A setting that is a list."""
    return lambda node: tuple(
        Part("", read(item), item.origin) for item in readers.items(node)
    )


def table(read: Callable[[Node], object]) -> Reader:
    """A setting that is a table with any keys."""
    return lambda node: tuple(
        Part(key, read(value), value.origin)
        for key, value in readers.table(node).items()
    )


def env(node: Node) -> tuple[Part, ...]:
    """Environment variables."""
    parts = table(readers.scalar_text)(node)
    for part in parts:
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", part.key, re.ASCII) is None:
            raise SettingsError(part.origin, f"{part.key!r} is no variable's name")
        if "\0" in str(part.value):
            raise SettingsError(part.origin, f"{part.key} holds a null character")
    return parts


def system(node: Node) -> tuple[Part, ...]:
    """What a machine must have, by kind."""
    found = composites.system_needs(node)
    return tuple(Part(key, need, each.origin) for key, need, each in found)


def match_runtime(node: Node) -> tuple[Part, ...]:
    """Whether tools have the versions that are installed, by tool."""
    found = composites.match_runtime(node)
    return tuple(Part(key, rule, each.origin) for key, rule, each in found)


def config(node: Node) -> object:
    """A text, or a list of them."""
    if isinstance(node.value, str):
        return node.value
    return readers.texts(node)


def scm(node: Node) -> object:
    """True or false, or a text."""
    return node.value if isinstance(node.value, bool) else readers.text(node)


def sbom(node: Node) -> tuple[Part, ...]:
    """Whether an SBOM is wanted, or a table of what it says of who supplies wheels."""
    if isinstance(node.value, bool):
        return (Part("wanted", node.value, node.origin),)
    found = _table_of(_SBOM, node)
    return (Part("wanted", True, node.origin), *found)


def purl(node: Node) -> tuple[Part, ...]:
    """Parts of a package URL that are not what they usually are."""
    return _table_of(_PURL, node)


def wheel_files(node: Node) -> tuple[Part, ...]:
    """Files by their paths in the `.dist-info` folder, with their texts."""
    parts = table(readers.any_text)(node)
    for part in parts:
        segments = part.key.split("/")
        if "\\" in part.key or not all(s.strip(".") for s in segments):
            raise SettingsError(part.origin, f"{part.key!r} is no path in a folder")
        if part.key in _OWN_FILES or segments[0] == "sboms":
            reason = f"{part.key!r} is written by the build, it cannot be set"
            raise SettingsError(part.origin, reason)
    return parts


def rust(node: Node) -> object:
    """Whether Rust is compiled, or the paths of what says so."""
    if isinstance(node.value, bool):
        return node.value
    if isinstance(node.value, str):
        return (readers.relative_path(node),)
    return tuple(readers.relative_path(item) for item in readers.items(node))


def submodules(node: Node) -> object:
    """All, none, or the paths of those that are meant; None for all."""
    if isinstance(node.value, bool):
        return None if node.value else ()
    return tuple(sorted(readers.relative_path(each) for each in readers.items(node)))


def _table_of(
    forms: Mapping[str, Callable[[Node], object]], node: Node
) -> tuple[Part, ...]:
    return tuple(
        Part(key, forms[key](value), value.origin)
        for key, value in readers.members(node, "key", forms).items()
    )


_SBOM: Final[Mapping[str, Callable[[Node], object]]] = {
    "supplier": readers.text,
    "namespace": readers.text,
    "creators": readers.texts,
    "purl-type": readers.text,
    "repository-url": readers.url,
}
_PURL: Final[Mapping[str, Callable[[Node], object]]] = {
    "type": readers.text,
    "namespace": readers.text,
    "name": readers.text,
    "version": readers.text,
    "repository-url": readers.url,
    "upstream": readers.package_url,
}
_OWN_FILES: Final = frozenset(
    {"METADATA", "WHEEL", "RECORD", "RECORD.jws", "RECORD.p7s", "entry_points.txt"}
)
