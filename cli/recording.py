"""Keeping what a command printed, with all that it was found from; see `replay`.

Which files a command reads is heard from the interpreter (PEP 578), so that no reader
can be forgotten. What is looked at without being opened is named by who does so.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, TextIO, cast

import click

from fromager.cli.replay import VERSION, state

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

META: Final = "fromager.recording"
HOLDS: Final = 3600
"""Seconds after which a command is run again at the latest, as what it uses is noted
once an hour; see `LocalStore.touch`."""
MAX_ANSWERS: Final = 200
MAX_OUTPUT: Final = 4 << 20
_TICK: Final = 10_000_000
"""Nanoseconds within which a file may change twice and look the same."""
_OUTSIDE: Final = {"subprocess.Popen", "os.posix_spawn", "os.exec", "socket.connect"}
_ALWAYS_THE_SAME: Final = ("/dev/null", "/dev/urandom")


class Recording:
    """What one run of a command reads and prints.

    Nothing is kept of it unless the command offers it, and unless all that it read is
    still the same at its end.
    """

    def __init__(self, began: int | None = None) -> None:
        """`began` is when the command did, in nanoseconds since the epoch; else now."""
        self._began = time.time_ns() if began is None else began
        self._states: dict[str, list[int] | None] = {}
        self._changing: set[str] = set()
        self.is_listening = True
        self._offered = False
        self._spoiled = False
        self._until = time.time() + HOLDS
        self._day = time.gmtime()[:3]

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook; such a hook stays until the process ends."""
        if not self.is_listening:
            return
        if event == "open":
            path, _, flags = arguments
            writes = isinstance(flags, int) and flags & os.O_ACCMODE != os.O_RDONLY
            if not writes:
                self._note(path)
        elif event in ("os.listdir", "os.scandir"):
            self._note("." if arguments[0] is None else arguments[0])
        elif event in _OUTSIDE:
            self._spoiled = True

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What is done inside is answered for with `rests_on`; what it prints tells of
        doing it, and is no part of the answer."""
        before, self.is_listening = self.is_listening, False
        try:
            yield
        finally:
            self.is_listening = before

    def rests_on(self, paths: Iterable[str], *, changing: bool = False) -> None:
        """The answer holds while these are the same; they need not be there.

        `changing` are those that change while commands run, and have been noted before
        they were read.
        """
        with self.paused():
            for path in paths:
                self._states.setdefault(path, state(path))
                if changing:
                    self._changing.add(path)

    def holds_until(self, moment: float) -> None:
        """Seconds since the epoch from which on the answer is looked for again."""
        self._until = min(self._until, moment)

    def spoil(self) -> None:
        """The answer rests on something that cannot be looked at again."""
        self._spoiled = True

    def offer(self) -> None:
        """The command only prints: its output is its whole effect."""
        self._offered = True

    def save(self, place: str, code: int, out: str, err: str) -> None:
        """Keep the output, if it may be given again; a failure to do so is no error."""
        self.is_listening = False
        if not self._offered or self._spoiled or code != 0 or not self._is_sound():
            return
        if len(out) + len(err) > MAX_OUTPUT or self._day != time.gmtime()[:3]:
            return
        midnight = (time.time() // 86_400 + 1) * 86_400
        answer = {
            "version": VERSION,
            "until": min(self._until, midnight),
            "states": self._states,
            "out": out,
            "err": err,
            "code": code,
        }
        with suppress(OSError, UnicodeError):
            _write(Path(place), json.dumps(answer).encode())

    def _note(self, given: object) -> None:
        if not isinstance(given, str | bytes | os.PathLike):
            return
        path = os.path.abspath(os.fsdecode(given))
        if path in self._states or f"{os.sep}.fromager{os.sep}" in path:
            return
        with suppress(OSError):
            mode = os.stat(path).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                self._spoiled = self._spoiled or path not in _ALWAYS_THE_SAME
                return
        if not path.startswith("/proc/"):
            self._states[path] = state(path)

    def _is_sound(self) -> bool:
        """Whether all was the same from the beginning to the end."""
        for path, before in self._states.items():
            if state(path) != before:
                return False
            late = before is not None and max(before[2:]) > self._began - _TICK
            if late and path not in self._changing:
                return False
        return True


class Copy:
    """A stream of text that keeps what is written to it, but not in pauses."""

    def __init__(self, stream: IO[str], recording: Recording) -> None:
        self._stream, self._recording = stream, recording
        self.parts: list[str] = []

    def write(self, text: str) -> int:
        """Write on, and keep."""
        # Some try whether bytes can be written here; that is refused first.
        written = self._stream.write(text)
        if self._recording.is_listening:
            self.parts.append(text)
        return written

    def writelines(self, lines: Iterable[str]) -> None:
        """Write all of them."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def text(self) -> str:
        """All that was written."""
        return "".join(self.parts)


def current_recording() -> Recording:
    """The recording of the command that runs; where none is made, one for nothing."""
    context = click.get_current_context(silent=True)
    found = None if context is None else context.meta.get(META)
    return found if isinstance(found, Recording) else Recording()


def recorded() -> tuple[Recording, Copy, Copy]:
    """Begin to listen to this process, which is to end with this command."""
    recording = Recording()
    sys.addaudithook(recording.hear)
    out, err = Copy(sys.stdout, recording), Copy(sys.stderr, recording)
    sys.stdout, sys.stderr = cast("TextIO", out), cast("TextIO", err)
    return recording, out, err


def _write(place: Path, content: bytes) -> None:
    from tempfile import NamedTemporaryFile

    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=place.parent, delete=False) as file:
        file.write(content)
    Path(file.name).replace(place)
    kept = sorted(place.parent.iterdir(), key=_age, reverse=True)
    for old in kept[MAX_ANSWERS:]:
        old.unlink(missing_ok=True)


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
