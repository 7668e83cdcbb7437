"""What a terminal shows while things are built, and that nothing of it stays."""

from __future__ import annotations

import io

from fromager.cli.console import Console
from fromager.cli.progress import LineReporter, LiveReporter, end_progress, reporter
from fromager.derivations import LogOutput, Noted, StepFinished, StepStarted


class Terminal(io.StringIO):
    """A terminal of one line that remembers what was written to it."""

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        """What a person sees in the end."""
        return [line.rpartition("\x1b[K")[2] for line in self.getvalue().split("\n")]


def test_the_live_line_is_gone_when_all_has_ended() -> None:
    terminal = Terminal()
    report = reporter(Console(io.StringIO(), terminal), live=True)

    report(StepStarted("wheel", "one==1.0"))
    report(StepStarted("wheel", "two==1.0"))
    report(StepFinished("wheel", "one==1.0", 1.25, "path"))
    shown = terminal.lines()
    end_progress(report)

    assert shown == ["built one==1.0 in 1.2 s", "… wheel two==1.0"]
    assert terminal.lines() == ["built one==1.0 in 1.2 s", ""]


def test_only_a_terminal_gets_a_live_line() -> None:
    assert isinstance(
        reporter(Console(io.StringIO(), Terminal()), live=True), LiveReporter
    )
    for console in (
        Console(io.StringIO(), io.StringIO()),
        Console(io.StringIO(), Terminal(), quiet=True),
    ):
        assert not isinstance(reporter(console, live=True), LiveReporter)
    assert not isinstance(
        reporter(Console(io.StringIO(), Terminal()), live=False), LiveReporter
    )


def test_logs_are_shown_line_by_line_if_that_is_wanted() -> None:
    err = io.StringIO()
    report = LineReporter(Console(io.StringIO(), err, verbose=1))

    report(LogOutput("one==1.0", b"first\nsecond\n"))
    report(Noted("one==1.0", "a remark"))

    assert err.getvalue() == "one==1.0> first\none==1.0> second\none==1.0: a remark\n"


def test_a_line_that_comes_in_pieces_is_shown_as_one() -> None:
    err = io.StringIO()
    report = LineReporter(Console(io.StringIO(), err, verbose=1))

    for piece in (b"a", b" ", b"line\nand \xc3", b"\xa9\n", b"the rest"):
        report(LogOutput("one==1.0", piece))
        report(LogOutput("two==1.0", b"x"))
    report(StepFinished("wheel", "one==1.0", 1.0, "path"))
    end_progress(report)

    assert err.getvalue().splitlines() == [
        *("one==1.0> a line", "one==1.0> and é", "one==1.0> the rest"),
        *("built one==1.0 in 1.0 s", "two==1.0> xxxxx"),
    ]


def test_quiet_leaves_remarks_out() -> None:
    err = io.StringIO()
    report = reporter(Console(io.StringIO(), err, quiet=True), live=True)

    report(Noted("one==1.0", "a remark"))
    report(StepFinished("wheel", "one==1.0", 1.0, "path"))

    assert err.getvalue() == ""
