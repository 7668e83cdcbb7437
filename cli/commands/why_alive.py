"""`fromager why-alive`: which root keeps an object, and along which way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fromager.cli.exit_codes import ExitCode
from fromager.cli.targets import find_object
from fromager.cli.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fromager.store import Reason


@click.command("why-alive", short_help="Name the root that keeps an object.")
@click.argument("target")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def command(flags: Mapping[str, object], target: str, as_json: bool) -> int:
    """Name the root that keeps TARGET from being deleted by `fromager gc`, and every
    step on the shortest way from there to it.

    Ends with 1 if nothing keeps it.
    """
    wiring = wire(flags)
    with wiring.open_store(create=False) as store:
        path = find_object(store, target).path
        reason = store.accounts().why_alive(path)
    if as_json:
        wiring.console.json({"path": str(path), "alive": _row(reason)})
    elif reason is None:
        wiring.console.say(f"nothing keeps {path}: the next collection may delete it")
    else:
        for line in _lines(reason):
            wiring.console.data(line)
    return ExitCode.FAILED if reason is None else ExitCode.DONE


def _lines(reason: Reason) -> Iterator[str]:
    from fromager.store import Edge

    words = {
        Edge.REFERENCE: "refers to",
        Edge.MADE_BY: "was made by the build",
        Edge.DERIVATION: "has the derivation",
        Edge.INPUT: "needed the build",
        Edge.OUTPUT: "gave",
    }
    yield str(reason.root)
    yield f"  holds {reason.start}"
    for edge, name in reason.steps:
        yield f"  {words[edge]} {name}"


def _row(reason: Reason | None) -> dict[str, object] | None:
    if reason is None:
        return None
    return {
        "root": {
            "kind": reason.root.kind.value,
            "name": reason.root.name,
            "generation": reason.root.generation,
        },
        "holds": reason.start,
        "steps": [
            {"edge": edge.name.lower().replace("_", "-"), "to": name}
            for edge, name in reason.steps
        ],
    }
