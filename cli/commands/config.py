"""`fromager config`: the settings in force, and what the platform is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fromager.cli.exit_codes import ExitCode
from fromager.cli.settings import SETTINGS
from fromager.cli.wiring import Wiring, wire

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.group("config", short_help="Show the settings in force.")
def command() -> None:
    """Settings, and where they come from."""


@command.command("show", short_help="Show settings and platform.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--python", metavar="EXE", help="Of this interpreter.")
@click.pass_obj
def show(flags: Mapping[str, object], as_json: bool, python: str | None) -> int:
    """Show every setting with its value and where that came from, the indexes, the
    sandbox, and the platform's fingerprint part by part.
    """
    wiring = wire(flags, python=python)
    rows: dict[str, dict[str, object]] = {
        name: {"value": value.value, "origin": value.origin}
        for name, value in wiring.settings.values.items()
    }
    rows["store"]["value"] = str(wiring.store_root)
    rows["python"]["value"] = wiring.python
    rows["jobs"]["value"] = wiring.jobs
    rows["cores"]["value"] = wiring.cores
    indexes = [
        {"name": index.name, "origin": index.origin} for index in wiring.indexes.indexes
    ]
    platform = _platform(wiring)
    if as_json:
        wiring.console.json(
            {"settings": rows, "indexes": indexes, "platform": platform}
        )
        return ExitCode.DONE
    say = wiring.console.data
    for name, row in rows.items():
        value = row["value"]
        shown = " ".join(map(str, value)) if isinstance(value, tuple) else value
        say(f"{name} = {shown}  ({SETTINGS[name].meaning}; {row['origin']})")
    for index in indexes:
        say(f"index {index['name']}  ({index['origin']})")
    for name, text in platform.items():
        say(f"{name}: {text}")
    return ExitCode.DONE


def _platform(wiring: Wiring) -> dict[str, str]:
    """The platform's parts; computed in a throw-away place if there is no store yet."""
    from fromager.derivations import describe_platform

    with wiring.platform_facts() as (facts, folder):
        interpreter = wiring.probe(facts)
        return describe_platform(wiring.host(interpreter, folder, facts))
