"""`fromager store rebuild-db`: make the database anew from the store's files."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from fromager.cli.commands.store_verify import count, damage_rows, print_damages
from fromager.cli.exit_codes import ExitCode
from fromager.cli.settings import usable_cores
from fromager.cli.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.command("rebuild-db", short_help="Make the database anew from the files.")
@click.option(
    "--no-contents",
    is_flag=True,
    help="Do not read the bytes of files; names, kinds and sizes are compared.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def rebuild_db(flags: Mapping[str, object], no_contents: bool, as_json: bool) -> int:
    """Make the database anew from objects, records and realisations.

    It may be missing, damaged or newer; others may use the store meanwhile. Lost are
    only statistics, such as when something was used last, and what can be computed anew.
    What is damaged is listed and withheld, as by `store verify`; exit status 6 then.
    """
    from fromager.store import rebuild_database

    wiring = wire(flags)
    with wiring.stores.open_beneath() as beneath:
        found = rebuild_database(
            wiring.stores.own_root,
            clock=time.time,
            contents=not no_contents,
            processes=usable_cores(),
            beneath=beneath,
            caller=wiring.stores.caller,
        )
    if as_json:
        wiring.console.json(
            {
                "objects": found.objects,
                "realisations": found.claims,
                "damages": damage_rows(found.damages),
                "unreadable": damage_rows(found.unreadable),
            }
        )
    else:
        print_damages(wiring.console, (*found.unreadable, *found.damages))
    wiring.console.note(
        f"the database holds {count(found.objects, 'object')} "
        f"and {count(found.claims, 'realisation')}"
    )
    if found.damages:
        wiring.console.hint("fromager store repair")
    return ExitCode.DAMAGED if found.damages or found.unreadable else ExitCode.DONE
