"""`fromager gc`: delete what no root needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fromager.cli.exit_codes import ExitCode
from fromager.cli.quantities import count, parse_duration, parse_size, show_size
from fromager.cli.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fromager.store import Collected


@click.command("gc", short_help="Delete what no root needs.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and change nothing.")
@click.option(
    "--older-than",
    callback=parse_duration,
    metavar="AGE",
    help="Delete generations older than this (30d, 12h), never the current one.",
)
@click.option(
    "--keep-generations",
    type=click.IntRange(min=0),
    metavar="N",
    help="Of each root keep the newest N generations, and the current one.",
)
@click.option(
    "--keep-recent",
    callback=parse_duration,
    metavar="AGE",
    help="Keep what was used within this time, whether a root needs it or not.",
)
@click.option(
    "--max-size",
    callback=parse_size,
    metavar="SIZE",
    help="Stop when the store's files take no more than this (50G).",
)
@click.option(
    "--free-to",
    callback=parse_size,
    metavar="SIZE",
    help="Stop when the file system has this much free space.",
)
@click.option(
    "--max-freed",
    callback=parse_size,
    metavar="SIZE",
    help="Stop when so much was freed.",
)
@click.option(
    "--keep-derivations/--no-keep-derivations",
    default=True,
    help="Keep the derivations of what is kept (the default).",
)
@click.option(
    "--keep-build-closure/--no-keep-build-closure",
    default=True,
    help="Keep all that what is kept was built from (the default).",
)
@click.option(
    "--keep-records/--no-keep-records",
    default=True,
    help="Keep the records of builds whose output is gone (the default).",
)
@click.option(
    "--failed-older-than",
    callback=parse_duration,
    default="7d",
    show_default=True,
    metavar="AGE",
    help="Delete kept folders of failed builds, and logs of builds whose output is"
    " gone, when they are older than this.",
)
@click.option(
    "--thorough",
    is_flag=True,
    help="Look at every file for what crashes left, as is done after one.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def command(
    flags: Mapping[str, object],
    /,
    dry_run: bool,
    older_than: int | None,
    keep_generations: int | None,
    keep_recent: int | None,
    max_size: int | None,
    free_to: int | None,
    max_freed: int | None,
    keep_derivations: bool,
    keep_build_closure: bool,
    keep_records: bool,
    failed_older_than: int,
    thorough: bool,
    as_json: bool,
) -> int:
    """Delete all that no root needs: named roots, out-links and running processes keep
    what they hold, and what that was built from.

    With a limit, what was not used for longest goes first. It may be stopped at any
    time, and may run beside builds.
    """
    from fromager.store import Policy, make_room

    wiring = wire(flags)
    policy = Policy(
        keep_derivations=keep_derivations,
        keep_build_closure=keep_build_closure,
        keep_records=keep_records,
        keep_recent=keep_recent,
        older_than=older_than,
        keep_generations=keep_generations,
        failed_after=failed_older_than,
        max_size=max_size,
        free_to=free_to,
        max_freed=max_freed,
        thorough=thorough,
    )
    if not dry_run:
        # On a disk that is full not even the database can be opened.
        make_room(wiring.stores.own_root)
    with wiring.open_store(create=False) as store:
        collector = store.collector()
        if dry_run:
            done = collector.preview(policy)
        else:
            done = collector.collect(
                policy,
                lambda holder: wiring.console.note(f"waiting: {holder} collects"),
            )
    if done.short:
        size = show_size(done.short)
        wiring.console.note(f"{size} more would have to go: it is needed by roots")
    if as_json:
        wiring.console.json({"dry_run": dry_run, **_row(done)})
    else:
        for line in _lines(done, "would delete" if dry_run else "deleted"):
            wiring.console.data(line)
    return ExitCode.DONE


def _lines(done: Collected, verb: str) -> Iterator[str]:
    for root, number in done.generations:
        yield f"{verb} generation {number} of {root}"
    if done.links:
        yield f"{verb} the entries of {count(done.links, 'link')} that are gone"
    for kind, amount in done.litter:
        size = f", {show_size(amount.bytes)}" if amount.bytes else ""
        yield f"{verb} {count(amount.count, kind)}{size}"
    objects, files = count(done.objects, "object"), count(done.freed.count, "file")
    yield f"{verb} {objects}, {files} in the pool, {show_size(done.freed.bytes)}"
    if done.postponed:
        yield f"{count(done.postponed, 'file')} of these may still be used by a build"


def _row(done: Collected) -> dict[str, object]:
    return {
        "objects": done.objects,
        "files": done.freed.count,
        "bytes": done.freed.bytes,
        "generations": [
            {"root": root, "number": number} for root, number in done.generations
        ],
        "links": done.links,
        "other": {
            kind: {"count": amount.count, "bytes": amount.bytes}
            for kind, amount in done.litter
        },
        "postponed": done.postponed,
        "short": done.short,
    }
