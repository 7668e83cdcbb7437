"""`fromager lock`: pin versions, and everything that builds them, in a file."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from fromager.cli.asking import Words, read_request
from fromager.cli.exit_codes import ExitCode
from fromager.cli.grounds import rest_on
from fromager.cli.interruption import stopping
from fromager.cli.locks import (
    locked_request,
    read_lock,
    recorded_limits,
    write_whole,
)
from fromager.cli.realiser import Means
from fromager.cli.recording import current_recording
from fromager.cli.remembered_lock import RememberedLock
from fromager.cli.request_options import build_options, requirement_options
from fromager.cli.wiring import Wiring, wire

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from fromager.derivations import Lock, RealiseRequest

STDOUT: Final = "-"
EVERYTHING: Final = "*"
"""What is upgraded if no project is named."""

_NAMES: Final = re.compile(r"pylock(\.[^.]+)?\.toml")
"""What a lock may be called (PEP 751)."""


@click.command("lock", short_help="Pin versions and what builds them, in a file.")
@click.argument("requirements", nargs=-1, metavar="REQUIREMENT...")
@requirement_options("Lock")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    default="pylock.toml",
    show_default=True,
    help="Where to write; - for standard output.",
)
@click.option(
    "--upgrade",
    "renewed",
    is_flag=False,
    flag_value=EVERYTHING,
    multiple=True,
    metavar="[NAME]",
    help="Do not keep what was locked before, or not this project's version; may be "
    "repeated.",
)
@click.option(
    "-P",
    "--upgrade-package",
    "upgraded",
    multiple=True,
    metavar="NAME",
    help="The same as --upgrade NAME; may be repeated.",
)
@click.option(
    "--check", is_flag=True, help="Write nothing; exit status 1 if it would change."
)
@click.option(
    "--python",
    "pythons",
    multiple=True,
    metavar="EXE",
    help="Lock for this interpreter; repeat it to lock for several.",
)
@build_options("Lock")
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
    output: str,
    renewed: tuple[str, ...],
    upgraded: tuple[str, ...],
    check: bool,
    pythons: tuple[str, ...],
    pre: bool,
    refresh: bool,
    **settings: object,
) -> int:
    """Resolve requirements, and write down all versions with their hashes: of what is
    installed, of what each package is built with, and of what builds that.

    The file is a pylock.toml (PEP 751), which installers read; `fromager realise
    --lock` builds exactly what it says. What an existing file says is kept where it
    still fits. Without a requirement, what that file was made for is locked anew.

    What builds things is built, since backends are asked what they need. What changed
    between two locks is told by `fromager lock diff`.
    """
    wiring = wire(flags, **settings)
    before, own = _existing(wiring, output), False
    given_up = _given_up(renewed, upgraded, before, output)
    if before is not None and not (requirements or files or groups):
        recalled, own = before.request, True
        requirements = recalled.requirements
        recorded = {
            n: v for n, v in recorded_limits(recalled).items() if _unset(n, settings)
        }
        settings = {**settings, **recorded}
        pre = pre or recalled.prereleases
    wiring = wire(flags, **settings)
    asked = read_request(
        wiring,
        Words(requirements, files, constraints, build_constraints, extras, groups),
        dependencies=True,
        prereleases=pre,
        refresh=refresh,
        may_be_empty=own,
    )
    request = asked.request
    if before is not None and own:
        request = replace(request, direct=before.request.direct)
    if before is not None and not (constraints or build_constraints or files):
        request = _with_recorded_constraints(request, before)
    flags = {**flags, **asked.places(flags)}
    locks = []
    for python in pythons or (None,):
        chosen = wire(flags, **settings, python=python)
        known = None if EVERYTHING in renewed else before
        with _told_of(pythons, python):
            locks.append(_lock(chosen, request, known, given_up, refresh))
    code = _deliver(wiring, locks, before, output, check=check)
    # Where it wrote a file, that is another one now, which shows.
    current_recording().offer()
    return code


@contextmanager
def _told_of(pythons: tuple[str, ...], python: str | None) -> Iterator[None]:
    """Of several interpreters, what fails is told with the one that it fails for."""
    try:
        yield
    except Exception as error:
        if len(pythons) > 1:
            error.add_note(f"This is about --python {python}")
        raise


def _existing(wiring: Wiring, output: str) -> Lock | None:
    if output == STDOUT:
        return None
    path = wiring.folder / output
    current_recording().rests_on([str(path)])
    return read_lock(path) if path.exists() else None


def _given_up(
    renewed: tuple[str, ...],
    upgraded: tuple[str, ...],
    before: Lock | None,
    output: str,
) -> frozenset[str]:
    """The projects whose versions are not kept.

    Raises:
        InputError: one that is not locked; a requirement may have been meant.
    """
    from packaging.utils import canonicalize_name

    from fromager.derivations import InputError

    named = [name for name in renewed if name != EVERYTHING]
    if before is not None:
        named += upgraded
    known = () if before is None else {release.name for release in before.releases}
    for name in named:
        if canonicalize_name(name) not in known:
            raise InputError(
                f"{name} cannot be upgraded: it is not in {output}",
                hint="Name a project of the lock; a requirement stands before --upgrade",
            )
    return frozenset(map(canonicalize_name, (*named, *upgraded)))


def _unset(flag: str, settings: Mapping[str, object]) -> bool:
    return settings.get(flag) in (None, ())


def _with_recorded_constraints(request: RealiseRequest, before: Lock) -> RealiseRequest:
    from packaging.requirements import Requirement

    from fromager.derivations import GivenRequirement

    def given(texts: tuple[str, ...]) -> tuple[GivenRequirement, ...]:
        return tuple(GivenRequirement(Requirement(t), "the lock") for t in texts)

    return replace(
        request,
        constraints=given(before.request.constraints),
        build_constraints=given(before.request.build_constraints),
        direct_constraints=before.request.direct_constraints,
    )


def _lock(
    wiring: Wiring,
    request: RealiseRequest,
    before: Lock | None,
    given_up: frozenset[str],
    refresh: bool,
) -> Lock:
    names = (index.name for index in wiring.indexes.indexes)
    said = locked_request(request, wiring.settings, names)
    with wiring.open_store(create=True) as store:
        means = Means.of(wiring, store, request, refresh=refresh)
        memory = RememberedLock(means, said, before, given_up)
        lock = memory.recall()
        if lock is None:
            with current_recording().paused():
                lock = _made(means, memory)
        rest_on(current_recording(), means, memory.grounds)
        return lock


def _made(means: Means, memory: RememberedLock) -> Lock:
    from fromager.cli.progress import end_progress
    from fromager.derivations import LockedPlatform, kept_versions

    platform = LockedPlatform.of(means.interpreter)
    kept = kept_versions(memory.before, platform, memory.given_up)
    realiser, steps = means.realiser(heard=memory.hear)
    try:
        with stopping(means.stop):
            planned = realiser.plan(means.request, steps, kept)
    finally:
        end_progress(means.wiring.report)
    lock = planned.lock(platform, memory.said)
    memory.remember(lock, planned.pages)
    return lock


def _check_platforms(before: Lock, lock: Lock, output: str) -> None:
    """What was locked for more platforms must not lose one by the way."""
    from fromager.derivations import InputError

    new = {each.platform.name for each in lock.sets}
    lost = [s.platform.name for s in before.sets if s.platform.name not in new]
    if lost:
        raise InputError(
            f"{output} is for {' and '.join(lost)} too, which would be lost",
            hint="Name the interpreters of all platforms, or write another file",
        )


def _deliver(
    wiring: Wiring, locks: list[Lock], before: Lock | None, output: str, *, check: bool
) -> int:
    from fromager.derivations import format_lock, joined, lock_changes

    lock = joined(locks)
    if before is not None and not check:
        _check_platforms(before, lock, output)
    path: Path = wiring.folder / output
    text = format_lock(lock, path.absolute().parent)
    if output == STDOUT and not check:
        wiring.console.data(text.removesuffix("\n"))
        return ExitCode.DONE
    fits = before is not None and path.read_text(encoding="utf-8") == text
    changes = () if before is None or fits else lock_changes(before, lock)
    for change in changes:
        wiring.console.say(str(change))
    if check:
        if not fits:
            wiring.console.error(f"{output} is out of date, or not there")
            wiring.console.hint("Make it anew: fromager lock")
        return ExitCode.DONE if fits else ExitCode.FAILED
    if not fits:
        write_whole(path, text)
    if not _NAMES.fullmatch(path.name):
        wiring.console.note(
            f"{output}: installers read it only as pylock.toml, or pylock.NAME.toml"
        )
    installed = sum(len(lock.installed_on(each.subject)) > 0 for each in lock.releases)
    tools = len(lock.releases) - installed
    wiring.console.say(f"{output}: {installed} packages, {tools} more to build them")
    return ExitCode.DONE
