"""`fromager derivation`: look at derivations, and compare them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from fromager.cli.exit_codes import ExitCode
from fromager.cli.targets import find_object, find_realisation
from fromager.cli.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.derivations import ResolvedDerivation
    from fromager.store import LocalStore


@click.group("derivation", short_help="Look at derivations, and compare them.")
def command() -> None:
    """Look at derivations: the frozen descriptions of build steps."""


@command.command("show", short_help="Print a derivation.")
@click.argument("target")
@click.option("--canonical", is_flag=True, help="Print the bytes that are hashed.")
@click.pass_obj
def show(flags: Mapping[str, object], target: str, canonical: bool) -> int:
    """Print a derivation as JSON, with its key and where its inputs come from.

    TARGET is a `.drv` path, or anything that was built: its newest derivation.
    """
    from fromager.derivations import encode

    wiring = wire(flags)
    with wiring.open_store(create=False) as store:
        derivation = _derivation(store, target)
        content = encode(derivation)
        if canonical:
            wiring.console.bytes(content)
            return ExitCode.DONE
        realised = store.realisations(derivation.key)
        wiring.console.json(
            {
                "derivation": json.loads(content),
                "key": str(derivation.key),
                "realisations": [
                    {
                        "output": str(each.output),
                        "digest": str(each.output_digest),
                        "inputs": {role: str(key) for role, key in each.inputs},
                        "facts": dict(each.facts),
                    }
                    for each in realised
                ],
            }
        )
    return ExitCode.DONE


@command.command("diff", short_help="Say in what two derivations differ.")
@click.argument("first")
@click.argument("second")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def diff(flags: Mapping[str, object], first: str, second: str, as_json: bool) -> int:
    """Say in which inputs and options two derivations differ.

    Exit status 0 if they are equal, 1 if not.
    """
    from fromager.derivations import differences

    wiring = wire(flags)
    with wiring.open_store(create=False) as store:
        found = differences(_derivation(store, first), _derivation(store, second))
        if as_json:
            wiring.console.json({"differences": [each.row for each in found]})
        else:
            for each in found:
                wiring.console.data(str(each))
    return ExitCode.FAILED if found else ExitCode.DONE


def _derivation(store: LocalStore, target: str) -> ResolvedDerivation:
    """The derivation that a `.drv` object holds, or that gave what is meant."""
    from fromager.derivations import decode
    from fromager.store import ObjectMissing

    try:
        path = find_realisation(store, target).derivation
    except ObjectMissing:
        path = find_object(store, target).path
    if not path.name.endswith(".drv"):
        raise ObjectMissing(f"a derivation of {target}")
    return decode(store.read_file(path, None))
