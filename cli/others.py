"""Outputs of others beside those in use: fetched, and compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fromager.cli.wiring import Wiring
    from fromager.derivations import Cache, Claim, Report
    from fromager.store import LocalStore, Realisation, StorePath


def explain(
    wiring: Wiring,
    store: LocalStore,
    caches: Sequence[Cache],
    differing: Iterable[tuple[Realisation, Sequence[Claim]]],
) -> dict[str, list[Report]]:
    """By key of a step, what differs between its output and each that others claim.

    What cannot be fetched is told, and left out.
    """
    from fromager.derivations import compare, host_kernels, open_contents

    reports: dict[str, list[Report]] = {}
    for step, claims in differing:
        said = [claim.statement.realisation for claim in claims if claim.statement]
        clues = wiring.clues.with_kernels(host_kernels([step, *said]))
        for output in sorted({each.output for each in said}):
            if not _have(wiring, store, caches, step, output):
                continue
            with (
                open_contents(store.place(step.output)) as one,
                open_contents(store.place(output)) as two,
            ):
                report = compare(one, two, clues)
            reports.setdefault(str(step.key), []).append(report)
    return reports


def _have(
    wiring: Wiring,
    store: LocalStore,
    caches: Sequence[Cache],
    step: Realisation,
    output: StorePath,
) -> bool:
    """Have an object in the store, from wherever it is offered.

    It is registered for no key: until it is collected, it can be looked at.
    """
    from fromager.derivations import DerivationError, Fetcher

    for cache in caches:
        if store.info(output) is not None:
            break
        try:
            for push in cache.covering([step.key]):
                fetcher = Fetcher(store, cache, push)
                if fetcher.offers(output):
                    fetcher.take(fetcher.closure([output]))
                    break
        except DerivationError as error:
            wiring.console.warning(str(error))
    if store.info(output) is None:
        wiring.console.warning(f"{output} is not to be had: it is not compared")
        return False
    return store.info(step.output) is not None
