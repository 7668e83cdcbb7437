"""What changed between two collections, printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fromager.cli.wiring import Wiring
    from fromager.derivations import CollectionChange, Reason, Report


def changed_collections(
    first: Path, second: Path
) -> tuple[CollectionChange, ...] | None:
    """What changed, where both are collections; None if one is not, or nothing did."""
    from fromager.derivations import collection_changes, read_graph

    before, after = read_graph(first), read_graph(second)
    if before is None or after is None:
        return None
    return collection_changes(before, after) or None


def compare_rebuilt(wiring: Wiring, first: Path, second: Path) -> list[Report]:
    """What differs in wheels of one name that both have, with other bytes."""
    from fromager.derivations import compare, open_contents, read_graph, rebuilt_wheels

    before, after = read_graph(first), read_graph(second)
    assert before is not None and after is not None
    reports = []
    for filename in rebuilt_wheels(before, after):
        with (
            open_contents(first / "wheels" / filename) as one,
            open_contents(second / "wheels" / filename) as two,
        ):
            reports.append(compare(one, two, wiring.clues))
    return reports


def show_changes(
    wiring: Wiring,
    changes: Sequence[CollectionChange],
    reports: Sequence[Report],
    inputs: tuple[bool | None, Sequence[Reason]],
    *,
    as_json: bool,
) -> None:
    """Print the changes, and for each wheel that was built otherwise what differs."""
    from fromager.derivations import summary

    console = wiring.console
    same, reasons = inputs
    if as_json:
        console.json(
            {
                "same_derivation": same,
                "inputs": [reason.row for reason in reasons],
                "changes": [change.row for change in changes],
                "wheels": [report.row for report in reports],
            }
        )
        return
    for change in changes:
        console.data(str(change))
    for reason in reasons:
        # That the wheels are others was said; here is why.
        if len(reason.way) > 1:
            console.data(f"  {reason}")
    for report in reports:
        console.data("")
        for line in summary(report):
            console.data(line)
