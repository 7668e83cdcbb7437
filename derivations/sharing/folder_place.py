"""A cache in a folder, of this machine or shared with others."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, TYPE_CHECKING, Final

from fromager.derivations.errors import NetworkError
from fromager.derivations.sharing.place import Version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fromager.derivations.sharing.place import Span

_CHUNK: Final = 1 << 20


class FolderPlace:
    """A `CachePlace` in a folder; see there for what holds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def url(self) -> str:
        """See `CachePlace.url`."""
        return self._folder.as_uri()

    def copy(
        self, name: str, sink: IO[bytes], limit: int, span: Span | None = None
    ) -> bool:
        """See `CachePlace.copy`."""
        with self._translated(name):
            try:
                stream = (self._folder / name).open("rb")
            except (FileNotFoundError, NotADirectoryError):
                return False
            with stream:
                if span is not None:
                    stream.seek(span.start)
                    limit = min(limit, span.length)
                left = limit if span is not None else limit + 1
                while left > 0 and (chunk := stream.read(min(left, _CHUNK))):
                    sink.write(chunk)
                    left -= len(chunk)
                if left <= 0 and span is None:
                    reason = f"it has more than {limit} bytes"
                    raise NetworkError(f"{self.url}/{name}", reason)
        return True

    def size(self, name: str) -> int | None:
        """See `CachePlace.size`."""
        with self._translated(name):
            try:
                return (self._folder / name).stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return None

    def write(self, name: str, content: bytes | Path) -> None:
        """See `CachePlace.write`."""
        with self._translated(name):
            self._replace(name, content)

    def version(self, name: str, limit: int) -> Version | None:
        """See `CachePlace.version`."""
        with self._translated(name):
            place = self._folder / name
            if (size := self.size(name)) is None:
                return None
            if size > limit:
                reason = f"it has more than {limit} bytes"
                raise NetworkError(f"{self.url}/{name}", reason)
            return Version(place.read_bytes(), None)

    def swap(self, name: str, content: bytes, seen: Version | None) -> bool:
        """See `CachePlace.swap`."""
        with self._translated(name), self._alone():
            place = self._folder / name
            now = place.read_bytes() if place.exists() else None
            if now != (seen.content if seen is not None else None):
                return False
            self._replace(name, content)
        return True

    def close(self) -> None:
        """See `CachePlace.close`."""

    def _replace(self, name: str, content: bytes | Path) -> None:
        target = self._folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(
            dir=target.parent, prefix=".new-", delete=False
        ) as stream:
            try:
                if isinstance(content, bytes):
                    stream.write(content)
                else:
                    with content.open("rb") as source:
                        shutil.copyfileobj(source, stream, _CHUNK)
                stream.flush()
                # Others read it: they may be other users.
                os.fchmod(stream.fileno(), 0o644)
                Path(stream.name).replace(target)
            except BaseException:
                Path(stream.name).unlink(missing_ok=True)
                raise

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else swaps a file of this folder meanwhile."""
        import fcntl

        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / ".lock").open("ab") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _translated(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            raise NetworkError(f"{self.url}/{name}", reason) from error
