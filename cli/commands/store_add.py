"""`fromager store add`: files and folders as store objects."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from fromager.cli.exit_codes import ExitCode
from fromager.cli.settings import usable_cores
from fromager.cli.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fromager.derivations import InputError
    from fromager.store import ObjectInfo, Transaction


@click.command("add", short_help="Add files and folders.")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--name", help="The object's name instead of the file's own.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def add(
    flags: Mapping[str, object],
    paths: tuple[str, ...],
    name: str | None,
    as_json: bool,
) -> int:
    """Add files and folders, all or none of them, and print their store paths.

    A file becomes a blob, a folder a tree. A link stands for what it leads to, but links
    inside of a folder are kept. What is unchanged since it was added is not read again,
    but for files of less than 256 kB that are added by themselves.
    """
    if name is not None and len(paths) > 1:
        raise click.UsageError("--name can be given for one PATH only.")
    if "" in paths:
        raise click.UsageError("A PATH is empty.")
    wiring = wire(flags)
    own = os.path.realpath(wiring.stores.own_root)
    sources = [_source(wiring.folder / path, own) for path in paths]
    named = [(each, _name(each, name)) for each in sources]
    with wiring.open_store(create=True) as store:
        with store.transaction(usable_cores()) as transaction:
            added = [_add(transaction, *each) for each in named]
        places = store.places([each.path for each in added])
        if as_json:
            rows = map(_row, places, added)
            wiring.console.json({"objects": list(rows)})
        else:
            for place in places:
                wiring.console.data(str(place))
    return ExitCode.DONE


def _source(path: Path, store: str) -> Path:
    """The path, if something is there that can be added."""
    try:
        place = os.path.realpath(path, strict=True)
    except OSError as error:
        raise _refused(path, error.strerror or "it leads nowhere") from error
    if f"{store}/".startswith(f"{place.rstrip('/')}/"):
        hint = "Add what is beside the store, or use a store elsewhere with --store"
        raise _refused(path, "the store itself lies in it", hint)
    return path


def _name(path: Path, given: str | None) -> str:
    """The name for an object; checked before anything is read."""
    from fromager.store import InvalidName, check_name

    if given is not None:
        return check_name(given)
    name = path.resolve().name if path.name in ("", "..") else path.name
    try:
        return check_name(name)
    except InvalidName as error:
        raise _refused(path, str(error), "Choose a name with --name") from error


def _refused(path: Path, reason: str, hint: str | None = None) -> InputError:
    from fromager.derivations import InputError

    return InputError(f"{path} cannot be added: {reason}", hint=hint)


def _add(transaction: Transaction, source: Path, name: str) -> ObjectInfo:
    if source.is_dir():
        return transaction.add_directory(source, name, remember=True)
    return transaction.add_file(source, name, remember=True)


def _row(place: Path, info: ObjectInfo) -> dict[str, object]:
    return {
        "path": str(place),
        "digest": str(info.digest),
        "kind": info.kind,
        "bytes": info.size,
    }
