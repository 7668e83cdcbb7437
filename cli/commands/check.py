"""`fromager check`: build again what was built, and compare."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fromager.cli.attachments import compare_builds, log_lines, replay
from fromager.cli.attesting import attest_options, open_signer, write_results
from fromager.cli.exit_codes import ExitCode
from fromager.cli.failures import show
from fromager.cli.interruption import stopping
from fromager.cli.sharing import Sharing
from fromager.cli.targets import find_realisations, place_of
from fromager.cli.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fromager.cli.wiring import Wiring
    from fromager.derivations import Checker, Report, StopSignal, Variation, Verdict
    from fromager.store import LocalStore, Realisation, StorePath


@click.command("check", short_help="Build again, and compare.")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@click.option(
    "--closure",
    is_flag=True,
    help="Also everything that it needs and was built with, step by step.",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=0),
    default=1,
    metavar="N",
    help="How often with nothing varied.  [default: 1]",
)
@click.option(
    "--vary",
    metavar="LIST",
    help="Also with these varied, all at once, then by halves: time, umask, tz, "
    "locale, home, hostname, cores, readdir, aslr, build-path, kernel; or all.",
)
@click.option(
    "--out", metavar="FOLDER", help="Put what differs there, with a report of why."
)
@attest_options
@click.option("--keep-failed", is_flag=True, help="Keep the folders of failed builds.")
@click.option("--python", metavar="EXE", help="Where a step does not tell its own.")
@click.option("--jobs", type=int, metavar="N", help="Builds that run at once.")
@click.option("--cores", type=int, metavar="N", help="Cores that each build may use.")
@click.option("--timeout", type=int, metavar="SECONDS", help="Time for one build.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def command(
    flags: Mapping[str, object],
    /,
    targets: tuple[str, ...],
    closure: bool,
    rounds: int,
    vary: str | None,
    out: str | None,
    attest: str | None,
    keep_failed: bool,
    as_json: bool,
    **settings: object,
) -> int:
    """Build again what was built, from the same inputs, and compare bit for bit.

    Nothing that is in use is replaced; what comes out is kept as evidence.

    Exit status 0 if everything was reproduced, 2 if something differs, 1 if it
    cannot be told since something could not be built again.
    """
    from fromager.derivations import (
        InputError,
        StopSignal,
        as_built,
        found_by_check,
    )

    wiring = wire(flags, **settings)
    sharing = Sharing(wiring)
    variations = _variations(vary)
    if not rounds and not variations:
        raise InputError("nothing to do", hint="Ask for a round, or vary something")
    signer, stop = open_signer(sharing, attest), StopSignal()
    with wiring.open_store(create=False) as store:
        named = find_realisations(store, targets)
        roots = [as_built(store, each) for each in named]
        steps = _closure(wiring, store, named) if closure else roots
        checker = _checker(wiring, store, stop, rounds, variations, keep_failed)
        verdicts, reports = _run(wiring, store, checker, steps, stop, as_json)
        write_results(sharing, signer, attest, found_by_check(verdicts))
        if out is not None:
            for verdict, report in reports:
                _put(store, wiring.folder / out, verdict, report)
    if as_json:
        _print_json(wiring, verdicts, reports)
    return _exit_code(verdicts)


def _variations(text: str | None) -> tuple[Variation, ...]:
    """The variations that are meant, in the order in which they are told."""
    from fromager.derivations import InputError, Variation

    if text is None:
        return ()
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    if names == ["all"]:
        return tuple(Variation)
    known = {variation.value: variation for variation in Variation}
    for name in names:
        if name not in known:
            raise InputError(
                f"{name!r} cannot be varied", hint=f"Choose from {', '.join(known)}"
            )
    return tuple(each for each in Variation if each.value in names)


def _closure(
    wiring: Wiring, store: LocalStore, roots: Sequence[Realisation]
) -> list[Realisation]:
    """All that was done for these and what they need, but for what was fetched.

    The hash of a fetched file is known before: there is nothing to reproduce.
    """
    from fromager.derivations import build_steps, runtime_closure

    markers = wiring.interpreter(store).marker_environment
    wheels, unmet = runtime_closure(store, roots, markers)
    for requirement in unmet:
        wiring.console.warning(f"nothing here meets {requirement}: it is left out")
    return [step for step in build_steps(store, wheels) if step.kind != "fetch"]


def _checker(
    wiring: Wiring,
    store: LocalStore,
    stop: StopSignal,
    rounds: int,
    variations: tuple[Variation, ...],
    keep_failed: bool,
) -> Checker:
    import tempfile

    from fromager.derivations import Checker, look_around

    around = None
    if variations:
        memory, elsewhere = Path("/dev/shm"), Path(tempfile.gettempdir())
        around = look_around(wiring.cores, memory, elsewhere)
    means = wiring.rebuild_means(store, stop, keep_failed=keep_failed)
    return Checker(means, rounds, variations, around)


def _run(
    wiring: Wiring,
    store: LocalStore,
    checker: Checker,
    steps: Sequence[Realisation],
    stop: StopSignal,
    as_json: bool,
) -> tuple[list[Verdict], list[tuple[Verdict, Report]]]:
    """All verdicts, told as they come; with reports where outputs can be compared."""
    from fromager.cli.progress import end_progress

    verdicts, reports = [], []
    try:
        with stopping(stop):
            for verdict in checker.check_all(steps, wiring.jobs):
                verdicts.append(verdict)
                report = _explain(wiring, store, verdict)
                if report is not None:
                    reports.append((verdict, report))
                end_progress(wiring.report)
                if not as_json:
                    _tell(wiring, store, verdict, report)
    finally:
        end_progress(wiring.report)
    return verdicts, reports


def _explain(wiring: Wiring, store: LocalStore, verdict: Verdict) -> Report | None:
    """What differs between what is in use and what is not the same."""
    from fromager.derivations import compare, open_contents

    first, second = verdict.recorded.output, verdict.telling
    if second is None or store.info(first) is None or store.info(second) is None:
        return None
    with (
        open_contents(store.place(first)) as one,
        open_contents(store.place(second)) as two,
    ):
        return compare(one, two, wiring.clues)


def _tell(
    wiring: Wiring, store: LocalStore, verdict: Verdict, report: Report | None
) -> None:
    from fromager.derivations import State, summary

    console = wiring.console
    for failure in verdict.failures:
        show(console, failure)
    recorded = verdict.recorded
    level = ", without a sandbox" if recorded.level == "none" else ""
    what = f"{recorded.subject} ({recorded.kind}{level})"
    match verdict.state:
        case State.UNKNOWN:
            console.data(f"{what}: unknown")
        case State.REPRODUCED:
            console.data(f"{what}: reproduced by {verdict.reproduced_by}")
        case State.DIFFERS:
            alone = any(not each.same and not each.varied for each in verdict.rounds)
            console.data(f"{what}: differs{', with nothing varied' if alone else ''}")
            console.data(f"  in use: {_place(store, recorded.output)}")
            for output in dict.fromkeys(claim.output for claim in verdict.others):
                console.data(f"  other:  {_place(store, output)}")
    for line in summary(report) if report is not None else ():
        console.data(f"  {line}".rstrip())
    for outcome in verdict.variations:
        detail = f": {outcome.detail}" if outcome.detail else ""
        console.data(f"  {outcome.name}: {outcome.reach.value}{detail}")


def _place(store: LocalStore, output: StorePath) -> str:
    there = store.info(output) is not None
    return f"{place_of(store, output)}{'' if there else ' (removed since)'}"


def _put(store: LocalStore, folder: Path, verdict: Verdict, report: Report) -> None:
    """Both outputs, and the report of what differs, for those who look later."""
    from fromager.derivations import html_page

    recorded = verdict.recorded
    subject = recorded.subject.replace("==", "-").replace("/", "-")[:100]
    place = folder / f"{subject}-{recorded.kind}"
    if place.exists():
        shutil.rmtree(place)
    place.mkdir(parents=True)
    for name, output in (("first", recorded.output), ("second", verdict.telling)):
        if output is None:
            continue
        source = store.place(output)
        if source.is_dir():
            shutil.copytree(source, place / name, symlinks=True, copy_function=_copy)
            (place / name).chmod(0o755)
        else:
            _copy(source, place / name)
    second = next((c for c in verdict.others if c.output == verdict.telling), None)
    logs, again = compare_builds(store, recorded, second), replay(recorded, report)
    texts = [("See it again", again)]
    if logs is not None:
        texts.insert(0, ("Logs", "\n".join(log_lines(logs))))
    title = f"{recorded.subject} ({recorded.kind})"
    page = html_page(report, title, attached=texts)
    (place / "report.html").write_text(page, encoding="utf-8")
    row = {
        "verdict": verdict.row,
        "report": report.row,
        "logs": None if logs is None else logs.row,
        "replay": again,
    }
    (place / "report.json").write_text(json.dumps(row, indent=2), encoding="utf-8")


def _copy(source: object, target: object) -> None:
    """Without the modes and times of the store, so that it can be removed again."""
    shutil.copyfile(Path(str(source)), Path(str(target)), follow_symlinks=False)


def _print_json(
    wiring: Wiring,
    verdicts: Sequence[Verdict],
    reports: Sequence[tuple[Verdict, Report]],
) -> None:
    from fromager.derivations import overall

    by_key = {verdict.recorded.key: report.row for verdict, report in reports}
    rows = [
        {**verdict.row, "report": by_key.get(verdict.recorded.key)}
        for verdict in verdicts
    ]
    wiring.console.json({"state": overall(verdicts).value, "verdicts": rows})


def _exit_code(verdicts: Sequence[Verdict]) -> ExitCode:
    from fromager.derivations import State, overall

    match overall(verdicts):
        case State.REPRODUCED:
            return ExitCode.DONE
        case State.DIFFERS:
            return ExitCode.DIFFERENT
    return ExitCode.FAILED
