"""`fromager diff`: what differs between two outputs, and why."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fromager.cli.attachments import (
    LINES_SHOWN,
    compare_builds,
    log_lines,
    replay,
)
from fromager.cli.collections import (
    changed_collections,
    compare_rebuilt,
    show_changes,
)
from fromager.cli.exit_codes import ExitCode
from fromager.cli.targets import find_object, find_realisation
from fromager.cli.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fromager.cli.wiring import Wiring
    from fromager.derivations import HostDifference, LogDifference, Reason, Report
    from fromager.store import LocalStore, Realisation


@dataclass(frozen=True)
class Subject:
    """One of the two things that are compared."""

    path: Path
    realisation: Realisation | None
    """The build that gave it, if the store knows one."""


@click.command("diff", short_help="Say what differs, and why.")
@click.argument("first")
@click.argument("second")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--html", metavar="FILE", help="Write a page that needs nothing else.")
@click.option(
    "--diffoscope",
    "attach",
    is_flag=True,
    help="Attach the report of diffoscope, which must be installed.",
)
@click.pass_obj
def command(
    flags: Mapping[str, object],
    first: str,
    second: str,
    as_json: bool,
    html: str | None,
    attach: bool,
) -> int:
    """Say what differs between FIRST and SECOND, why, and what to do about it.

    Each is a wheel, an sdist or another archive, a file, a folder, or anything in the
    store: a path, a requirement, a derivation, a digest prefix. What changed between two
    collections is told wheel by wheel.

    Exit status 0 if they are the same bit for bit, 2 if not, 1 if that cannot be told.
    """
    from fromager.derivations import compare, html_page, open_contents

    wiring = wire(flags)
    with ExitStack() as held:
        store = _store(wiring, (first, second), held)
        one, two = _subject(store, first), _subject(store, second)
        if one.path.name.endswith(".drv") and two.path.name.endswith(".drv"):
            return _derivations(wiring, store, one, two, as_json)
        same, reasons = _inputs(store, one, two)
        hosts = _hosts(one, two)
        if not attach and html is None:
            changes = changed_collections(one.path, two.path)
            if changes is not None:
                reports = compare_rebuilt(wiring, one.path, two.path)
                inputs = same, reasons
                show_changes(wiring, changes, reports, inputs, as_json=as_json)
                return ExitCode.DIFFERENT
        report = compare(
            held.enter_context(open_contents(one.path)),
            held.enter_context(open_contents(two.path)),
            wiring.clues,
        )
    logs = None
    if not _identical(report):
        logs = compare_builds(store, one.realisation, two.realisation)
    again = _replay(one, same, report)
    attached = _diffoscope(wiring, one.path, two.path) if attach else ""
    if html is not None:
        title = f"{report.first.name} and {report.second.name}"
        lines = [str(each) for each in (*reasons, *hosts)]
        texts = [("Logs", "\n".join(log_lines(logs)))] if logs is not None else []
        texts += [("See it again", again)] if again is not None else []
        texts += [("diffoscope", attached)] if attached else []
        page = html_page(report, title, lines, texts)
        Path(html).write_text(page, encoding="utf-8")
    if as_json:
        more = {"diffoscope": attached} if attach else {}
        rows = [each.row for each in reasons]
        value = {
            "same_derivation": same,
            "inputs": rows,
            "hosts": [each.row for each in hosts],
            "logs": None if logs is None else logs.row,
            "replay": again,
            **report.row,
            **more,
        }
        wiring.console.json(value)
    else:
        _print(wiring, report, same, (*reasons, *hosts))
        _print_beside(wiring, logs, again, attached)
    return ExitCode.DONE if _identical(report) else ExitCode.DIFFERENT


def _store(wiring: Wiring, texts: Sequence[str], held: ExitStack) -> LocalStore | None:
    """The store, if there is one or something has to be looked up in it."""
    from fromager.store import StoreUnavailable

    try:
        return held.enter_context(wiring.open_store(create=False))
    except StoreUnavailable:
        if all(Path(text).exists() for text in texts):
            return None
        raise


def _subject(store: LocalStore | None, text: str) -> Subject:
    """What is meant: what lies at a path, else what the store has of that name."""
    from fromager.store import ObjectMissing

    path = Path(text)
    roots = () if store is None else tuple(root.resolve() for root in store.roots)
    inside = any(path.resolve().is_relative_to(root) for root in roots)
    if store is None or (path.exists() and not inside):
        return Subject(path, None)
    if inside:
        text = str(path.absolute())
    info = find_object(store, text)
    try:
        realisation = find_realisation(store, text)
    except ObjectMissing:
        realisation = None
    return Subject(store.place(info.path), realisation)


def _inputs(
    store: LocalStore | None, one: Subject, two: Subject
) -> tuple[bool | None, tuple[Reason, ...]]:
    """Whether both were built from the same, and what changed; None if not known."""
    from fromager.derivations import compare_inputs

    if store is None or one.realisation is None or two.realisation is None:
        return None, ()
    if one.realisation.kind != two.realisation.kind:
        return False, ()
    same = one.realisation.key == two.realisation.key
    return same, compare_inputs(store, one.realisation, two.realisation)


def _replay(one: Subject, same: bool | None, report: Report) -> str | None:
    """How to see the difference again; None if it is none of one derivation."""
    if one.realisation is None or not same or _identical(report):
        return None
    return replay(one.realisation, report)


def _hosts(one: Subject, two: Subject) -> tuple[HostDifference, ...]:
    """How the machines differ on which both were built."""
    from fromager.derivations import host_differences

    if one.realisation is None or two.realisation is None:
        return ()
    return host_differences(one.realisation, two.realisation)


def _derivations(
    wiring: Wiring, store: LocalStore | None, one: Subject, two: Subject, as_json: bool
) -> int:
    """What changed between two derivations, down to where each change began."""
    from fromager.derivations import decode, differences

    lines: list[str]
    if one.realisation is not None and two.realisation is not None:
        _, reasons = _inputs(store, one, two)
        rows, lines = [each.row for each in reasons], [str(each) for each in reasons]
    else:
        sides = [decode(subject.path.read_bytes()) for subject in (one, two)]
        found = differences(*sides)
        rows, lines = [each.row for each in found], [str(each) for each in found]
    if as_json:
        wiring.console.json({"same_derivation": not rows, "inputs": rows})
    else:
        for line in lines or ["the same derivation"]:
            wiring.console.data(line)
    return ExitCode.DIFFERENT if rows else ExitCode.DONE


def _diffoscope(wiring: Wiring, first: Path, second: Path) -> str:
    import shutil

    from fromager.derivations import InputError, diffoscope

    executable = shutil.which("diffoscope", path=wiring.environ.get("PATH", ""))
    if executable is None:
        raise InputError(
            "diffoscope is not installed", hint="Install it, or go without"
        )
    return diffoscope(executable, first, second)


def _print(
    wiring: Wiring,
    report: Report,
    same: bool | None,
    reasons: Sequence[Reason | HostDifference],
) -> None:
    from fromager.derivations import summary

    console = wiring.console
    if same is not None and not _identical(report):
        what = "one derivation gave both" if same else "different derivations gave them"
        console.data(what)
    for reason in reasons:
        console.data(f"  {reason}")
    for line in summary(report):
        console.data(line)


def _print_beside(
    wiring: Wiring, logs: LogDifference | None, again: str | None, attached: str
) -> None:
    console = wiring.console
    if logs is not None:
        title, *lines = log_lines(logs, LINES_SHOWN)
        console.data(f"\n{title}")
        for line in lines:
            console.data(f"  {line}")
    if again is not None:
        console.data(f"\nto see it again: {again}")
    if attached:
        console.data(f"\n{attached}")


def _identical(report: Report) -> bool:
    from fromager.derivations import Sameness

    return report.sameness is Sameness.IDENTICAL
