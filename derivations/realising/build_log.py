"""What a build prints: kept in the store, told as it comes, its end remembered."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from fromager.derivations.realising.events import LogOutput

if TYPE_CHECKING:
    from pathlib import Path

    from fromager.derivations.derivation import ResolvedDerivation
    from fromager.derivations.realising.events import Reporter
    from fromager.store import LocalStore

TAIL_BYTES: Final = 64 << 10
TAIL_LINES: Final = 20


class BuildLog:
    """A build's output: kept in a file, told as it comes, its end remembered."""

    def __init__(self, path: Path, subject: str, report: Reporter) -> None:
        self._file = path.open("wb")
        self._hash = sha256()
        self._path, self._subject, self._report = path, subject, report
        self._tail = b""

    def __call__(self, content: bytes) -> None:
        """Take what the build wrote."""
        self._file.write(content)
        self._hash.update(content)
        self._tail = (self._tail + content)[-TAIL_BYTES:]
        self._report(LogOutput(self._subject, content))

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What is recorded of what was written until now: its hash."""
        return (("log_sha256", self._hash.hexdigest()),)

    @property
    def tail(self) -> str:
        """The last 64 KiB."""
        return self._tail.decode("utf-8", "replace")

    def save(self, store: LocalStore, key: ResolvedDerivation) -> None:
        """Keep it in the store, compressed; once, when nothing more is written."""
        if self._file.closed:
            return
        self.close()
        store.save_log(key.key, self._path)

    def close(self) -> None:
        """Nothing more is written."""
        self._file.close()


def last_lines(text: str) -> tuple[str, ...]:
    """The end of a log, as errors carry it."""
    return tuple(text.rstrip().splitlines()[-TAIL_LINES:])
