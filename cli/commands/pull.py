"""`fromager pull`: take what others built out of a cache."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fromager.cli.exit_codes import ExitCode
from fromager.cli.sharing import Sharing
from fromager.cli.targets import root_members, suggestion
from fromager.cli.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fromager.cli.wiring import Wiring
    from fromager.derivations import Belief, Cache, Offer, Puller
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
@click.option("--root", metavar="NAME", help="Keep it all: a generation of root NAME.")
@click.option(
    "--out-link", metavar="PATH", help="Make a link to each TARGET: PATH, PATH-2, …"
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def command(
    flags: Mapping[str, object],
    /,
    targets: tuple[str, ...],
    urls: tuple[str, ...],
    no_deps: bool,
    root: str | None,
    out_link: str | None,
    as_json: bool,
) -> int:
    """Take each TARGET out of a cache, with all that it was made from, and print the
    store paths, as realise does. A TARGET is a requirement, a key or its beginning, the
    store path or the digest of an output on any machine, or a root of this one.

    Its claims must be signed by builders that are trusted; exit status 3 if they are
    not. What the store has is not fetched again.
    """
    from fromager.derivations import Puller
    from fromager.store import check_name

    wiring = wire(flags)
    sharing = Sharing(wiring)
    if root is not None:
        check_name(root)
    with wiring.open_store(create=True) as store:
        caches = sharing.caches(store, urls)
        try:
            puller = Puller(store, caches, sharing.belief, wiring.report)
            offers = [
                offer
                for target in targets
                for offer in _offers(store, sharing.belief, caches, target)
            ]
            asked = puller.pull(list(dict.fromkeys(offers)))
            needed = [] if no_deps else _needed(wiring, store, puller, caches, asked)
        finally:
            for cache in caches:
                cache.close()
        if root:
            _keep(wiring, store, [*asked, *needed], root)
        for number, each in enumerate(asked if out_link else (), start=1):
            link = out_link if number == 1 else f"{out_link}-{number}"
            store.link_root(wiring.folder / str(link), _path(store, each))
        if as_json:
            rows = [_row(store, realisation) for realisation in asked]
            wiring.console.json({"store": str(store.root), "pulled": rows})
        else:
            for realisation in asked:
                wiring.console.data(str(_path(store, realisation)))
    return ExitCode.DONE


def _offers(
    store: LocalStore, belief: Belief, caches: Sequence[Cache], target: str
) -> list[Offer]:
    """What is meant: several only of a root of this machine."""
    from fromager.derivations import (
        InputError,
        find_claimed,
        find_offer,
        named_path,
        offered_names,
    )

    link = Path(target)
    text = str(link.resolve()) if link.is_symlink() else target
    if named_path(text) is None:
        offer = find_offer(caches, text) or find_claimed(caches, text, belief)
        if offer is not None:
            return [offer]
    # What this machine knows, it may lack nevertheless.
    members = root_members(store, text)
    texts = [str(member.key or member.path) for member in members] or [text]
    found = [find_claimed(caches, each, belief) for each in texts]
    offers = [offer for offer in found if offer is not None]
    if len(offers) < len(texts):
        urls = ", ".join(cache.url for cache in caches)
        raise InputError(
            f"{target}: nothing of that name is at {urls}",
            hint=suggestion(target, offered_names(caches)),
        )
    return offers


def _needed(
    wiring: Wiring,
    store: LocalStore,
    puller: Puller,
    caches: Sequence[Cache],
    roots: Sequence[Realisation],
) -> list[Realisation]:
    """What the wheels need at run time, pulled as far as it is to be had."""
    from fromager.derivations import find_offer, runtime_closure

    markers = wiring.interpreter(store).marker_environment
    absent: set[str] = set()
    while True:
        found, unmet = runtime_closure(store, roots, markers)
        new = [requirement for requirement in unmet if requirement not in absent]
        if not new:
            return [each for each in found if each not in roots]
        # Pulled, it meets the requirement, or nothing does.
        absent.update(new)
        offers = {requirement: find_offer(caches, requirement) for requirement in new}
        for requirement, offer in offers.items():
            if offer is None:
                wiring.console.warning(f"no cache has {requirement}: it is left out")
        puller.pull([offer for offer in offers.values() if offer is not None])


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


def _path(store: LocalStore, realisation: Realisation) -> Path:
    """The object, or the one file in it whose name matters."""
    from fromager.store import Directory

    place, tree = store.place(realisation.output), store.tree(realisation.output)
    named = realisation.kind in ("wheel", "fetch", "sdist")
    if named and isinstance(tree, Directory) and len(tree.entries) == 1:
        return place / tree.entries[0][0]
    return place


def _keep(
    wiring: Wiring, store: LocalStore, realisations: Sequence[Realisation], root: str
) -> None:
    """Make them the next generation of a root."""
    from fromager.store import Member

    members = [Member(each.subject, each.output, each.key) for each in realisations]
    made = store.add_generation(root, members)
    wiring.console.note(f"root {root}: generation {made.number}")
