"""`fromager log`: the log of a build."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from fromager.cli.exit_codes import ExitCode
from fromager.cli.targets import find_realisation
from fromager.cli.wiring import wire
from fromager.derivations import InputError, as_built, last_failure
from fromager.store import Digest, InvalidRecord, ObjectMissing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.store import LocalStore


@click.command("log", short_help="Print the log of a build.")
@click.argument("target")
@click.pass_obj
def command(flags: Mapping[str, object], target: str) -> int:
    """Print the log of a build: of the newest one of a requirement such as
    click==8.1.7, of an output, of a derivation, or of a failed build by its key.
    """
    wiring = wire(flags)
    with wiring.open_store(create=False) as store:
        content = store.read_log(_key(store, target))
        if content is None:
            raise ObjectMissing(f"a log of {target}")
        wiring.console.bytes(content)
    return ExitCode.DONE


def _key(store: LocalStore, target: str) -> Digest:
    """The key that is meant: itself, or that of the newest build, failed or not."""
    with suppress(InvalidRecord):
        return Digest.parse(target)
    failed = last_failure(store, target)
    try:
        built = as_built(store, find_realisation(store, target))
    except (ObjectMissing, InputError):
        if failed is None:
            raise
        return failed.key
    return failed.key if failed and failed.time >= built.started else built.key
