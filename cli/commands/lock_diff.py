"""`fromager lock diff`: what changed from one lock to another, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fromager.cli.exit_codes import ExitCode
from fromager.cli.locks import read_lock
from fromager.cli.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.command("diff", short_help="Say what changed between two locks.")
@click.argument("first")
@click.argument("second")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def command(flags: Mapping[str, object], first: str, second: str, as_json: bool) -> int:
    """Say what changed from the lock FIRST to the lock SECOND: what they were made for,
    versions, sources, and what each package is built with.

    A project that is called diff is locked as `diff==VERSION`.

    Exit status 0 if nothing that a lock says is different, 2 if something is.
    """
    from fromager.derivations import lock_changes

    wiring = wire(flags)
    before, after = (read_lock(wiring.folder / name) for name in (first, second))
    changes = lock_changes(before, after)
    if as_json:
        wiring.console.json({"changes": [change.row for change in changes]})
    else:
        for change in changes:
            wiring.console.data(str(change))
    return ExitCode.DIFFERENT if changes else ExitCode.DONE
