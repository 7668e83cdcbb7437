"""`fromager root`: named roots and their generations."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from fromager.cli.exit_codes import ExitCode
from fromager.cli.quantities import count, show_duration, show_size
from fromager.cli.targets import place_of
from fromager.cli.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.store import Generation, LocalStore, RootUse


@click.group("root", short_help="Look at named roots, and change them.")
def command() -> None:
    """Named roots keep what `realise --root NAME` built. Each has generations, one of
    which is current.
    """


@command.command("show", short_help="List generations, or what one holds.")
@click.argument("name")
@click.argument("number", type=int, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def show(
    flags: Mapping[str, object], name: str, number: int | None, as_json: bool
) -> int:
    """List the generations of root NAME, and what would be freed without each; with a
    NUMBER, the store paths that this generation holds.
    """
    wiring = wire(flags)
    with wiring.open_store(create=False) as store:
        found = store.generations().of(name)
        if number is not None:
            one = _one(found, name, number)
            if as_json:
                wiring.console.json({"generation": _generation_row(store, one)})
            else:
                for member in one.members:
                    wiring.console.data(str(place_of(store, member.path)))
            return ExitCode.DONE
        uses = store.accounts().generations(name)
        if as_json:
            rows = [
                {**_generation_row(store, each), "exclusive_bytes": use.freed.bytes}
                for each, use in zip(found, uses, strict=True)
            ]
            wiring.console.json({"generations": rows})
        else:
            for use in uses:
                wiring.console.data(_generation_line(use))
    return ExitCode.DONE


@command.command("rollback", short_help="Go back to an earlier generation.")
@click.argument("name")
@click.option(
    "--to", "number", type=int, metavar="NUMBER", help="Make this generation current."
)
@click.pass_obj
def rollback(flags: Mapping[str, object], name: str, number: int | None) -> int:
    """Make the generation before the current one current; print what it holds."""
    wiring = wire(flags)
    with wiring.open_store(create=False) as store:
        now = store.generations().switch(name, number)
        wiring.console.note(f"root {name}: generation {now.number}")
        for member in now.members:
            wiring.console.data(str(place_of(store, member.path)))
    return ExitCode.DONE


@command.command("delete", short_help="Delete a root, or generations of it.")
@click.argument("name")
@click.argument("numbers", nargs=-1, type=int, metavar="[NUMBER]...")
@click.pass_obj
def delete(flags: Mapping[str, object], name: str, numbers: tuple[int, ...]) -> int:
    """Delete root NAME, or the generations of it with these NUMBERS.

    What they kept is deleted by the next `fromager gc`.
    """
    wiring = wire(flags)
    with wiring.open_store(create=False) as store:
        gone = store.generations().delete(name, numbers or None)
    wiring.console.note(f"root {name}: {count(len(gone), 'generation')} deleted")
    return ExitCode.DONE


def _one(found: tuple[Generation, ...], name: str, number: int) -> Generation:
    from fromager.store import RootMissing

    for each in found:
        if each.number == number:
            return each
    raise RootMissing(name, str(number))


def _generation_row(store: LocalStore, each: Generation) -> dict[str, object]:
    return {
        "root": each.root,
        "number": each.number,
        "current": each.current,
        "created": datetime.fromtimestamp(each.created, UTC).isoformat(),
        "members": [
            {
                "label": member.label,
                "path": str(place_of(store, member.path)),
                "key": None if member.key is None else str(member.key),
            }
            for member in each.members
        ],
    }


def _generation_line(use: RootUse) -> str:
    (root,) = use.roots
    age = show_duration(time.time() - (root.since or 0))
    members = count(len(root.members), "object")
    size = f"{show_size(use.freed.bytes)} exclusive"
    current = ", current" if root.current else ""
    return f"{root.generation}: {age} old, {members}, {size}{current}"
