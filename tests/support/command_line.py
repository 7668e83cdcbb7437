"""The `fromager` command as people use it: in this process, or as one of its own.

    outcome = place.run("realise", "demo==1.0")
    outcome.code, outcome.out, outcome.err
    outcome.processes, outcome.connections    # what it started, and where it went

`place.start(...)` begins a real process, in a session of its own.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fromager.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_STARTS: Final = {"subprocess.Popen", "os.posix_spawn", "os.exec", "os.fork"}
KEPT: Final = ("PATH", "PYTHONPATH")
FROMAGER: Final = (sys.executable, "-m", "support.lock_order")
"""The command, which fails if locks are not taken in their order."""
TESTS: Final = Path(__file__).parents[1]


@dataclass
class Watch:
    """Hears of every process that this one starts, and of every connection."""

    on: bool = False
    processes: list[list[str]] = field(default_factory=list)
    connections: int = 0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook; such a hook cannot be taken away, so it is turned off."""
        if self.on and event in _STARTS:
            words = arguments[1] if len(arguments) > 1 else []
            self.processes.append([os.fsdecode(word) for word in words])
        if self.on and event == "socket.connect":
            self.connections += 1


WATCH: Final = Watch()
sys.addaudithook(WATCH)


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str
    processes: tuple[list[str], ...] = ()
    connections: int = 0

    @property
    def builds(self) -> int:
        """How many times a backend was started."""
        return sum(any("runner.py" in w for w in p) for p in self.processes)

    @property
    def json(self) -> Any:
        """What it printed, read."""
        return json.loads(self.out)

    @property
    def paths(self) -> list[Path]:
        """The paths that it printed."""
        return [Path(line) for line in self.out.splitlines()]

    @property
    def error(self) -> str:
        """The only error, all its lines, and the hints."""
        assert len(self.errors) == 1, self.err
        return self.err[self.err.index("error: ") :]

    @property
    def errors(self) -> list[str]:
        """What it called errors."""
        marker = "error: "
        lines = self.err.splitlines()
        return [line.removeprefix(marker) for line in lines if line.startswith(marker)]

    @property
    def built(self) -> list[str]:
        """`name==version` of all that it built, sorted."""
        lines = [line.split() for line in self.err.splitlines()]
        return sorted(line[1] for line in lines if line[:1] == ["built"])

    def wheel(self, name: str) -> Any:
        """The row of one wheel in the JSON output."""
        return next(row for row in self.json["wheels"] if row["name"] == name)


@dataclass
class Place:
    """A folder to work in, an environment, and what is needed to be alone there."""

    folder: Path
    store: Path
    index: str
    """Its address; if empty, the machine's own configuration decides."""
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        """The whole environment of commands."""
        return {
            **{name: os.environ[name] for name in KEPT if name in os.environ},
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
            "NO_COLOR": "1",
            "FROMAGER_STORE": str(self.store),
            **({"FROMAGER_INDEX_URL": self.index} if self.index else {}),
            **self.variables,
        }

    def run(self, *words: str) -> Outcome:
        """Run a command in this process."""
        out, err = io.StringIO(), io.StringIO()
        with (
            _surroundings(self.environ, self.folder),
            watched() as seen,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = main(list(words))
        return Outcome(
            int(code),
            out.getvalue(),
            err.getvalue(),
            tuple(seen.processes),
            seen.connections,
        )

    def realise(self, *words: str) -> Outcome:
        """`fromager realise --json`, which must succeed."""
        outcome = self.run("realise", "--json", *words)
        assert outcome.code == 0, outcome.err
        return outcome

    def start(
        self, *words: str, wrapper: tuple[str, ...] = ()
    ) -> subprocess.Popen[str]:
        """Begin a command as a process that leads a session of its own."""
        return subprocess.Popen(
            [*wrapper, *FROMAGER, *words],
            env={**self.environ, "PYTHONPATH": _with_tests(self.environ)},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def finish(self, process: subprocess.Popen[str], timeout: float = 60) -> Outcome:
        """Wait for a process to end."""
        out, err = process.communicate(timeout=timeout)
        return Outcome(process.returncode, out, err)

    def call(self, *words: str, wrapper: tuple[str, ...] = ()) -> Outcome:
        """Run a command as a process."""
        return self.finish(self.start(*words, wrapper=wrapper))


def _with_tests(environ: Mapping[str, str]) -> str:
    return os.pathsep.join(filter(None, (str(TESTS), environ.get("PYTHONPATH"))))


@contextlib.contextmanager
def watched() -> Iterator[Watch]:
    """What this process starts, and where it connects to, inside the block."""
    WATCH.processes, WATCH.connections, WATCH.on = [], 0, True
    try:
        yield WATCH
    finally:
        WATCH.on = False


@contextlib.contextmanager
def _surroundings(environ: Mapping[str, str], folder: Path) -> Iterator[None]:
    before, cwd = dict(os.environ), Path.cwd()
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(before)
