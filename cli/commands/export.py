"""`fromager export`: copy what is in the store to a place of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from fromager.cli.exit_codes import ExitCode
from fromager.cli.targets import find_object
from fromager.cli.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Mapping

ARCHIVES: Final = {".tar": False, ".tar.gz": True, ".tgz": True}
"""How names of archives end, and whether those are compressed."""


@click.command("export", short_help="Copy an object out of the store.")
@click.argument("target")
@click.argument("place")
@click.option(
    "--link",
    is_flag=True,
    help="Link to the store's own read-only files instead of copying them.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def command(
    flags: Mapping[str, object], target: str, place: str, link: bool, as_json: bool
) -> int:
    """Copy TARGET, a collection or anything else in the store, to PLACE, where nothing
    is yet, and print its path.

    A PLACE that ends in .tar, .tar.gz or .tgz becomes an archive, any other a folder (or
    a file). What is copied can be changed, and needs the store no more.
    """
    from fromager.store import export, export_archive, export_linked

    wiring = wire(flags)
    path = wiring.folder / place
    endings = [
        compressed for end, compressed in ARCHIVES.items() if place.endswith(end)
    ]
    if endings and link:
        raise click.UsageError("--link makes no archive.")
    with wiring.open_store(create=False) as store:
        found = find_object(store, target)
        if endings:
            export_archive(store, found.path, path, compressed=endings[0])
        elif link:
            export_linked(store, found.path, path)
        else:
            export(store, found.path, path)
        if as_json:
            wiring.console.json(
                {
                    "path": str(path),
                    "store_path": str(found.path),
                    "digest": str(found.digest),
                    "bytes": found.size,
                }
            )
        else:
            wiring.console.data(str(path))
    return ExitCode.DONE
