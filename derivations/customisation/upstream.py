"""Rules from upstream fromager's YAML files, whose whole schema is understood.

What is understood and has no effect here is kept under its own name, so that it can
be told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fromager.derivations.customisation import readers
from fromager.derivations.customisation.document import SettingsError, unknown
from fromager.derivations.customisation.rules import Assignment, Condition, Rule
from fromager.derivations.customisation.schema import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fromager.derivations.customisation.document import Node


@dataclass(frozen=True, slots=True)
class _Same:
    """A key that is a setting by another name."""

    setting: str


@dataclass(frozen=True, slots=True)
class _Unused:
    """A key that has no effect here, unless it says what is done anyway."""

    check: Callable[[Node], object]
    harmless: tuple[object, ...] = (None,)


def _nullable(read: Callable[[Node], object]) -> Callable[[Node], object]:
    return lambda node: None if node.value is None else read(node)


def _texts_by_version(node: Node) -> object:
    from packaging.version import InvalidVersion, Version

    found = {}
    for name, value in readers.table(node).items():
        try:
            Version(name)
        except InvalidVersion as error:
            raise SettingsError(value.origin, f"{name!r} is no version") from error
        found[name] = readers.texts(value)
    return found


_TEXT: Final = _nullable(readers.text)
_FALSE: Final = (None, False)
_WHOLE: Final = _nullable(lambda node: readers.whole(node, 0))

_PACKAGE: Final[Mapping[str, object]] = {
    "annotations": _Same("annotations"),
    "build_dir": _Same("build-dir"),
    "changelog": _Unused(_texts_by_version, ({},)),
    "config_settings": _Same("config-settings"),
    "env": _Same("env"),
    "download_source": {
        "url": _Same("download-url"),
        "destination_filename": _Same("download-filename"),
    },
    "purl": {
        name: _Unused(_TEXT)
        for name in (
            "type",
            "namespace",
            "name",
            "version",
            "repository_url",
            "upstream",
        )
    },
    "resolver_dist": {
        "sdist_server_url": _Same("index"),
        "include_sdists": _Unused(readers.flag, (True,)),
        "include_wheels": _Unused(readers.flag, _FALSE),
        "ignore_platform": _Unused(readers.flag, _FALSE),
        "use_pypi_org_metadata": _Unused(_nullable(readers.flag), (None, True, False)),
        "min_release_age": _Unused(_WHOLE),
    },
    "build_options": {
        "build_ext_parallel": _Unused(readers.flag, _FALSE),
        "cpu_cores_per_job": _Same("cores-per-job"),
        "memory_per_job_gb": _Same("memory-per-job"),
        "exclusive_build": _Same("exclusive"),
    },
    "git_options": {
        "submodules": _Unused(readers.flag, _FALSE),
        "submodule_paths": _Unused(readers.texts, ((),)),
    },
    "project_override": {
        "update_build_requires": _Same("update-build-requires"),
        "remove_build_requires": _Same("remove-build-requires"),
        "requires_external": _Unused(readers.texts, ((),)),
    },
}
_VARIANT: Final[Mapping[str, object]] = {
    "annotations": _Same("annotations"),
    "env": _Same("env"),
    "pre_built": _Same("prebuilt"),
    "wheel_server_url": _Same("prebuilt-index"),
}
_GENERAL: Final[Mapping[str, object]] = {
    "changelog": _Unused(
        lambda node: {n: readers.texts(v) for n, v in readers.table(node).items()},
        ({},),
    ),
    "sbom": {
        "supplier": _Unused(readers.text),
        "namespace": _Unused(readers.text),
        "creators": _Unused(readers.texts, ((),)),
        "purl_type": _Unused(readers.text),
        "repository_url": _Unused(_TEXT),
    },
    "external_commands": {
        # No variable of the caller reaches a build, so both are kept at any rate.
        "keep_env": _Unused(readers.texts, ((),)),
        "delete_env": _Unused(readers.texts, ((),)),
    },
    "wheels": {"build_tag_hook": _Unused(_TEXT)},
    "pre_built": _Unused(readers.table, ({},)),
    "packages": _Unused(readers.table, ({},)),
}
_VARIANTS: Final = "variants"


def package_rules(package: str, node: Node, layer: int) -> tuple[Rule, ...]:
    """The rules of upstream's `settings/<package>.yaml`.

    Raises:
        SettingsError: a key that upstream does not have, a value of a wrong form.
    """
    found = dict(readers.table(node))
    variants = found.pop(_VARIANTS, None)
    own = _assignments(found, _PACKAGE, "", (_VARIANTS,))
    rules = [Rule(package, Condition(), tuple(own), layer, 0)]
    if variants is not None:
        for position, (name, members) in enumerate(readers.table(variants).items(), 1):
            assignments = tuple(_assignments(readers.table(members), _VARIANT, ""))
            condition = Condition(variants=(name,))
            rules.append(Rule(package, condition, assignments, layer, position))
    return tuple(rules)


def general_settings(node: Node) -> tuple[Assignment, ...]:
    """What upstream's `settings.yaml` says that has no effect here.

    Raises:
        SettingsError: a key that upstream does not have, a value of a wrong form.
    """
    return tuple(_assignments(readers.table(node), _GENERAL, ""))


def _assignments(
    found: Mapping[str, Node],
    schema: Mapping[str, object],
    prefix: str,
    more: tuple[str, ...] = (),
) -> Iterator[Assignment]:
    for name, node in found.items():
        full = f"{prefix}{name}"
        match schema.get(name):
            case None:
                raise unknown(
                    "setting", full, _names(schema, prefix, more), node.origin
                )
            case _Same(setting):
                if node.value is not None:
                    yield from _read(full, setting, node)
            case _Unused(check, harmless):
                value = check(node)
                if value not in harmless:
                    yield Assignment(full, "", value, node.origin)
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


def _names(
    schema: Mapping[str, object], prefix: str, more: tuple[str, ...]
) -> tuple[str, ...]:
    return tuple(f"{prefix}{name}" for name in (*schema, *more))
