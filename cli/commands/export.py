"""`fromager export`: copy what is in the store to a place of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from fromager.cli.bills import bill_of
from fromager.cli.exit_codes import ExitCode
from fromager.cli.locks import write_whole
from fromager.cli.sharing import Sharing
from fromager.cli.targets import find_object
from fromager.cli.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fromager.cli.wiring import Wiring
    from fromager.store import LocalStore, StorePath

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
@click.option(
    "--no-sbom", is_flag=True, help="Write no bill of materials beside wheels."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def command(
    flags: Mapping[str, object],
    /,
    target: str,
    place: str,
    link: bool,
    no_sbom: bool,
    as_json: bool,
) -> int:
    """Copy TARGET, a collection or anything else in the store, to PLACE, where nothing
    is yet, and print its path.

    A PLACE that ends in .tar, .tar.gz or .tgz becomes an archive, any other a folder (or
    a file). What is copied can be changed, and needs the store no more.

    Beside wheels lies their bill of materials: PLACE.cdx.json, as `fromager sbom` writes
    it.
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
        beside = None if no_sbom else _bill(wiring, store, found.path, path)
        if endings:
            export_archive(store, found.path, path, compressed=endings[0])
        elif link:
            export_linked(store, found.path, path)
        else:
            export(store, found.path, path)
        if beside is not None:
            write_whole(*beside)
        if as_json:
            wiring.console.json(
                {
                    "path": str(path),
                    "store_path": str(found.path),
                    "digest": str(found.digest),
                    "bytes": found.size,
                    "sbom": None if beside is None else str(beside[0]),
                }
            )
        else:
            wiring.console.data(str(path))
    return ExitCode.DONE


def _bill(
    wiring: Wiring, store: LocalStore, exported: StorePath, place: Path
) -> tuple[Path, str] | None:
    """The bill of materials of wheels, and where it is to lie; None for all else."""
    from fromager.derivations import InputError
    from fromager.store import ObjectMissing

    try:
        named = Sharing(wiring).find_wheels(store, [str(exported)])
    except (ObjectMissing, InputError):
        return None
    bill = bill_of(wiring, store, named, "cyclonedx")
    return place.with_name(f"{place.name}.cdx.json"), bill.content.decode("ascii")
