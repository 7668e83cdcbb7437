"""`fromager store du`: how much space objects take."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from fromager.cli.exit_codes import ExitCode
from fromager.cli.quantities import show_size
from fromager.cli.targets import find_paths
from fromager.cli.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fromager.cli.console import Console
    from fromager.store import LocalStore, StorePath, Usage


@click.command("du", short_help="Say how much space objects take.")
@click.argument("targets", nargs=-1)
@click.option("--closure", is_flag=True, help="Count what the targets need, too.")
@click.option("--json", "as_json", is_flag=True, help="Print everything in bytes.")
@click.pass_obj
def du(
    flags: Mapping[str, object], targets: tuple[str, ...], closure: bool, as_json: bool
) -> int:
    """Say how much space objects take; without a target, the whole store.

    For each target: the sum of the sizes of its files, what they take on the disk, where
    each content lies once, and the part of that which no other object uses. The last
    line is for all targets together.
    """
    if closure and not targets:
        raise click.UsageError("--closure needs a TARGET.")
    wiring = wire(flags)
    with wiring.open_store(create=False) as store:
        if targets:
            rows = _objects(store, targets, closure)
            if as_json:
                *each, total = [{"path": name, **asdict(use)} for name, use in rows]
                del total["path"]
                wiring.console.json({"objects": each, "total": total})
            else:
                table = [("apparent", "disk", "exclusive", "")] + [
                    (*map(show_size, (use.apparent, use.disk, use.exclusive)), name)
                    for name, use in rows
                ]
                _print(wiring.console, table)
        else:
            usage = store.space.total()
            parts = {"objects": usage.objects, "unused": usage.unused, **usage.others}
            if as_json:
                wiring.console.json({"store": parts, "total": usage.total})
            else:
                rest = {"total": usage.total}
                table = [(show_size(n), name) for name, n in (parts | rest).items()]
                _print(wiring.console, table)
    return ExitCode.DONE


def _objects(
    store: LocalStore, targets: Iterable[str], closure: bool
) -> list[tuple[str, Usage]]:
    """Each target and what it takes, then all of them together."""
    found = dict.fromkeys(find_paths(store, targets))

    def counted(paths: Iterable[StorePath]) -> Usage:
        return store.space.of(store.closure(paths) if closure else paths)

    rows = [(str(store.place(path)), counted([path])) for path in found]
    return [*rows, ("total", counted(found))]


def _print(console: Console, table: Sequence[tuple[str, ...]]) -> None:
    """Rows of columns; all but the last are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for *numbers, name in table:
        cells = [f"{n:>{width}}" for n, width in zip(numbers, widths, strict=False)]
        console.data("  ".join([*cells, name]).rstrip())
