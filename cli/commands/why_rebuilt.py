"""`fromager why-rebuilt`: which inputs changed since the last build."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fromager.cli.exit_codes import ExitCode
from fromager.cli.targets import find_realisation
from fromager.cli.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.command("why-rebuilt", short_help="Say which inputs changed.")
@click.argument("target")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def command(flags: Mapping[str, object], target: str, as_json: bool) -> int:
    """Say which inputs of which derivation changed between the newest build of TARGET
    and the one before, followed down to where the change began.
    """
    from fromager.derivations import as_built, why_rebuilt

    wiring = wire(flags)
    with wiring.open_store(create=False) as store:
        newest = as_built(store, find_realisation(store, target))
        reasons = why_rebuilt(store, newest)
        if as_json:
            rows = [reason.row for reason in reasons or ()]
            first = reasons is None
            wiring.console.json(
                {"subject": newest.subject, "first": first, "reasons": rows}
            )
        elif reasons is None:
            wiring.console.data(f"{newest.subject} was built once only")
        else:
            for reason in reasons:
                wiring.console.data(str(reason))
    return ExitCode.DONE
