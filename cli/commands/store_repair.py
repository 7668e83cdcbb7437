"""`fromager store repair`: make whole what was found damaged."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fromager.cli.exit_codes import ExitCode
from fromager.cli.interruption import stopping
from fromager.cli.targets import find_paths
from fromager.cli.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.cli.console import Console
    from fromager.cli.wiring import Wiring
    from fromager.derivations import RebuildMeans, StopSignal
    from fromager.store import LocalStore, Repairs, Restorer


@click.command("repair", short_help="Make whole what was found damaged.")
@click.argument("targets", metavar="[PATH]...", nargs=-1)
@click.option(
    "--from",
    "others",
    multiple=True,
    metavar="STORE",
    help="Another store that may have what is damaged here; may be repeated.",
)
@click.option("--no-build", is_flag=True, help="Build nothing again.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def repair(
    flags: Mapping[str, object],
    targets: tuple[str, ...],
    others: tuple[str, ...],
    no_build: bool,
    as_json: bool,
) -> int:
    """Repair what `store verify` found damaged; with PATH, verify and repair that.

    Bytes are taken from this store first, then from the other stores, and at last what
    is damaged is built again. Only what was recorded is accepted, whoever gives it.
    Exit status 6 if something stays damaged; it is not served.
    """
    from fromager.cli.progress import end_progress
    from fromager.derivations import StopSignal

    wiring, stop = wire(flags), StopSignal()
    with ExitStack() as stack:
        store = stack.enter_context(wiring.open_store(create=False))
        paths = find_paths(store, targets)
        restorers = _restorers(wiring, stack, store, stop, others, builds=not no_build)
        try:
            with stopping(stop):
                repairs = store.care().repair(paths if targets else None, restorers)
        finally:
            end_progress(wiring.report)
    if as_json:
        wiring.console.json(_as_value(repairs))
    else:
        _print(wiring.console, repairs)
    if not (repairs.repaired or repairs.irreparable):
        wiring.console.note("nothing is known to be damaged")
    return ExitCode.DAMAGED if repairs.irreparable else ExitCode.DONE


def _restorers(
    wiring: Wiring,
    stack: ExitStack,
    store: LocalStore,
    stop: StopSignal,
    others: tuple[str, ...],
    *,
    builds: bool,
) -> list[Restorer]:
    """Where damaged objects may be had from, in the order in which they are asked."""
    from fromager.derivations import RestoreByBuilding
    from fromager.store import OtherStore, open_layers

    @cache
    def find_means() -> RebuildMeans:
        client = wiring.client(store, stop, refresh=False)
        return replace(wiring.rebuild_means(store, stop), client=client)

    found: list[Restorer] = [OtherStore(each) for each in store.lower]
    for other in others:
        place = wiring.folder / Path(other).expanduser()
        reading = open_layers(None, [place], create=False)
        found.append(OtherStore(stack.enter_context(reading)))
    if builds:
        found.append(RestoreByBuilding(find_means, store))
    return found


def _print(console: Console, repairs: Repairs) -> None:
    for each in repairs.repaired:
        console.data(f"{each.place}: repaired, from {each.source}")
    for lost in repairs.irreparable:
        console.error(f"{lost.place}: {lost.reason}")
    if repairs.irreparable:
        console.hint(
            "What is needed of it is built anew by the next `fromager realise`; "
            "another store that has it can be given with --from"
        )


def _as_value(repairs: Repairs) -> dict[str, object]:
    return {
        "repaired": [
            {"place": each.place, "source": each.source} for each in repairs.repaired
        ],
        "irreparable": [
            {"place": each.place, "reason": each.reason} for each in repairs.irreparable
        ],
    }
