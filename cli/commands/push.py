"""`fromager push`: bring what was built to a cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fromager.cli.attesting import read_results
from fromager.cli.exit_codes import ExitCode
from fromager.cli.sharing import Sharing
from fromager.cli.targets import find_realisations
from fromager.cli.wiring import wire
from fromager.store import ObjectMissing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.derivations import Failure
    from fromager.store import LocalStore, Realisation


@click.command("push", short_help="Bring what was built to a cache.")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@click.option(
    "--to",
    "url",
    required=True,
    metavar="URL",
    help="The cache: a folder, http://, https:// or s3://; made if there is none.",
)
@click.option(
    "--results",
    "files",
    multiple=True,
    metavar="FILE",
    help="Also what check, challenge or verify found, as --attest wrote it; may be "
    "repeated.",
)
@click.option("--signing-key", metavar="NAME", help="The key to sign with.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def command(
    flags: Mapping[str, object],
    /,
    targets: tuple[str, ...],
    url: str,
    files: tuple[str, ...],
    as_json: bool,
    **settings: object,
) -> int:
    """Bring what was built to a cache: outputs, all that they were made from, what they
    need at run time, and signed claims about all builds of this machine.

    Builds that failed are told, too; a TARGET may be one that never was anything else.
    What the cache has is not sent again. What was cut off goes on where it was.
    """
    wiring = wire(flags, **settings)
    sharing = Sharing(wiring)
    with wiring.open_store(create=False) as store:
        named, failed = _found(store, targets)
        roots, steps = sharing.closure(store, named)
        failed += _failed_before(store, steps)
        results = read_results(sharing, files, steps)
        cache = sharing.cache(store, url)
        try:
            pushed = sharing.pusher(store, cache).push(roots, steps, failed, results)
        finally:
            cache.close()
    if as_json:
        wiring.console.json(
            {
                "url": cache.url,
                "claims": pushed.claims,
                "objects": pushed.objects,
                "files": pushed.files,
                "bytes": pushed.written,
                "unchanged": pushed.unchanged,
            }
        )
        return ExitCode.DONE
    if pushed.unchanged:
        wiring.console.note(f"{cache.url} has all of it")
    else:
        wiring.console.note(
            f"brought {pushed.claims} claims, {pushed.objects} new objects and "
            f"{pushed.files} new files, {pushed.written:,} bytes, to {cache.url}"
        )
    return ExitCode.DONE


def _found(
    store: LocalStore, targets: tuple[str, ...]
) -> tuple[list[Realisation], list[tuple[str, Failure]]]:
    """What the targets stand for: builds, or failures of such as were never built."""
    from fromager.derivations import InputError, last_failure

    named, failed = [], []
    for target in targets:
        try:
            named += find_realisations(store, [target])
        except (ObjectMissing, InputError):
            failure = last_failure(store, target)
            if failure is None:
                raise
            failed.append((target, failure))
    return named, failed


def _failed_before(
    store: LocalStore, steps: list[Realisation]
) -> list[tuple[str, Failure]]:
    """Failures of the very steps that were done at another time."""
    from fromager.derivations import last_failure

    found = []
    for step in steps:
        failure = last_failure(store, step.subject) if step.kind == "wheel" else None
        if failure is not None and failure.key == step.key:
            found.append((step.subject, failure))
    return found
