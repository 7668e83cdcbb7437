"""`fromager realise`: build requirements from source, and print store paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fromager.cli.asking import Words, read_request
from fromager.cli.exit_codes import ExitCode
from fromager.cli.failures import exit_code, show
from fromager.cli.interruption import stopping
from fromager.cli.locks import locked_by
from fromager.cli.policies import policy_options
from fromager.cli.realiser import Means
from fromager.cli.wiring import Wiring, wire

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fromager.derivations import Realised, RealisedWheel, RealiseRequest
    from fromager.store import LocalStore


@click.command("realise", short_help="Build requirements from source.")
@click.argument("requirements", nargs=-1, metavar="REQUIREMENT...")
@click.option(
    "-r",
    "--requirement",
    "files",
    multiple=True,
    metavar="FILE",
    help="Build what a requirements file names; may be repeated.",
)
@click.option(
    "-c",
    "--constraint",
    "constraints",
    multiple=True,
    metavar="FILE",
    help="Narrow versions as a constraints file says; may be repeated.",
)
@click.option(
    "-b",
    "--build-constraint",
    "build_constraints",
    multiple=True,
    metavar="FILE",
    help="Narrow the versions of build requirements; may be repeated.",
)
@click.option(
    "--python", metavar="EXE", help="Build for this interpreter (3.9 to 3.14)."
)
@click.option(
    "--extra",
    "extras",
    multiple=True,
    metavar="NAME",
    help="With -r pyproject.toml, an extra of the project too; may be repeated.",
)
@click.option(
    "--group",
    "groups",
    multiple=True,
    metavar="[FILE:]NAME",
    help="Build a dependency group of pyproject.toml; may be repeated.",
)
@click.option(
    "--lock",
    "lock",
    metavar="FILE",
    help="Build exactly what a lock says; no index is asked.",
)
@click.option("--no-deps", is_flag=True, help="Build only what is named.")
@click.option("--pre", is_flag=True, help="Allow pre-releases.")
@click.option(
    "--out-link", metavar="PATH", help="Make a link to each wheel: PATH, PATH-2, …"
)
@click.option(
    "--root", metavar="NAME", help="Keep the whole set: a generation of root NAME."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--jobs", type=int, metavar="N", help="Builds that run at once.")
@click.option("--cores", type=int, metavar="N", help="Cores that each build may use.")
@click.option("--timeout", type=int, metavar="SECONDS", help="Time for one build.")
@click.option("--keep-going", is_flag=True, help="Build all that can be built.")
@click.option("--keep-failed", is_flag=True, help="Keep the folders of failed builds.")
@click.option(
    "--variant",
    metavar="NAME",
    help="Build this variant, with its settings and patches.",
)
@click.option("--overrides", metavar="FOLDER", help="Settings and patches of packages.")
@click.option("--patches", metavar="FOLDER", help="Patches, by <name>-<version>.")
@click.option(
    "--only-from-source",
    is_flag=True,
    default=None,
    help="Refuse prebuilt wheels, and list them.",
)
@click.option(
    "--sandbox",
    metavar="LEVEL",
    help="full, or none: no isolation; another key, never used in place of full.",
)
@policy_options
@click.option(
    "--substituter",
    "substituters",
    multiple=True,
    metavar="URL",
    help="Cache that is asked before something is built; may be repeated.",
)
@click.option("--refresh", is_flag=True, help="Ask the indexes anew.")
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
    as_json: bool,
    keep_going: bool,
    keep_failed: bool,
    refresh: bool,
    **settings: object,
) -> int:
    """Resolve requirements, build them and all that they need from source, and print
    the store paths of the wheels that were asked for.

    What was built before is found by the key of all its inputs, and reused.
    """
    from fromager.store import check_name

    wiring = wire(flags, **settings)
    if root is not None:
        check_name(root)
    asked = read_request(
        wiring,
        Words(requirements, files, constraints, build_constraints, extras, groups),
        dependencies=not no_deps,
        prereleases=pre,
        may_be_empty=lock is not None,
    )
    request = asked.request
    if lock is not None:
        request = locked_by(wiring.folder / lock, request, wiring.settings)
    if told := asked.places(flags):
        wiring = wire({**flags, **told}, **settings)
    with wiring.open_store(create=True) as store:
        realised = _realise(wiring, store, request, keep_going, keep_failed, refresh)
        _print(wiring, store, realised, as_json)
        if out_link:
            _link(wiring, store, realised, out_link)
        if root:
            _keep(wiring, store, realised, root)
    for failure in realised.failures:
        show(wiring.console, failure)
    if realised.failures:
        built = len(realised.wheels)
        wiring.console.say(f"{built} built or reused, {len(realised.failures)} failed")
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
    from fromager.derivations import Memo, plan_key

    means = Means.of(wiring, store, request, refresh=refresh)
    base = wiring.known_base(store, means.interpreter)
    memo = Memo(store, means.client)
    day = str(request.cutoffs.today or "")
    if base is not None and request.is_fixed:
        plan = plan_key(request, wiring.basis(base, means.customisation))
        known = memo.recall(plan, day)
        if known is not None:
            store.touch(wheel.realisation.output for wheel in known.wheels)
            return known

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
        only = day if custom.depends_on_the_day else ""
        memo.remember(plan, realised, pages, custom.watched(), only)
    return realised


def _print(
    wiring: Wiring, store: LocalStore, realised: Realised, as_json: bool
) -> None:
    console = wiring.console
    if as_json:
        console.json(
            {
                "store": str(store.root),
                "wheels": [_row(store, wheel) for wheel in realised.wheels],
                "failures": [str(failure) for failure in realised.failures],
            }
        )
        return
    for wheel in realised.wheels:
        if (url := wheel.realisation.fact("prebuilt")) is not None:
            console.note(f"{wheel.subject} is not built from source, but from {url}")
        if wheel.requested:
            console.data(str(_path(store, wheel)))


def _path(store: LocalStore, wheel: RealisedWheel) -> Path:
    return store.place(wheel.realisation.output) / wheel.filename


def _row(store: LocalStore, wheel: RealisedWheel) -> dict[str, object]:
    realisation = wheel.realisation
    return {
        "name": wheel.name,
        "version": wheel.version_text,
        "requested": wheel.requested,
        "dependencies": list(wheel.dependencies),
        "path": str(_path(store, wheel)),
        "store_path": str(realisation.output),
        "key": str(realisation.key),
        "digest": str(realisation.output_digest),
        "sha256": realisation.fact("sha256"),
        "raw_sha256": realisation.fact("raw_sha256"),
        "level": realisation.level,
        "prebuilt": realisation.fact("prebuilt"),
        "derivation": str(realisation.derivation),
    }


def _link(wiring: Wiring, store: LocalStore, realised: Realised, out_link: str) -> None:
    asked = [wheel for wheel in realised.wheels if wheel.requested]
    for number, wheel in enumerate(asked, start=1):
        link = wiring.folder / (out_link if number == 1 else f"{out_link}-{number}")
        store.link_root(link, _path(store, wheel))


def _keep(wiring: Wiring, store: LocalStore, realised: Realised, root: str) -> None:
    """Make the set the next generation of a root; a part of it is none."""
    from fromager.store import Member

    if realised.failures:
        wiring.console.warning(f"root {root}: no generation, since something failed")
        return
    members = [
        Member(
            f"{wheel.name}=={wheel.version_text}",
            wheel.realisation.output,
            wheel.realisation.key,
        )
        for wheel in realised.wheels
    ]
    made = store.add_generation(root, members)
    wiring.console.note(f"root {root}: generation {made.number}")
