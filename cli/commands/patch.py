"""`fromager patch`: patches made in a work tree, and tried on other versions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fromager.cli.exit_codes import ExitCode
from fromager.cli.wiring import Wiring, wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from packaging.requirements import Requirement

    from fromager.derivations import Effects, SourceTree
    from fromager.store import LocalStore


@click.group("patch", short_help="Make patches, and try them on other versions.")
def command() -> None:
    """Patches of sources."""


@command.command("new", short_help="Open a source to make a patch of what is changed.")
@click.argument("requirement")
@click.option("--name", metavar="NAME", help="What the patch does, in a word or two.")
@click.option("--into", metavar="FOLDER", help="Where to put the source.")
@click.option("--all-versions", is_flag=True, help="Make it for all versions.")
@click.option("--variant", metavar="NAME", help="With the patches of this variant.")
@click.option("--python", metavar="EXE", help="For this interpreter.")
@click.pass_obj
def new(
    flags: Mapping[str, object],
    /,
    requirement: str,
    name: str | None,
    into: str | None,
    all_versions: bool,
    **settings: object,
) -> int:
    """Put the source of a package into a folder, with the patches that it has, and
    print the folder. Change what is wrong there; `patch write` makes the patch.
    """
    from fromager.derivations import before_patch, make_work_tree, parse_requirement

    wiring = wire(flags, **settings)
    wanted = parse_requirement(requirement)
    with wiring.open_store(create=True) as store:
        # Sorts behind all names: every patch comes before it.
        source = _source(wiring, store, wanted, before_patch("\U0010ffff"))
        folder = _patch_folder(wiring) / (
            source.name if all_versions else f"{source.name}-{source.version.public}"
        )
        number = 1 + max(
            (_number(patch.name) for patch in source.effects.patches), default=0
        )
        label = re.sub(r"[^A-Za-z0-9._-]+", "-", name or "change").strip("-.")
        patch = folder / f"{number:04}-{label or 'change'}.patch"
        place = wiring.folder / (into or f"{source.name}-{source.version}")
        work = make_work_tree(store, source, place, patch)
    wiring.console.data(str(work.folder))
    wiring.console.note(f"Change it, then: fromager patch write {work.folder}")
    return ExitCode.DONE


@command.command("edit", short_help="Open a source to change a patch.")
@click.argument("patch", metavar="PATCH")
@click.argument("requirement", required=False)
@click.option("--into", metavar="FOLDER", help="Where to put the source.")
@click.option("--variant", metavar="NAME", help="With the patches of this variant.")
@click.option("--python", metavar="EXE", help="For this interpreter.")
@click.pass_obj
def edit(
    flags: Mapping[str, object],
    /,
    patch: str,
    requirement: str | None,
    into: str | None,
    **settings: object,
) -> int:
    """Put the source of a package into a folder, with PATCH and those before it, and
    print the folder. Change it further; `patch write` writes the patch anew.

    Without a requirement it is the package and version that the patch's folder names.
    """
    from fromager.derivations import (
        InputError,
        apply_patch,
        before_patch,
        make_work_tree,
        parse_requirement,
    )

    wiring = wire(flags, **settings)
    path = wiring.folder / patch
    if not path.is_file():
        raise InputError(f"there is no patch {path}")
    wanted = parse_requirement(requirement or _meant_by(path.parent.name))
    with wiring.open_store(create=True) as store:
        source = _source(wiring, store, wanted, before_patch(path.name))
        place = wiring.folder / (into or f"{source.name}-{source.version}")
        work = make_work_tree(store, source, place, path)
        apply_patch(work.folder, path.read_bytes(), path.name)
    wiring.console.data(str(work.folder))
    wiring.console.note(f"Change it, then: fromager patch write {work.folder}")
    return ExitCode.DONE


@command.command("write", short_help="Make a patch of what was changed.")
@click.argument("folder")
@click.option("--keep", is_flag=True, help="Keep the folder.")
@click.pass_obj
def write(flags: Mapping[str, object], folder: str, keep: bool) -> int:
    """Write the patch of what was changed in a folder of `patch new` or `patch edit`,
    print its path, and remove the folder.
    """
    import shutil

    from fromager.derivations import WorkTree, written_patch

    wiring = wire(flags)
    work = WorkTree.open(wiring.folder / folder)
    with wiring.open_store(create=False) as store:
        content = written_patch(store, work)
    work.patch.parent.mkdir(parents=True, exist_ok=True)
    whole = work.patch.with_name(f"{work.patch.name}.new")
    whole.write_bytes(content)
    whole.replace(work.patch)
    if not keep:
        shutil.rmtree(work.folder)
    wiring.console.data(str(work.patch))
    return ExitCode.DONE


@command.command("check", short_help="Try a package's patches on a version.")
@click.argument("requirement")
@click.option("--variant", metavar="NAME", help="With the patches of this variant.")
@click.option("--python", metavar="EXE", help="For this interpreter.")
@click.option("--overrides", metavar="FOLDER", help="Settings and patches of packages.")
@click.option("--patches", metavar="FOLDER", help="Patches, by <name>-<version>.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def check(
    flags: Mapping[str, object], /, requirement: str, as_json: bool, **settings: object
) -> int:
    """Try all patches of a package on the source of a version, such as click==8.3.

    Where no patches are for that version alone, those of the newest version that has
    some are tried. Nothing is built, and nothing is changed.

    Exit status 1 if a patch does not fit.
    """
    from fromager.cli.failures import show
    from fromager.derivations import (
        all_patches,
        parse_requirement,
        try_patches,
        unpatched,
    )

    wiring = wire(flags, **settings)
    wanted = parse_requirement(requirement)
    with wiring.open_store(create=True) as store:
        source = _source(wiring, store, wanted, unpatched)
        variant = wiring.settings.text("variant") or ""
        found = all_patches(wiring.patches, source.name, source.version, variant)
        trials = try_patches(store, source, found)
    if as_json:
        rows = [
            {
                "patch": str(trial.patch.path),
                "applies": trial.failure is None,
                "reason": trial.failure and str(trial.failure),
            }
            for trial in trials
        ]
        wiring.console.json({"subject": source.subject, "patches": rows})
    for trial in trials:
        if not as_json:
            state = "fits" if trial.failure is None else "does not fit"
            wiring.console.data(f"{trial.patch.path}: {state} {source.subject}")
        if trial.failure is not None:
            show(wiring.console, trial.failure)
    if not trials:
        wiring.console.say(f"{source.name} has no patches")
    failed = any(trial.failure is not None for trial in trials)
    return ExitCode.FAILED if failed else ExitCode.DONE


def _source(
    wiring: Wiring,
    store: LocalStore,
    requirement: Requirement,
    adapt: Callable[[Effects], Effects],
) -> SourceTree:
    """The source of what is asked for, made with as much as `adapt` leaves."""
    from fromager.derivations import SourceTrees, Steps, StopSignal

    stop = StopSignal()
    interpreter = wiring.interpreter(store)
    customisation = wiring.customisation(interpreter)
    client = wiring.routed(wiring.client(store, stop, refresh=False), customisation)
    steps = Steps(store, wiring.report, wiring.jobs, "none-needed", stop=stop)
    trees = SourceTrees(client, interpreter, customisation, wiring.limits)
    return trees.make(requirement, steps, adapt)


def _patch_folder(wiring: Wiring) -> Path:
    """Where patches of this project lie, or would."""
    given = wiring.settings.text("patches")
    if given is not None:
        return wiring.folder / Path(given).expanduser()
    overrides = wiring.overrides_folder
    return (overrides or wiring.folder / "overrides") / "patches"


def _number(name: str) -> int:
    found = re.match(r"\d+", name)
    return int(found[0]) if found else 0


def _meant_by(folder: str) -> str:
    """`a==1.0` for `a-1.0`, and `a` for `a`."""
    from packaging.version import InvalidVersion, Version

    name, dash, version = folder.rpartition("-")
    try:
        return f"{name}=={Version(version)}" if dash else folder
    except InvalidVersion:
        return folder
