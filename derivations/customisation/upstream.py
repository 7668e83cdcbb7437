"""Rules from upstream fromager's YAML files, whose whole schema is understood.

What is understood and has no effect here is kept under its own name, so that it can
be told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fromager.derivations.customisation import readers
from fromager.derivations.customisation.document import Node, SettingsError, unknown
from fromager.derivations.customisation.rules import (
    EVERY_PACKAGE,
    Assignment,
    Condition,
    Rule,
)
from fromager.derivations.customisation.schema import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from packaging.specifiers import SpecifierSet


@dataclass(frozen=True, slots=True)
class _Same:
    """A key that is a setting by another name."""

    setting: str
    nothing: tuple[object, ...] = (None,)
    """Values that say nothing."""


@dataclass(frozen=True, slots=True)
class _Member:
    """A key that is a member of a setting which is a table."""

    setting: str
    key: str


@dataclass(frozen=True, slots=True)
class _Special:
    """A key that becomes rules of its own; it is read beside the others."""


@dataclass(frozen=True, slots=True)
class _Unused:
    """A key that has no effect here, unless it says what is done anyway."""

    check: Callable[[Node], object]
    why: str
    harmless: tuple[object, ...] = (None,)


@dataclass(frozen=True, slots=True)
class NoEffect:
    """A value that has no effect here."""

    value: object
    why: str


def _nullable(read: Callable[[Node], object]) -> Callable[[Node], object]:
    return lambda node: None if node.value is None else read(node)


_CHANGELOG: Final = "changelog"
_SBOM: Final = "sbom"
_VARIANTS: Final = "variants"
_WHEELS: Final = "wheels"
_FALSE: Final = (None, False)
_NEVER_SEEN: Final = (
    "no variable of the caller reaches a build; templates may name those that "
    "host-env lists"
)

_PACKAGE: Final[Mapping[str, object]] = {
    "annotations": _Same("annotations"),
    "build_dir": _Same("build-dir"),
    _CHANGELOG: _Special(),
    "config_settings": _Same("config-settings"),
    "env": _Same("env"),
    "download_source": {
        "url": _Same("download-url"),
        "destination_filename": _Same("download-filename"),
    },
    "purl": {
        "type": _Member("purl", "type"),
        "namespace": _Member("purl", "namespace"),
        "name": _Member("purl", "name"),
        "version": _Member("purl", "version"),
        "repository_url": _Member("purl", "repository-url"),
        "upstream": _Member("purl", "upstream"),
    },
    "resolver_dist": {
        "sdist_server_url": _Same("index"),
        "include_sdists": _Same("include-sdists"),
        "include_wheels": _Same("include-wheels"),
        "ignore_platform": _Same("ignore-platform"),
        "use_pypi_org_metadata": _Unused(
            _nullable(readers.flag), "", (None, True, False)
        ),
        "min_release_age": _Same("min-age"),
    },
    "build_options": {
        "build_ext_parallel": _Unused(
            readers.flag, "it made wrong wheels, and upstream ignores it too", _FALSE
        ),
        "cpu_cores_per_job": _Same("cores-per-job"),
        "memory_per_job_gb": _Same("memory-per-job"),
        "exclusive_build": _Same("exclusive"),
    },
    "git_options": {
        "submodules": _Same("submodules"),
        "submodule_paths": _Same("submodules", (None, ())),
    },
    "project_override": {
        "update_build_requires": _Same("update-build-requires"),
        "remove_build_requires": _Same("remove-build-requires"),
        "requires_external": _Same("requires-external"),
    },
}
_VARIANT: Final[Mapping[str, object]] = {
    "annotations": _Same("annotations"),
    "env": _Same("env"),
    "pre_built": _Same("prebuilt"),
    "wheel_server_url": _Same("prebuilt-index"),
}
_GENERAL: Final[Mapping[str, object]] = {
    _CHANGELOG: _Special(),
    _SBOM: _Special(),
    "external_commands": {
        "keep_env": _Unused(readers.texts, _NEVER_SEEN, ((),)),
        "delete_env": _Unused(readers.texts, "", ((),)),
    },
    _WHEELS: _Special(),
    "pre_built": _Unused(readers.table, "write it for variants of packages", ({},)),
    "packages": _Unused(readers.table, "each package has a file of its own", ({},)),
}
_WHEEL_KEYS: Final[Mapping[str, object]] = {"build_tag_hook": _Same("build-tag-hook")}
_SBOM_KEYS: Final[Mapping[str, object]] = {
    "supplier": _Member(_SBOM, "supplier"),
    "namespace": _Member(_SBOM, "namespace"),
    "creators": _Member(_SBOM, "creators"),
    "purl_type": _Member(_SBOM, "purl-type"),
    "repository_url": _Member(_SBOM, "repository-url"),
}


def package_rules(package: str, node: Node, layer: int) -> tuple[Rule, ...]:
    """The rules of upstream's `settings/<package>.yaml`.

    Raises:
        SettingsError: a key that upstream does not have, a value of a wrong form.
    """
    found = dict(readers.table(node))
    variants = found.pop(_VARIANTS, None)
    own = _assignments(found, _PACKAGE, "", (_VARIANTS,))
    rules = [(Condition(), tuple(own))]
    if variants is not None:
        for name, members in readers.table(variants).items():
            assignments = tuple(_assignments(readers.table(members), _VARIANT, ""))
            rules.append((Condition(variants=(name,)), assignments))
    if _CHANGELOG in found:
        for version, entries in readers.table(found[_CHANGELOG]).items():
            condition = Condition(_exactly(version, entries))
            rules.append((condition, tuple(_read(_CHANGELOG, _CHANGELOG, entries))))
    return tuple(
        Rule(package, condition, assignments, layer, position)
        for position, (condition, assignments) in enumerate(rules)
    )


def general_rules(node: Node, layer: int) -> tuple[Rule, ...]:
    """The rules of upstream's `settings.yaml`, which hold for every package.

    Raises:
        SettingsError: a key that upstream does not have, a value of a wrong form.
    """
    found = readers.table(node)
    general_settings(node)
    rules: list[tuple[Condition, tuple[Assignment, ...]]] = []
    if _CHANGELOG in found:
        for name, entries in readers.table(found[_CHANGELOG]).items():
            read = tuple(_read(_CHANGELOG, _CHANGELOG, entries))
            rules.append((Condition(variants=(name,)), read))
    if (sbom := found.get(_SBOM)) is not None and sbom.value is not None:
        said = _assignments(readers.table(sbom), _SBOM_KEYS, f"{_SBOM}.")
        wanted = Assignment(_SBOM, "wanted", True, sbom.origin)
        rules.append((Condition(), (wanted, *said)))
    if _WHEELS in found:
        wheels = _assignments(readers.table(found[_WHEELS]), _WHEEL_KEYS, "wheels.")
        rules.append((Condition(), tuple(wheels)))
    return tuple(
        Rule(EVERY_PACKAGE, condition, assignments, layer, position)
        for position, (condition, assignments) in enumerate(rules)
    )


def general_settings(node: Node) -> tuple[Assignment, ...]:
    """What upstream's `settings.yaml` says that has no effect here.

    Raises:
        SettingsError: a key that upstream does not have, a value of a wrong form.
    """
    return tuple(_assignments(readers.table(node), _GENERAL, ""))


def without_effect(assignment: Assignment) -> str:
    """What is told of a setting that has none."""
    why = assignment.value.why if isinstance(assignment.value, NoEffect) else ""
    return f"{assignment.setting} has no effect{f': {why}' if why else ''}"


def _exactly(version: str, node: Node) -> SpecifierSet:
    """That version, whatever its local part is."""
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion, Version

    try:
        return SpecifierSet(f"=={Version(version).public}")
    except InvalidVersion as error:
        raise SettingsError(node.origin, f"{version!r} is no version") from error


def _assignments(
    found: Mapping[str, Node],
    schema: Mapping[str, object],
    prefix: str,
    more: tuple[str, ...] = (),
) -> Iterator[Assignment]:
    # What stands further down in the schema counts more, wherever it is in the file.
    order = {name: rank for rank, name in enumerate(schema)}
    for name, node in sorted(found.items(), key=lambda item: order.get(item[0], -1)):
        full = f"{prefix}{name}"
        match schema.get(name):
            case None:
                raise unknown(
                    "setting", full, _names(schema, prefix, more), node.origin
                )
            case _Same(setting, nothing):
                if node.value not in nothing:
                    yield from _read(full, setting, node)
            case _Member(setting, key):
                if node.value is not None:
                    for each in _read(full, setting, _wrapped(key, node)):
                        if each.key == key:
                            yield each
            case _Special():
                continue
            case _Unused(check, why, harmless):
                value = check(node)
                if value not in harmless:
                    yield Assignment(full, "", NoEffect(value, why), node.origin)
            case dict() as inner:
                yield from _assignments(readers.table(node), inner, f"{full}.")


def _read(full: str, name: str, node: Node) -> Iterator[Assignment]:
    try:
        parts = SETTINGS[name].read(node)
    except SettingsError as error:
        raise SettingsError(
            error.origin, f"{full}: {error.reason}", hint=error.hint
        ) from error
    for part in parts:
        if name == "env" and "$(" in str(part.value):
            reason = f"env: {part.key}: commands are not run in templates"
            raise SettingsError(part.origin, reason)
        yield Assignment(name, part.key, part.value, part.origin)


def _wrapped(key: str, node: Node) -> Node:
    """A table with this one member."""
    return Node({key: node}, node.origin)


def _names(
    schema: Mapping[str, object], prefix: str, more: tuple[str, ...]
) -> tuple[str, ...]:
    return tuple(f"{prefix}{name}" for name in (*schema, *more))
