"""Files from an index: whole, checked, resumed where a try before had ended."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from fromager.derivations.errors import HashMismatch, NetworkError, SourceError
from fromager.derivations.index.address import without_credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from fromager.derivations.index.retries import Retries
    from fromager.derivations.index.transport import Answer, Transport

MAX_FILE_SIZE: Final = 4 << 30
"""Bytes."""
_CHUNK: Final = 1 << 20


@dataclass(frozen=True)
class DownloadLimits:
    """When a download is given up."""

    size: int = MAX_FILE_SIZE
    """Bytes."""
    seconds: float = 3600.0
    """In total, tries and pauses included."""
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True)
class Downloader:
    """Fetches files; used by many threads at once."""

    transport: Callable[[str], Transport]
    """What makes requests for a URL."""
    retries: Retries
    limits: DownloadLimits = field(default_factory=DownloadLimits)

    def download(
        self,
        url: str,
        target: Path,
        *,
        sha256: str | None = None,
        size: int | None = None,
        progress: Callable[[int], None] | None = None,
        login: str | None = None,
    ) -> str:
        """Fetch a file to `target`, and give its SHA-256 in hex.

        `target` is absent or complete. If this fails, what was fetched stays beside
        it as `NAME.part`, and is gone on with next time if `sha256` is given, as only
        that tells whether the parts fit. `progress` is told how many bytes are there
        so far; what it raises ends the download. `login` is what the header
        `Authorization` says to the server of that address alone.

        Raises:
            HashMismatch: the bytes are not those of `sha256`.
            SourceError: more or fewer than `size` bytes, too many, or no space left.
            NetworkError: the server did not give the file, or not in time.
        """
        url = without_credentials(url)
        wanted = _Wanted(url, target.name, sha256 and sha256.lower(), size, login)
        transport = self.transport(url)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with _part_of(target) as (part, stream):
                job = _Job(wanted, self.limits, stream, progress)
                actual = self.retries.run(url, lambda: job.attempt(transport))
                stream.flush()
                if wanted.sha256 not in {None, actual}:
                    part.unlink()
                    raise HashMismatch(target.name, str(wanted.sha256), actual)
                part.replace(target)
        except OSError as error:
            raise SourceError(
                f"{target} cannot be written: {error.strerror or error}",
                hint="Make space or give access, and run the same command again",
            ) from error
        return actual


@dataclass(frozen=True, slots=True)
class _Wanted:
    url: str
    name: str
    sha256: str | None
    size: int | None
    login: str | None = field(default=None, repr=False)


class _Job:
    """One download: what is there of it, and how to get the rest."""

    def __init__(
        self,
        wanted: _Wanted,
        limits: DownloadLimits,
        stream: BinaryIO,
        progress: Callable[[int], None] | None,
    ) -> None:
        self._wanted, self._limits = wanted, limits
        self._stream, self._progress = stream, progress
        self._deadline = limits.clock() + limits.seconds
        self._etag: str | None = None
        self._have = 0
        self._hash = hashlib.sha256()
        self._pieced = False
        """Whether the bytes come from more than one answer."""
        if wanted.sha256 is None:
            stream.truncate(0)
        else:
            self._take_stock()

    def attempt(self, transport: Transport) -> str:
        """Fetch what is missing; the hash of all."""
        wanted = self._wanted
        if self._have == 0 or self._have != wanted.size:
            self._check_time()
            again = True
            while again:
                headers = {"Accept-Encoding": "identity", **self._range()}
                if wanted.login is not None:
                    headers["Authorization"] = wanted.login
                with transport.open(wanted.url, headers, decode=False) as answer:
                    again = self._answered(answer)
        actual = self._hash.hexdigest()
        if self._pieced and wanted.sha256 not in {None, actual}:
            # The server has another file now than when the first part came.
            self._start_over()
            return self.attempt(transport)
        if wanted.sha256 is None and wanted.size not in {None, self._have}:
            reason = f"expected {wanted.size} bytes, got {self._have}"
            raise SourceError(f"{wanted.name}: {reason}")
        return actual

    def _range(self) -> dict[str, str]:
        if not self._have:
            return {}
        validator = {} if self._etag is None else {"If-Range": self._etag}
        return {"Range": f"bytes={self._have}-", **validator}

    def _answered(self, answer: Answer) -> bool:
        """Take what an answer brings; True if it must be asked for from the start."""
        start = f"bytes {self._have}-"
        if answer.status == 200:
            self._start_over()
        elif answer.status == 206 and self._have:
            if not (answer.headers.get("Content-Range") or "").startswith(start):
                self._start_over()
                return True
            self._pieced = True
        elif answer.status == 416 and self._have:
            self._start_over()
            return True
        else:
            raise NetworkError(
                answer.url,
                f"the server answered {answer.status}",
                hint="Correct the address where it was given, or the index that names it",
            )
        etag = answer.headers.get("ETag") or ""
        self._etag = etag if etag.startswith('"') else None
        for chunk in answer.body:
            self._take(chunk)
        return False

    def _take(self, chunk: bytes) -> None:
        self._stream.write(chunk)
        self._hash.update(chunk)
        self._have += len(chunk)
        limit = self._wanted.size or self._limits.size
        if self._have > min(limit, self._limits.size):
            self._start_over()
            raise SourceError(
                f"{self._wanted.name}: larger than {limit} bytes",
                hint="The file was replaced by another one, or the limit is too low",
            )
        self._check_time()
        if self._progress is not None:
            self._progress(self._have)

    def _check_time(self) -> None:
        if self._limits.clock() > self._deadline:
            reason = f"not finished within {self._limits.seconds:g} s"
            raise NetworkError(self._wanted.url, reason, hint="Try again later")

    def _take_stock(self) -> None:
        while chunk := self._stream.read(_CHUNK):
            self._hash.update(chunk)
            self._have += len(chunk)
        self._pieced = self._have > 0
        if self._wanted.size is not None and self._have > self._wanted.size:
            self._start_over()

    def _start_over(self) -> None:
        self._stream.seek(0)
        self._stream.truncate()
        self._have, self._hash, self._pieced = 0, hashlib.sha256(), False


@contextmanager
def _part_of(target: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """The part of a file, held against others who fetch the same file."""
    shared = part = target.with_name(f"{target.name}.part")
    while True:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "r+b") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # Somebody fetches it: two of us cost less than waiting on a stranger.
                part = target.with_name(f"{target.name}.{os.urandom(6).hex()}.part")
                continue
            if not _is(stream, part):
                continue
            try:
                yield part, stream
            finally:
                if part != shared:
                    part.unlink(missing_ok=True)
            return


def _is(stream: BinaryIO, path: Path) -> bool:
    """Whether the path still names the open file."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    except FileNotFoundError:
        return False
