"""An index that is a folder: `PROJECT/index.html` and files (PEP 503, static)."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from fromager.derivations.errors import NetworkError
from fromager.derivations.index.transport import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

CHUNK: Final = 1 << 20


class LocalTransport:
    """Answers as a web server would that serves this machine's files."""

    @contextmanager
    def open(
        self, url: str, headers: Mapping[str, str], *, decode: bool
    ) -> Iterator[Answer]:
        """See `Transport.open`."""
        path = _path(url)
        etag = _etag(path)
        if etag is None:
            yield Answer(404, {}, url, iter(()))
            return
        facts = {"ETag": etag, "Content-Type": "text/html"}
        if headers.get("If-None-Match") == etag:
            yield Answer(304, facts, url, iter(()))
            return
        try:
            with path.open("rb") as stream:
                yield Answer(200, facts, url, _chunks(stream))
        except OSError as error:
            reason = error.strerror or str(error)
            raise NetworkError(url, reason) from error

    def close(self) -> None:
        """Nothing is kept open."""


def is_unchanged(url: str, etag: str | None) -> bool:
    """Whether a local page is still the one that was answered with this tag."""
    return etag == _etag(_path(url))


def _path(url: str) -> Path:
    path = Path(unquote(urlsplit(url).path))
    return path / "index.html" if url.endswith("/") else path


def _etag(path: Path) -> str | None:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise NetworkError(path.as_uri(), error.strerror or str(error)) from error
    return f'"{found.st_mtime_ns}-{found.st_size}-{found.st_ino}"'


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK):
        yield chunk
