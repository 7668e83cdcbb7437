"""All settings that a package may have: form, meaning, and how rules are combined."""

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


def _one(read: Callable[[Node], object]) -> Reader:
    return lambda node: (Part("", read(node), node.origin),)


def _many(read: Callable[[Node], object]) -> Reader:
    return lambda node: tuple(
        Part("", read(item), item.origin) for item in readers.items(node)
    )


def _table(read: Callable[[Node], object]) -> Reader:
    return lambda node: tuple(
        Part(key, read(value), value.origin)
        for key, value in readers.table(node).items()
    )


def _env(node: Node) -> tuple[Part, ...]:
    parts = _table(readers.scalar_text)(node)
    for part in parts:
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", part.key, re.ASCII) is None:
            raise SettingsError(part.origin, f"{part.key!r} is no variable's name")
        if "\0" in str(part.value):
            raise SettingsError(part.origin, f"{part.key} holds a null character")
    return parts


def _system(node: Node) -> tuple[Part, ...]:
    found = composites.system_needs(node)
    return tuple(Part(key, need, each.origin) for key, need, each in found)


def _config(node: Node) -> object:
    if isinstance(node.value, str):
        return node.value
    return readers.texts(node)


def _scm(node: Node) -> object:
    return node.value if isinstance(node.value, bool) else readers.text(node)


def _rust(node: Node) -> object:
    if isinstance(node.value, bool):
        return node.value
    if isinstance(node.value, str):
        return (readers.relative_path(node),)
    return tuple(readers.relative_path(item) for item in readers.items(node))


_C = Combine
_K = Covered
_LIST, _TABLE = "list of texts", "table of texts"

SETTINGS: Final[Mapping[str, Setting]] = {
    setting.name: setting
    for setting in (
        Setting(
            "build-dir",
            "path",
            "the folder with the project in it, relative to the source's root",
            _C.REPLACE,
            _K.KEY,
            _one(readers.relative_path),
        ),
        Setting(
            "env",
            _TABLE,
            "environment variables, in order, with templates",
            _C.SEQUENCE,
            _K.KEY,
            _env,
        ),
        Setting(
            "scm-version",
            "true or a text",
            "the version that setuptools-scm is told, true for the one that is built",
            _C.REPLACE,
            _K.KEY,
            _one(_scm),
        ),
        Setting(
            "config-settings",
            "table of texts or lists",
            "what the backend is told (PEP 517)",
            _C.TABLE,
            _K.KEY,
            _table(_config),
        ),
        Setting(
            "append-cflags",
            _LIST,
            "arguments that every call of a C compiler gets in addition",
            _C.SEQUENCE,
            _K.KEY,
            _many(readers.text),
        ),
        Setting(
            "append-cxxflags",
            _LIST,
            "arguments that every call of a C++ compiler gets in addition",
            _C.SEQUENCE,
            _K.KEY,
            _many(readers.text),
        ),
        Setting(
            "append-ldflags",
            _LIST,
            "arguments that compilers get in addition where they link",
            _C.SEQUENCE,
            _K.KEY,
            _many(readers.text),
        ),
        Setting(
            "remove-flags",
            _LIST,
            "arguments of compilers that are dropped, such as -Werror",
            _C.SEQUENCE,
            _K.KEY,
            _many(readers.text),
        ),
        Setting(
            "cflags",
            _LIST,
            "CFLAGS, which setuptools takes in place of the interpreter's own",
            _C.REPLACE,
            _K.KEY,
            _one(readers.texts),
        ),
        Setting(
            "cxxflags",
            _LIST,
            "CXXFLAGS, in place of the interpreter's own",
            _C.REPLACE,
            _K.KEY,
            _one(readers.texts),
        ),
        Setting("ldflags", _LIST, "LDFLAGS", _C.REPLACE, _K.KEY, _one(readers.texts)),
        Setting(
            "build-requires",
            _LIST,
            "requirements that the build environment holds in addition",
            _C.SEQUENCE,
            _K.KEY,
            _many(readers.requirement),
        ),
        Setting(
            "update-build-requires",
            _LIST,
            "build requirements of pyproject.toml to add, or to put in place of those "
            "of the same name",
            _C.SEQUENCE,
            _K.SOURCE,
            _many(readers.requirement),
        ),
        Setting(
            "remove-build-requires",
            "list of names",
            "build requirements of pyproject.toml to take away",
            _C.SEQUENCE,
            _K.SOURCE,
            _many(readers.project_name),
        ),
        Setting(
            "edits",
            "list of tables",
            "edits of the source, in order, after its patches",
            _C.SEQUENCE,
            _K.SOURCE,
            _many(composites.edit),
        ),
        Setting(
            "extra-sources",
            "list of tables",
            "files that are fetched and put into the source",
            _C.SEQUENCE,
            _K.SOURCE,
            _many(composites.extra_source),
        ),
        Setting(
            "download-url",
            "template",
            "where the source is fetched from instead",
            _C.REPLACE,
            _K.CHOICE,
            _one(readers.text),
        ),
        Setting(
            "download-filename",
            "template",
            "what that file is called",
            _C.REPLACE,
            _K.CHOICE,
            _one(readers.text),
        ),
        Setting(
            "index",
            "URL",
            "the only index that is asked for the project",
            _C.REPLACE,
            _K.CHOICE,
            _one(readers.url),
        ),
        Setting(
            "prebuilt",
            "true or false",
            "take a wheel from the index, build nothing",
            _C.REPLACE,
            _K.CHOICE,
            _one(readers.flag),
        ),
        Setting(
            "prebuilt-index",
            "URL",
            "the only index that is asked for the project where it is prebuilt",
            _C.REPLACE,
            _K.CHOICE,
            _one(readers.url),
        ),
        Setting(
            "system-packages",
            "table of lists",
            "what the machine must have: pkg-config, files, commands",
            _C.SEQUENCE,
            _K.KEY,
            _system,
        ),
        Setting(
            "open",
            "list of paths or tables",
            "devices and paths of the machine that its builds get to see",
            _C.SEQUENCE,
            _K.KEY,
            _many(composites.opening),
        ),
        Setting(
            "rust",
            "true, false or paths",
            "whether its build compiles Rust, or the Cargo.toml files that it builds",
            _C.REPLACE,
            _K.KEY,
            _one(_rust),
        ),
        Setting(
            "cores-per-job",
            "number",
            "cores that each parallel job of its build takes",
            _C.REPLACE,
            _K.NOTHING,
            _one(lambda node: readers.whole(node, 1)),
        ),
        Setting(
            "memory-per-job",
            "number",
            "GiB of memory that each parallel job of its build takes",
            _C.REPLACE,
            _K.NOTHING,
            _one(lambda node: readers.number(node, 0.1)),
        ),
        Setting(
            "exclusive",
            "true or false",
            "build it alone, with all cores",
            _C.REPLACE,
            _K.NOTHING,
            _one(readers.flag),
        ),
        Setting(
            "timeout",
            "number",
            "seconds that its build may take",
            _C.REPLACE,
            _K.NOTHING,
            _one(lambda node: readers.whole(node, 1)),
        ),
        Setting(
            "defaults",
            "true or false",
            "whether the rules that come with fromager for it hold",
            _C.REPLACE,
            _K.NOTHING,
            _one(readers.flag),
        ),
        Setting(
            "annotations",
            _TABLE,
            "remarks for people and tools; nothing is made of them",
            _C.TABLE,
            _K.NOTHING,
            _table(readers.any_text),
        ),
    )
}
"""By name; these are the keys of TOML files."""
