"""What stands beside a report: what the two builds printed, and how to see it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fromager.derivations import LogDifference, Report
    from fromager.store import LocalStore, Realisation

LINES_SHOWN: Final = 12
"""Lines of the difference of two logs in text; JSON and pages have all."""


def compare_builds(
    store: LocalStore | None, first: Realisation | None, second: Realisation | None
) -> LogDifference | None:
    """In what the logs of two builds differ; None if one of them is not known."""
    from fromager.derivations import as_built, compare_logs, log_of

    if store is None or first is None or second is None:
        return None
    one, two = (as_built(store, each) for each in (first, second))
    if one.record_digest == two.record_digest:
        return None
    logs = log_of(store, one), log_of(store, two)
    if logs[0] is None or logs[1] is None:
        return None
    return compare_logs(logs[0], logs[1])


def log_lines(found: LogDifference, most: int | None = None) -> Iterator[str]:
    """The difference of two logs, line by line; `most` lines of it."""
    if found.same:
        yield "the logs of both builds say the same"
        return
    if found.reordered:
        yield "the logs of both builds say the same in another order"
        return
    yield "the logs of both builds differ:"
    lines = found.lines[:most]
    yield from lines
    left_out = found.left_out + len(found.lines) - len(lines)
    if left_out:
        yield f"… and {left_out} more lines"


def replay(recorded: Realisation, report: Report) -> str:
    """The command that builds it again and confirms the causes that were found."""
    names = ",".join(report.variations)
    return f"fromager check {recorded.key}{f' --vary {names}' if names else ''}"
