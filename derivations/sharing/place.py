"""Places that hold the files of a cache, as a role: folders, servers, buckets."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import IO, TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Span:
    """Some of a file's bytes."""

    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Version:
    """What a file holds, and what tells whether it has changed since."""

    content: bytes
    tag: str | None
    """None where the place cannot tell."""


class CachePlace(Protocol):
    """Files by name, in a folder, on a server or in a bucket; used by many threads.

    Each raises NetworkError where the place cannot be used, or takes too long.
    """

    @property
    def url(self) -> str:
        """Its address, without credentials and without a slash at the end."""
        ...

    def copy(
        self, name: str, sink: IO[bytes], limit: int, span: Span | None = None
    ) -> bool:
        """Write a file, or a span of it, to an empty `sink`; False if it is not there.

        Raises:
            NetworkError: it has more than `limit` bytes, too.
        """
        ...

    def size(self, name: str) -> int | None:
        """The bytes that a file has; None if it is not there."""
        ...

    def write(self, name: str, content: bytes | Path) -> None:
        """Put a file there that never changes: whoever reads it sees it whole."""
        ...

    def version(self, name: str, limit: int) -> Version | None:
        """A file that may change, as it is now."""
        ...

    def swap(self, name: str, content: bytes, seen: Version | None) -> bool:
        """Replace a file that is as it was `seen` (None: not there); else False.

        Where the place cannot tell, it is replaced all the same.
        """
        ...

    def close(self) -> None:
        """Give connections up."""
        ...


def read(
    place: CachePlace, name: str, limit: int, span: Span | None = None
) -> bytes | None:
    """The bytes of a file, or of a span of it; None if it is not there."""
    sink = BytesIO()
    return sink.getvalue() if place.copy(name, sink, limit, span) else None
