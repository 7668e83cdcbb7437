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
        say(f"index {index['name']}  ({index['origin']})")
    say(f"sandbox {_sandbox(wiring)}")
    say(f"platform {platform.digest}")
    for part in platform.parts:
        shown = f"{part.detail}, {part.digest}" if part.detail else part.digest
        say(f"platform {part.name}: {shown or 'none'}")
    return ExitCode.DONE


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
