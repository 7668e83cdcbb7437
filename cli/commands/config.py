"""`fromager config`: the settings in force, and what the platform is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fromager.cli.exit_codes import ExitCode
from fromager.cli.settings import SETTINGS
from fromager.cli.wiring import Wiring, wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.derivations import Assignment


@click.group("config", short_help="Show the settings in force.")
def command() -> None:
    """Settings, and where they come from."""


@command.command("show", short_help="Show settings and platform.")
@click.argument("package", required=False, metavar="[PACKAGE[==VERSION]]")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--python", metavar="EXE", help="Of this interpreter.")
@click.option("--variant", metavar="NAME", help="Of this variant.")
@click.option("--overrides", metavar="FOLDER", help="Settings and patches of packages.")
@click.option("--patches", metavar="FOLDER", help="Patches, by <name>-<version>.")
@click.pass_obj
def show(
    flags: Mapping[str, object],
    /,
    package: str | None,
    as_json: bool,
    **settings: object,
) -> int:
    """Show every setting with its value and where that came from, the indexes, the
    sandbox, and the platform's fingerprint part by part.

    With a package, such as click or click==8.1.7, show what is done otherwise for it
    instead: each value with file and line, its patches, and what is given for other
    circumstances only.
    """
    wiring = wire(flags, **settings)
    if package is not None:
        return _show_package(wiring, package, as_json)
    rows: dict[str, dict[str, object]] = {
        name: {"value": _without_passwords(value.value), "origin": value.origin}
        for name, value in wiring.settings.values.items()
    }
    stores = wiring.stores.places
    if stores.top is not None:
        rows["store"]["value"] = str(stores.top)
        rows["lower"]["value"] = tuple(str(path) for path in stores.lower)
    rows["python"]["value"] = wiring.python
    rows["jobs"]["value"] = wiring.jobs
    rows["cores"]["value"] = wiring.cores
    indexes = [
        {"name": index.name, "origin": index.origin, "only_for": project}
        for project, index in (
            *((None, index) for index in wiring.indexes.indexes),
            *wiring.indexes.assigned,
        )
    ]
    platform = wiring.platform()
    if as_json:
        wiring.console.json(
            {
                "settings": rows,
                "indexes": indexes,
                "sandbox": _sandbox(wiring),
                "platform": {
                    "digest": str(platform.digest),
                    "parts": [
                        {
                            "name": part.name,
                            "digest": None if part.digest is None else str(part.digest),
                            "detail": part.detail,
                        }
                        for part in platform.parts
                    ],
                },
            }
        )
        return ExitCode.DONE
    say = wiring.console.data
    for name, row in rows.items():
        value = row["value"]
        shown = " ".join(map(str, value)) if isinstance(value, tuple) else value
        say(f"{name} = {shown}  ({SETTINGS[name].meaning}; {row['origin']})")
    for index in indexes:
        only = f"for {index['only_for']} only; " if index["only_for"] else ""
        say(f"index {index['name']}  ({only}{index['origin']})")
    say(f"sandbox {_sandbox(wiring)}")
    say(f"platform {platform.digest}")
    for part in platform.parts:
        shown = f"{part.detail}, {part.digest}" if part.detail else part.digest
        say(f"platform {part.name}: {shown or 'none'}")
    return ExitCode.DONE


def _without_passwords(value: object) -> object:
    """A setting as it may be shown: addresses without the passwords in them."""
    from fromager.derivations import redact

    match value:
        case str():
            return redact(value)
        case tuple():
            return tuple(_without_passwords(each) for each in value)
    return value


def _sandbox(wiring: Wiring) -> str:
    """What builds would be run in; also why that is not possible."""
    from fromager.derivations import Bubblewrap, SandboxUnavailable

    try:
        sandbox = wiring.sandbox()
    except SandboxUnavailable as error:
        return f"not usable: {error}"
    if isinstance(sandbox, Bubblewrap):
        version = ".".join(map(str, sandbox.version))
        return f"{sandbox.level}: bubblewrap {version}, {sandbox.executable}"
    return f"{sandbox.level}: nothing is hidden from builds"


def _show_package(wiring: Wiring, text: str, as_json: bool) -> int:
    from packaging.utils import canonicalize_name
    from packaging.version import Version

    from fromager.derivations import InputError, parse_requirement

    requirement = parse_requirement(text)
    pins = [s.version for s in requirement.specifier if s.operator in ("==", "===")]
    if len(pins) != len(requirement.specifier) or len(pins) > 1:
        raise InputError(f"{text!r} names no single version")
    version = Version(pins[0]) if pins else None
    name = canonicalize_name(requirement.name)
    customisation = wiring.customisation(wiring.probed())
    rows = [_value_row(each) for each in customisation.assignments(name, version)]
    others = [
        {**_value_row(each), "when": str(rule.condition)}
        for rule in customisation.rules(name)
        if not rule.condition.holds(version, customisation.around)
        for each in rule.assignments
    ]
    if version is not None:
        found = customisation.patches.find(name, version, customisation.around.variant)
    else:
        found = tuple(
            patch
            for place in customisation.patches.places(name)
            for patch in sorted(place.patches(), key=lambda patch: patch.name)
        )
    override = customisation.override(name, version)
    plugin = None if override is None else str(override.plugin.entry)
    functions = [] if override is None else list(override.plugin.all_functions)
    if as_json:
        wiring.console.json(
            {
                "package": name,
                "plugin": plugin,
                "functions": functions,
                "version": None if version is None else str(version),
                "variant": customisation.around.variant,
                "settings": rows,
                "elsewhere": others,
                "patches": [str(patch.path) for patch in found],
            }
        )
        return ExitCode.DONE
    say = wiring.console.data
    for row in rows:
        say(_value_line(row, ""))
    for patch in found:
        say(f"patch {patch.path}")
    for row in others:
        say(_value_line(row, f"only for {row['when']}; "))
    if plugin is not None:
        say(f"plugin {plugin}: {', '.join(functions) or 'nothing'}")
    if not (rows or others or found or plugin):
        wiring.console.say(f"nothing is done otherwise for {name}")
    return ExitCode.DONE


def _value_row(assignment: Assignment) -> dict[str, object]:
    from fromager.derivations import plain_value

    return {
        "setting": assignment.setting,
        "key": assignment.key,
        "value": plain_value(assignment.value),
        "origin": str(assignment.origin),
    }


def _value_line(row: Mapping[str, object], limit: str) -> str:
    import json

    value = row["value"]
    shown = value if isinstance(value, str) else json.dumps(value)
    key = f" {row['key']}" if row["key"] else ""
    return f"{row['setting']}{key} = {shown}  ({limit}{row['origin']})"
