"""Reporters: what happens, drawn on a terminal or told in lines."""

from __future__ import annotations

import shutil
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from fromager.derivations import (
    LogOutput,
    Noted,
    StepFailed,
    StepFinished,
    StepStarted,
    StepSubstituted,
    Waiting,
)

if TYPE_CHECKING:
    from fromager.cli.console import Console
    from fromager.derivations import Event, Reporter

TOLD: Final = {
    "annotation": "annotated",
    "fetch": "fetched",
    "prebuilt": "took",
    "source": "prepared",
    "wheel": "built",
}
"""Steps that get a line each; the others are told with `--verbose`."""


def reporter(console: Console, *, live: bool) -> Reporter:
    """The reporter for a console: live if it is a terminal and that is wanted."""
    if console.quiet:
        return lambda event: _quiet(console, event)
    if live and console.err.isatty():
        return LiveReporter(console)
    return LineReporter(console)


def end_progress(report: Reporter) -> None:
    """Nothing is being done any more: take away the line that says what is, and end
    those that were begun."""
    if isinstance(report, LineReporter):
        report.end()


def _quiet(console: Console, event: Event) -> None:
    if isinstance(event, Waiting):
        console.say(f"{event.subject}: waiting for {event.holder}")


@dataclass
class LineReporter:
    """One line per event that matters."""

    console: Console
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _begun: dict[str, bytes] = field(default_factory=dict)
    """By subject, what was written of a line that has no end yet."""

    def __call__(self, event: Event) -> None:
        """Print the event's line, if it has one."""
        with self._lock:
            self.tell(event)

    def end(self) -> None:
        """Print what was begun."""
        with self._lock:
            for subject in tuple(self._begun):
                self._log(subject, b"\n")

    def tell(self, event: Event) -> None:
        """Print the event's line; the lock is held."""
        if event.subject in self._begun and not isinstance(event, LogOutput):
            self._log(event.subject, b"\n")
        match event:
            case StepFinished(kind, subject, seconds):
                if self.console.verbose or kind == "wheel":
                    word = TOLD.get(kind, kind)
                    self.console.say(f"{word} {subject} in {seconds:.1f} s")
            case StepSubstituted(kind, subject, origin):
                if self.console.verbose or kind == "wheel":
                    self.console.say(f"took {subject} ({kind}) from {origin}")
            case StepFailed(kind, subject, _):
                self.console.say(f"failed {subject} ({kind})")
            case Waiting(_, subject, holder):
                self.console.say(f"{subject}: waiting for {holder}")
            case Noted(subject, text):
                self.console.say(f"{subject}: {text}")
            case LogOutput(subject, content):
                if self.console.verbose:
                    self._log(subject, content)

    def _log(self, subject: str, content: bytes) -> None:
        """Print whole lines: what is written comes in any pieces."""
        whole, end, rest = (self._begun.pop(subject, b"") + content).rpartition(b"\n")
        if rest:
            self._begun[subject] = rest
        if end:
            for line in f"{whole.decode('utf-8', 'replace')}\n".splitlines():
                self.console.say(f"{subject}> {line}")


@dataclass
class LiveReporter(LineReporter):
    """Lines as above, and below them one that shows what is being done now."""

    _running: dict[tuple[str, str], None] = field(default_factory=dict)
    _drawn: bool = False

    def tell(self, event: Event) -> None:
        """Print the event's line above the one that is redrawn."""
        match event:
            case StepStarted(kind, subject):
                self._running[kind, subject] = None
            case StepFinished(kind, subject) | StepFailed(kind, subject):
                self._running.pop((kind, subject), None)
        self._clear()
        super().tell(event)
        self._draw()

    def end(self) -> None:
        """Take the line away; what was stopped is not told as finished."""
        with self._lock:
            self._running.clear()
            self._clear()
        super().end()
        self.console.err.flush()

    def _clear(self) -> None:
        if self._drawn:
            self.console.err.write("\r\x1b[K")
            self._drawn = False

    def _draw(self) -> None:
        doing = [f"{kind} {subject}" for kind, subject in self._running]
        if doing:
            width = shutil.get_terminal_size().columns - 1
            self.console.err.write(f"… {', '.join(doing)}"[:width])
            self._drawn = True
        self.console.err.flush()
