"""`fromager challenge`: compare with what other machines recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from fromager.cli.attachments import replay
from fromager.cli.attesting import attest_options, open_signer, write_results
from fromager.cli.exit_codes import ExitCode
from fromager.cli.others import explain
from fromager.cli.sharing import Sharing
from fromager.cli.targets import find_realisations
from fromager.cli.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fromager.cli.wiring import Wiring
    from fromager.derivations import Cache, Challenge, Claim, Item, Report
    from fromager.store import Realisation

SHOWN: Final = 5
"""Steps named of those about which there is the same to say; JSON names all."""


@click.command("challenge", short_help="Compare with what other machines recorded.")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@click.option(
    "--against",
    "urls",
    multiple=True,
    metavar="URL",
    help="A cache with claims of others; may be repeated.  "
    "[default: the setting substituters]",
)
@click.option(
    "--no-diff", is_flag=True, help="Do not fetch what differs, to say what and why."
)
@attest_options
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def command(
    flags: Mapping[str, object],
    /,
    targets: tuple[str, ...],
    urls: tuple[str, ...],
    no_diff: bool,
    attest: str | None,
    as_json: bool,
    **settings: object,
) -> int:
    """Compare all that each TARGET was made from, and what it needs, with what trusted
    builders claim, step by step. Nothing is built, and only what differs is fetched.

    Exit status 0 if all is the same, 1 if nobody else says anything of some steps, or
    one of the caches could not be asked, 2 if something differs, 3 if there is a forged
    claim, or only claims of builders that are not trusted.
    """
    from fromager.derivations import challenge, found_by_challenge, held_against_keys

    wiring = wire(flags, **settings)
    sharing = Sharing(wiring)
    signer = open_signer(sharing, attest)
    with wiring.open_store(create=False) as store:
        named = find_realisations(store, targets)
        _, steps = sharing.closure(store, named)
        # The content of what is fetched is known before: there is nothing to compare.
        steps = [step for step in steps if step.kind != "fetch"]
        caches = sharing.caches(store, urls)
        try:
            claims, silent = sharing.claims(caches, steps)
            claims = held_against_keys(store, steps, claims)
            found = challenge(steps, claims, sharing.own_builders())
            heard = [cache for cache in caches if cache.url not in silent]
            write_results(sharing, signer, attest, found_by_challenge(found.items))
            differing = [] if no_diff else _differing(found)
            reports = explain(wiring, store, heard, differing)
        finally:
            for cache in caches:
                cache.close()
    if as_json:
        _print_json(wiring, caches, silent, found, reports)
    else:
        _print(wiring, found, reports)
    code = _exit_code(found)
    return ExitCode.FAILED if silent and code is ExitCode.DONE else code


def _differing(found: Challenge) -> list[tuple[Realisation, Sequence[Claim]]]:
    """Steps that differ, each with what others say."""
    from fromager.derivations import Outcome

    return [(item.recorded, item.others) for item in found.having(Outcome.MISMATCH)]


def _print(
    wiring: Wiring,
    found: Challenge,
    reports: Mapping[str, Sequence[Report]],
) -> None:
    from fromager.derivations import Outcome, summary

    console = wiring.console
    for item in found.having(Outcome.MISMATCH):
        console.data(f"{_name(item)}: differs")
        console.data(f"  here: {item.recorded.output}")
        for output, builders in item.other_outputs:
            console.data(f"  {', '.join(builders)}: {output}")
        for builder, host in item.other_hosts:
            here, there = host.first or "not told", host.second or "not told"
            console.data(f"  {host.name}: {here} here, {there} at {builder}")
        for report in reports.get(str(item.recorded.key), ()):
            for line in summary(report):
                console.data(f"  {line}".rstrip())
            again = replay(item.recorded, report)
            console.data(f"  to see whether it is so here: {again}")
    for reasons, items in _by_reasons(found.having(Outcome.UNTRUSTED)):
        console.data(f"{_few(items)}: untrusted")
        for reason in reasons:
            console.data(f"  {reason}")
    for item in found.having(Outcome.NOT_COMPARABLE):
        console.data(f"{_name(item)}: not comparable, since {_list(item.because)}")
    for reasons, items in _by_reasons(found.having(Outcome.INCONCLUSIVE)):
        why = "; ".join(reasons) or "nobody else tells of it"
        console.data(f"{_few(items)}: inconclusive, {why}")
    for item in found.items:
        if item.outcome is not Outcome.MATCH or item.is_contested:
            for verifier, properties in item.results:
                what = ", ".join(properties)
                console.data(f"{_name(item)}: {verifier} found {what}")
    counts = ", ".join(
        f"{len(found.having(outcome))} {outcome.value}"
        for outcome in Outcome
        if found.having(outcome)
    )
    console.data(counts or "nothing to compare")


def _by_reasons(
    items: Iterable[Item],
) -> Iterable[tuple[tuple[str, ...], list[Item]]]:
    """Items of one outcome, those with the same reasons together."""
    found: dict[tuple[str, ...], list[Item]] = {}
    for item in items:
        found.setdefault(item.reasons, []).append(item)
    return found.items()


def _few(items: Sequence[Item]) -> str:
    """The names of items, or of the first of them where they are many."""
    names = ", ".join(map(_name, items[:SHOWN]))
    more = len(items) - SHOWN
    return f"{names} and {more} more" if more > 0 else names


def _list(names: Sequence[str]) -> str:
    few = ", ".join(names[:3])
    more = f" and {len(names) - 3} more differ" if len(names) > 3 else ""
    return f"{few}{more}" if more else f"{few} {'differ' if names[1:] else 'differs'}"


def _name(item: Item) -> str:
    return f"{item.recorded.subject} ({item.recorded.kind})"


def _print_json(
    wiring: Wiring,
    caches: Sequence[Cache],
    silent: Sequence[str],
    found: Challenge,
    reports: Mapping[str, Sequence[Report]],
) -> None:
    rows = [
        {
            **item.row,
            "reports": [r.row for r in reports.get(str(item.recorded.key), ())],
        }
        for item in found.items
    ]
    wiring.console.json(
        {
            "against": [cache.url for cache in caches],
            "silent": list(silent),
            "outcome": found.outcome.value,
            "items": rows,
        }
    )


def _exit_code(found: Challenge) -> ExitCode:
    from fromager.derivations import Outcome

    match found.outcome:
        case Outcome.MISMATCH:
            return ExitCode.DIFFERENT
        case Outcome.UNTRUSTED:
            return ExitCode.UNTRUSTED
        case Outcome.INCONCLUSIVE:
            return ExitCode.FAILED
    return ExitCode.DONE
