"""`fromager list-overrides`: which packages have settings, patches or plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fromager.cli.exit_codes import ExitCode
from fromager.cli.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.derivations import Customisation


@click.command(
    "list-overrides", short_help="List packages with settings, patches or plugins."
)
@click.option("--details", is_flag=True, help="Print what each of them has.")
@click.option("--overrides", metavar="FOLDER", help="Settings and patches of packages.")
@click.option("--patches", metavar="FOLDER", help="Patches, by <name>-<version>.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def command(
    flags: Mapping[str, object], /, details: bool, as_json: bool, **settings: object
) -> int:
    """List the packages that have settings, patches or plugins.

    With details every settings file and the code of every plugin is read: the
    settings that each package has, the variants that they name, its patches by
    version, and the functions that its plugin has. No plugin is run.
    """
    wiring = wire(flags, **settings)
    customisation = wiring.customisation(None)
    names = _names(customisation)
    if as_json:
        rows = [_row(customisation, name) for name in names]
        wiring.console.json({"packages": rows})
        return ExitCode.DONE
    for name in names:
        if not details:
            wiring.console.data(name)
            continue
        row = _row(customisation, name)
        plugin = row["plugin"]
        parts = [f"plugin {plugin}"] if plugin is not None else []
        parts += [
            f"{label} {', '.join(map(str, values))}"
            for label, values in row.items()
            if isinstance(values, list) and values
        ]
        wiring.console.data(f"{name}: {'; '.join(parts)}")
    return ExitCode.DONE


def _names(customisation: Customisation) -> list[str]:
    """With each folder of patches taken for a version's where it may be one."""
    patches = customisation.patches
    versioned = {
        place.path
        for name in patches.names()
        for place in patches.places(name)
        if place.version is not None
    }
    patched = {
        name
        for name in patches.names()
        if any(
            place.version is not None or place.path not in versioned
            for place in patches.places(name)
        )
    }
    plugins = () if customisation.plugins is None else customisation.plugins.packages
    return sorted({*customisation.overrides.names(), *patched, *plugins} - {"*"})


def _plugin(customisation: Customisation, name: str) -> dict[str, object]:
    plugin = None if customisation.plugins is None else customisation.plugins.of(name)
    if plugin is None:
        return {"name": name, "plugin": None, "functions": []}
    functions = list(plugin.all_functions)
    return {"name": name, "plugin": str(plugin.entry), "functions": functions}


def _row(customisation: Customisation, name: str) -> dict[str, object]:
    rules = customisation.overrides.rules(name)
    places = customisation.patches.places(name)
    variants = {v for rule in rules for v in rule.condition.variants}
    variants |= {v for place in places for v in place.variants()}
    return {
        **_plugin(customisation, name),
        "settings": sorted({a.setting for r in rules for a in r.assignments}),
        "variants": sorted(variants),
        "patches": [
            f"{place.path.name}/{each.path.relative_to(place.path).as_posix()}"
            for place in places
            for variant in ("", *place.variants())
            for each in sorted(place.patches(variant), key=lambda patch: patch.name)
        ],
    }
