"""Output: data to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import IO, Final

JSON_VERSION: Final = 1
"""Of all `--json` output; raised when a field changes its meaning or goes."""

_SPELT_OUT: Final = {
    code: f"\\x{code:02x}"
    for code in (*range(0x20), *range(0x7F, 0xA0))
    if chr(code) not in "\n\t"
}
_RED: Final = "\x1b[31m"
_BOLD: Final = "\x1b[1m"
_RESET: Final = "\x1b[0m"


@dataclass(frozen=True)
class Console:
    """Where a command prints to."""

    out: IO[str]
    err: IO[str]
    colour: bool = False
    quiet: bool = False
    verbose: int = 0
    shown: bool = False
    """Whether what was asked for goes to a terminal."""

    def data(self, text: str) -> None:
        """A line of what was asked for; byte by byte, unless somebody looks at it."""
        self.out.write(f"{plain(text) if self.shown else text}\n")

    def json(self, value: dict[str, object]) -> None:
        """What was asked for, as one JSON value with the format's version."""
        json.dump(
            {"version": JSON_VERSION, **value}, self.out, indent=2, sort_keys=True
        )
        self.out.write("\n")

    def bytes(self, content: bytes) -> None:
        """What was asked for, byte by byte."""
        self.out.flush()
        raw = getattr(self.out, "buffer", None)
        if raw is None:
            self.out.write(content.decode("utf-8", "replace"))
            return
        raw.write(content)
        raw.flush()

    def say(self, text: str) -> None:
        """A remark."""
        self.err.write(f"{text}\n")
        self.err.flush()

    def note(self, text: str) -> None:
        """A remark that `--quiet` leaves out."""
        if not self.quiet:
            self.say(text)

    def error(self, text: str) -> None:
        """What went wrong."""
        self.say(f"{self._mark('error:', _RED)} {plain(text)}")

    def hint(self, text: str) -> None:
        """What to do about it."""
        self.say(f"{self._mark('hint:', _BOLD)} {plain(text)}")

    def warning(self, text: str) -> None:
        """What may go wrong."""
        self.say(f"{self._mark('warning:', _BOLD)} {plain(text)}")

    def _mark(self, text: str, code: str) -> str:
        return f"{code}{text}{_RESET}" if self.colour else text


def plain(text: str) -> str:
    """The text with its control characters spelt out, line feeds and tabs excepted.

    Messages name files, and what a file is called must not steer a terminal.
    """
    return text.translate(_SPELT_OUT)


def standard_console(*, no_colour: bool, quiet: bool, verbose: int) -> Console:
    """The console on this process's stdout and stderr."""
    colour = sys.stderr.isatty() and not no_colour
    shown = sys.stdout.isatty()
    return Console(sys.stdout, sys.stderr, colour, quiet, verbose, shown)
