"""What a build prints: kept in the store, told as it comes, its end remembered."""

from __future__ import annotations

from hashlib import file_digest, sha256
from typing import TYPE_CHECKING, Final

from fromager.derivations.realising.events import LogOutput

if TYPE_CHECKING:
    from pathlib import Path

    from fromager.derivations.derivation import ResolvedDerivation
    from fromager.derivations.realising.events import Reporter
    from fromager.store import LocalStore, Realisation

FACT: Final = "log_sha256"
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
        return ((FACT, self._hash.hexdigest()),)

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


def keep_log_of_round(store: LocalStore, claim: Realisation, log: Path) -> None:
    """Keep the log of a build that is evidence only, beside that of the build in use."""
    store.save_log(claim.record_digest, log)


def log_of(store: LocalStore, claim: Realisation) -> bytes | None:
    """What the very build printed that a claim is about; None if that is not known.

    Of several builds of one key, only the last one's log may be there.
    """
    sha256_told = claim.fact(FACT)
    for name in (claim.record_digest, claim.key):
        content = store.read_log(name) if sha256_told is not None else None
        if content is not None and sha256(content).hexdigest() == sha256_told:
            return content
    return None


def fact_of_log(log: Path) -> tuple[str, str]:
    """What is recorded of a log: its hash."""
    with log.open("rb") as stream:
        return FACT, file_digest(stream, "sha256").hexdigest()


def last_lines(text: str) -> tuple[str, ...]:
    """The end of a log, as errors carry it."""
    return tuple(text.rstrip().splitlines()[-TAIL_LINES:])
