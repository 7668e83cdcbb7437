"""`fromager realise`: build requirements from source, and print store paths."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from fromager.cli.asking import Words, read_request
from fromager.cli.delivering import Delivery, find_collect
from fromager.cli.exit_codes import ExitCode
from fromager.cli.failures import exit_code, show
from fromager.cli.grounds import databases, rest_on
from fromager.cli.interruption import stopping
from fromager.cli.locks import locked_by
from fromager.cli.realiser import Means
from fromager.cli.recording import current_recording
from fromager.cli.request_options import build_options, requirement_options
from fromager.cli.wiring import Wiring, wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.derivations import Realised, RealiseRequest
    from fromager.store import LocalStore


@click.command("realise", short_help="Build requirements from source.")
@click.argument("requirements", nargs=-1, metavar="REQUIREMENT...")
@requirement_options("Build")
@click.option(
    "--python", metavar="EXE", help="Build for this interpreter (3.9 to 3.14)."
)
@click.option(
    "--lock",
    "lock",
    metavar="FILE",
    help="Build exactly what a lock says; no index is asked.",
)
@click.option("--no-deps", is_flag=True, help="Build only what is named.")
@click.option(
    "--collection/--no-collection",
    "collection",
    default=None,
    help="Make one object of all wheels, or none; by default it is made of several "
    "requirements, and with -r or --group.",
)
@click.option(
    "--allow-multiple",
    is_flag=True,
    help="Resolve each requirement on its own: a collection that may hold several "
    "versions of a project.",
)
@click.option(
    "--out-link",
    metavar="PATH",
    help="Make a link to the collection; without one, to each wheel: PATH, PATH-2, …",
)
@click.option(
    "--root", metavar="NAME", help="Keep the whole set: a generation of root NAME."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--keep-going", is_flag=True, help="Build all that can be built.")
@click.option("--keep-failed", is_flag=True, help="Keep the folders of failed builds.")
@click.option(
    "--substituter",
    "substituters",
    multiple=True,
    metavar="URL",
    help="Cache that is asked before something is built; may be repeated.",
)
@build_options("Build")
@click.pass_obj
def command(
    flags: Mapping[str, object],
    /,
    requirements: tuple[str, ...],
    files: tuple[str, ...],
    constraints: tuple[str, ...],
    build_constraints: tuple[str, ...],
    extras: tuple[str, ...],
    groups: tuple[str, ...],
    lock: str | None,
    no_deps: bool,
    pre: bool,
    out_link: str | None,
    root: str | None,
    collection: bool | None,
    allow_multiple: bool,
    as_json: bool,
    keep_going: bool,
    keep_failed: bool,
    refresh: bool,
    **settings: object,
) -> int:
    """Resolve requirements, build them and all that they need from source, and print
    the store path of the wheel that was asked for.

    Of several requirements, or with -r, it is that of their collection: all wheels,
    an index of them, a pylock.toml and constraints.

    What was built before is found by the key of all its inputs, and reused.
    """
    from fromager.derivations import Collect
    from fromager.store import check_name

    wiring = wire(flags, **settings)
    if root is not None:
        check_name(root)
    asked = read_request(
        wiring,
        Words(requirements, files, constraints, build_constraints, extras, groups),
        dependencies=not no_deps,
        prereleases=pre,
        refresh=refresh,
        may_be_empty=lock is not None,
    )
    request = asked.request
    if lock is not None:
        request = locked_by(wiring.folder / lock, request, wiring.settings)
    if told := asked.places(flags):
        wiring = wire({**flags, **told}, **settings)
    collect = find_collect(
        request,
        listed=bool(files or groups),
        wanted=collection,
        several=allow_multiple,
    )
    request = replace(request, collect=collect)
    # What is in the store is said by its files alone, if nothing is written meanwhile.
    current_recording().rests_on(databases(wiring), changing=True)
    with wiring.open_store(create=True) as store:
        realised = _realise(wiring, store, request, keep_going, keep_failed, refresh)
        delivery = Delivery(wiring, store, realised)
        delivery.show(as_json=as_json)
        if out_link:
            delivery.link(out_link)
        if root:
            delivery.keep(root)
        if not (out_link or root):
            current_recording().offer()
    for failure in realised.failures:
        show(wiring.console, failure)
    if realised.failures:
        built = len(realised.wheels)
        none = "" if collect is Collect.NOTHING else "; no collection is made"
        failed = len(realised.failures)
        wiring.console.say(f"{built} built or reused, {failed} failed{none}")
        return max(exit_code(failure) for failure in realised.failures)
    return ExitCode.DONE


def _realise(
    wiring: Wiring,
    store: LocalStore,
    request: RealiseRequest,
    keep_going: bool,
    keep_failed: bool,
    refresh: bool,
) -> Realised:
    """The request's wheels: from the database alone where nothing has changed."""
    from fromager.derivations import Grounds, Memo, plan_key

    means = Means.of(wiring, store, request, refresh=refresh)
    base = wiring.known_base(store, means.interpreter)
    memo = Memo(store, means.client)
    day = str(request.cutoffs.today or "")
    if base is not None and request.is_fixed:
        plan = plan_key(request, wiring.basis(base, means.customisation))
        known = memo.recall(plan, day)
        if known is not None:
            whole = () if known.collection is None else (known.collection.output,)
            store.touch([*whole, *(each.realisation.output for each in known.wheels)])
            rest_on(current_recording(), means, memo.grounds(plan))
            return known

    current_recording().spoil()

    from fromager.cli.progress import end_progress

    realiser, steps = means.realiser(keep_going=keep_going, keep_failed=keep_failed)
    try:
        with stopping(means.stop):
            realised, pages = realiser.realise(request, steps)
    finally:
        end_progress(wiring.report)
    settled = request.is_fixed and not means.customisation.may_change
    if not realised.failures and settled:
        base = wiring.base(store, means.interpreter, thorough=False)
        plan = plan_key(request, wiring.basis(base, means.customisation))
        custom = means.customisation
        watched = custom.watched() | wiring.rust.watched
        only = day if custom.depends_on_the_day else ""
        said = {name: str(digest) for name, digest in pages.items()}
        memo.remember(plan, realised, Grounds(said, watched, only))
    return realised
