"""`fromager pull`: take what others built out of a cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fromager.cli.exit_codes import ExitCode
from fromager.cli.sharing import Sharing
from fromager.cli.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fromager.cli.wiring import Wiring
    from fromager.derivations import Cache, Puller
    from fromager.store import LocalStore, Realisation


@click.command("pull", short_help="Take what others built out of a cache.")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@click.option(
    "--from",
    "urls",
    multiple=True,
    metavar="URL",
    help="The cache; may be repeated.  [default: the setting substituters]",
)
@click.option("--no-deps", is_flag=True, help="Leave out what is needed at run time.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def command(
    flags: Mapping[str, object],
    /,
    targets: tuple[str, ...],
    urls: tuple[str, ...],
    no_deps: bool,
    as_json: bool,
) -> int:
    """Take each TARGET, a requirement or a key, out of a cache, with all that it was
    made from, and print the store paths.

    Its claims must be signed by builders that are trusted; exit status 3 if they are
    not. What the store has is not fetched again.
    """
    from fromager.derivations import Puller

    wiring = wire(flags)
    sharing = Sharing(wiring)
    with wiring.open_store(create=True) as store:
        caches = sharing.caches(store, urls)
        try:
            puller = Puller(store, caches, sharing.belief, wiring.report)
            asked = [_pull(puller, caches, target) for target in targets]
            if not no_deps:
                _needed(wiring, store, puller, caches, asked)
        finally:
            for cache in caches:
                cache.close()
        if as_json:
            rows = [_row(store, realisation) for realisation in asked]
            wiring.console.json({"store": str(store.root), "pulled": rows})
        else:
            for realisation in asked:
                wiring.console.data(str(store.place(realisation.output)))
    return ExitCode.DONE


def _pull(puller: Puller, caches: Sequence[Cache], target: str) -> Realisation:
    from fromager.derivations import InputError, find_offer

    offer = find_offer(caches, target)
    if offer is None:
        urls = ", ".join(cache.url for cache in caches)
        raise InputError(f"{target}: nothing of that name is at {urls}")
    return puller.pull(offer)


def _needed(
    wiring: Wiring,
    store: LocalStore,
    puller: Puller,
    caches: Sequence[Cache],
    roots: Sequence[Realisation],
) -> None:
    """Pull what the wheels need at run time, as far as it is to be had."""
    from fromager.derivations import find_offer, runtime_closure

    markers = wiring.interpreter(store).marker_environment
    absent: set[str] = set()
    while True:
        _, unmet = runtime_closure(store, roots, markers)
        new = [requirement for requirement in unmet if requirement not in absent]
        if not new:
            break
        for requirement in new:
            offer = find_offer(caches, requirement)
            if offer is None:
                absent.add(requirement)
                wiring.console.warning(f"no cache has {requirement}: it is left out")
            else:
                puller.pull(offer)
                # Pulled, it meets the requirement, or nothing does.
                absent.add(requirement)


def _row(store: LocalStore, realisation: Realisation) -> dict[str, object]:
    return {
        "kind": realisation.kind,
        "subject": realisation.subject,
        "key": str(realisation.key),
        "path": str(store.place(realisation.output)),
        "digest": str(realisation.output_digest),
        "builder": realisation.fact("builder"),
        "level": realisation.level,
    }
