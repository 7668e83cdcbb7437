"""Pages of indexes on disk: one file per index and project.

The first line is a small header, so that whether a page is fresh is known without
reading it. The cache is an aid only: what is damaged counts as absent, and what
cannot be written is not kept.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from fromager.store import Digest, StoreError, blob_digest

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from fromager.derivations.index.page import ProjectPage

HEADER_VERSION: Final = 2
MAX_HEADER: Final = 8192
_PLAIN: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,150}")


@dataclass(frozen=True, slots=True)
class CacheHeader:
    """What is known of a page, but for the page itself."""

    digest: Digest | None
    """Of what the page says; None if the index has no such project."""
    fresh_until: float
    """Seconds since the epoch."""
    etag: str | None
    modified: str | None
    """The server's `Last-Modified`, as it was sent."""
    url: str
    """Where the page came from, without credentials."""
    stamp: str = ""
    """Names the page with all of its addresses, which may change while it says the
    same."""


@dataclass(frozen=True, slots=True)
class CachedPage:
    """A project's page, and how long it holds."""

    page: ProjectPage
    digest: Digest
    """Names what the page says: equal digests, equal answers."""
    fresh_until: float
    """Seconds since the epoch."""
    url: str
    """Where it came from, without credentials."""
    hides: bool = False
    """Whether places come after that one, which were not asked."""


class PageCache:
    """The pages below a folder; many processes may use it at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def header(self, index: str, project: str) -> CacheHeader | None:
        """What is known of a project's page, if it is here."""
        try:
            with self._path(index, project).open("rb") as stream:
                return _read_header(stream)
        except OSError:
            return None

    def load(self, index: str, project: str) -> tuple[CacheHeader, bytes] | None:
        """Header and content of a project's page, if it is here."""
        try:
            with self._path(index, project).open("rb") as stream:
                header = _read_header(stream)
                return None if header is None else (header, stream.read())
        except OSError:
            return None

    def save(
        self, index: str, project: str, header: CacheHeader, content: bytes
    ) -> None:
        """Keep a page, replacing the one before."""
        path = self._path(index, project)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        row = {**asdict(header), "version": HEADER_VERSION}
        row["digest"] = None if header.digest is None else str(header.digest)
        line = json.dumps(row).encode("ascii")
        if len(line) >= MAX_HEADER:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(line + b"\n" + content)
            temporary.replace(path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()

    def _path(self, index: str, project: str) -> Path:
        name = project
        if not _PLAIN.fullmatch(project):
            name = f"_{sha256(project.encode()).hexdigest()}"
        return self._folder / blob_digest(index.encode()).hex[:16] / name


def _read_header(stream: BinaryIO) -> CacheHeader | None:
    line = stream.readline(MAX_HEADER)
    try:
        row = json.loads(line)
        if not line.endswith(b"\n") or row.pop("version") != HEADER_VERSION:
            return None
        text = row.pop("digest")
        digest = None if text is None else Digest.parse(text)
        return CacheHeader(digest, **row)
    except (ValueError, TypeError, KeyError, AttributeError, StoreError):
        return None
