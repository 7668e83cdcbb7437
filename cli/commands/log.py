"""`fromager log`: the log of a build."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fromager.cli.exit_codes import ExitCode
from fromager.cli.targets import find_realisation
from fromager.cli.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.command("log", short_help="Print the log of a build.")
@click.argument("target")
@click.pass_obj
def command(flags: Mapping[str, object], target: str) -> int:
    """Print the log of a build: of the newest one of a requirement such as
    click==8.1.7, of an output, of a derivation, or of a failed build by its key.
    """
    from fromager.derivations import InputError
    from fromager.store import Digest, InvalidRecord, ObjectMissing

    wiring = wire(flags)
    with wiring.open_store(create=False) as store:
        content = None
        try:
            content = store.read_log(Digest.parse(target))
        except InvalidRecord:
            failed = store.recall("failed-build", target)
            try:
                content = store.read_log(find_realisation(store, target).key)
            except (ObjectMissing, InputError):
                if failed is None:
                    raise
            if failed is not None:
                content = store.read_log(Digest.parse(failed.decode())) or content
        if content is None:
            raise ObjectMissing(f"a log of {target}")
        wiring.console.bytes(content)
    return ExitCode.DONE
