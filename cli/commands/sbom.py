"""`fromager sbom`: what a closure consists of, and how it was made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fromager.cli.bills import bill_of
from fromager.cli.exit_codes import ExitCode
from fromager.cli.locks import write_whole
from fromager.cli.sharing import Sharing
from fromager.cli.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.command("sbom", short_help="Print a bill of materials.")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@click.option(
    "--format",
    "form",
    type=click.Choice(["cyclonedx", "spdx"]),
    default="cyclonedx",
    show_default=True,
    help="CycloneDX 1.6, or SPDX 2.3; both as JSON.",
)
@click.option(
    "-o", "--output", metavar="FILE", help="Write to this file, not to stdout (-)."
)
@click.pass_obj
def command(
    flags: Mapping[str, object],
    /,
    targets: tuple[str, ...],
    form: str,
    output: str | None,
) -> int:
    """Print the bill of materials of each TARGET and what it needs at run time: versions,
    hashes, licences, sources, patches, and what all of it was built with.

    It is the same, byte by byte, wherever the same was built: its time is that of the
    newest source.
    """
    wiring = wire(flags)
    with wiring.open_store(create=False) as store:
        named = Sharing(wiring).find_wheels(store, targets)
        bill = bill_of(wiring, store, named, form)
    if output is None or output == "-":
        wiring.console.bytes(bill.content)
        return ExitCode.DONE
    write_whole(wiring.folder / output, bill.content.decode("ascii"))
    wiring.console.note(
        f"{output}: {bill.packages} packages, {bill.tools} more to build them"
    )
    return ExitCode.DONE
