"""`fromager store verify`: is everything what it was when it was published?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from fromager.cli.durations import seconds
from fromager.cli.exit_codes import ExitCode
from fromager.cli.passing_line import PassingLine
from fromager.cli.settings import usable_cores
from fromager.cli.targets import find_paths
from fromager.cli.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fromager.cli.console import Console
    from fromager.store import Damage, Verification

SHOWN: Final = 20
"""Lines about one object that are printed without `--verbose`."""


@click.command("verify", short_help="Check that nothing is damaged.")
@click.argument("targets", metavar="[PATH]...", nargs=-1)
@click.option(
    "--budget",
    callback=seconds,
    metavar="TIME",
    help="Begin nothing more after so long, such as 60s; the next run goes on.",
)
@click.option(
    "--max-age",
    callback=seconds,
    metavar="TIME",
    help="Leave out what was verified, or written, less than this ago: 30d.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def verify(
    flags: Mapping[str, object],
    targets: tuple[str, ...],
    budget: float | None,
    max_age: float | None,
    as_json: bool,
) -> int:
    """Read every object, or those given, and compare it with what was recorded.

    What is damaged is listed and withheld: it is neither served nor built with, until
    it is repaired or built again. Exit status 6 if anything is damaged.
    """
    from fromager.store import Scope

    wiring = wire(flags)
    line = PassingLine(wiring.console, "verifying", not flags.get("no_progress"))
    with wiring.open_store(create=False) as store:
        paths = frozenset(find_paths(store, targets))
        found = store.care().verify(
            Scope(paths if targets else None, max_age, budget),
            processes=usable_cores(),
            progress=line,
        )
    line.end()
    if as_json:
        wiring.console.json(as_value(found))
    else:
        print_damages(wiring.console, found.damages)
    _summarise(wiring.console, found)
    return ExitCode.DAMAGED if found.damages else ExitCode.DONE


def as_value(found: Verification) -> dict[str, object]:
    """What was found, as JSON values."""
    return {
        "damages": damage_rows(found.damages),
        "leftovers": list(found.leftovers),
        "objects": found.objects,
        "realisations": found.claims,
        "files": found.files,
        "bytes": found.bytes,
        "remaining": found.remaining,
    }


def damage_rows(damages: Sequence[Damage]) -> list[dict[str, object]]:
    """Damage as JSON values."""
    return [
        {
            "place": damage.place,
            "kind": damage.kind.value,
            "detail": damage.detail,
            "object": None if damage.object is None else str(damage.object),
        }
        for damage in damages
    ]


def print_damages(console: Console, damages: Sequence[Damage]) -> None:
    """A line for each; of one object only so many, unless all are asked for."""
    told: dict[object, int] = {}
    for damage in damages:
        told[damage.object] = told.get(damage.object, 0) + 1
        if damage.object is None or console.verbose or told[damage.object] <= SHOWN:
            console.data(str(damage))
    for path, count in told.items():
        if path is not None and count > SHOWN and not console.verbose:
            console.data(f"{path}: {count - SHOWN} more; --verbose lists all")


def _summarise(console: Console, found: Verification) -> None:
    # Where both streams are one file, what was found stands before what it comes to.
    console.out.flush()
    console.note(
        f"verified {count(found.objects, 'object')}: "
        f"{count(found.files, 'file')}, {count(found.bytes, 'byte')}"
    )
    if found.remaining:
        console.note(f"{count(found.remaining, 'object')} due and not reached")
    if found.leftovers:
        console.note(f"{count(len(found.leftovers), 'leftover')}, which do no harm")
        if console.verbose:
            for place in found.leftovers:
                console.note(f"  {place}")
    if found.damages:
        objects = len(found.damaged)
        what = f"{count(objects, 'object')} damaged" if objects else "damage was found"
        console.error(f"{what}, and not served any more" if objects else what)
        console.hint("fromager store repair")


def count(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
