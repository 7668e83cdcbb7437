"""What a local index hosts, what it was asked, and how it misbehaves."""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping
    from io import BufferedReader
    from ssl import SSLContext

Form = Literal["both", "json", "html"]


@dataclass(frozen=True)
class Hosted:
    """A file on the index, and what the index says of it."""

    content: bytes | Path
    requires_python: str | None = None
    yanked: str | bool = False
    upload_time: str | None = None
    """As on the page: `2026-01-02T03:04:05.000000Z`."""
    sha256: str | None = None
    """What the page promises instead of the true hash."""
    metadata: bytes | None = None
    """Core metadata, served beside the file (PEP 658)."""
    provenance: bytes | None = None
    """What was attested of the file, served beside it (PEP 740)."""

    def open(self) -> BufferedReader | BytesIO:
        """The bytes of the file."""
        if isinstance(self.content, Path):
            return self.content.open("rb")
        return BytesIO(self.content)

    @property
    def size(self) -> int:
        """The number of bytes of the file."""
        if isinstance(self.content, Path):
            return self.content.stat().st_size
        return len(self.content)


@dataclass
class Fault:
    """What goes wrong with requests whose path contains `where`."""

    where: str
    times: float = float("inf")
    """How many requests are hit before all is well again."""
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """Sent instead of the true content, with status 200 if none is given."""
    content_type: str = "text/html"
    delay: float = 0.0
    """Seconds before the answer begins."""
    truncate: int | None = None
    """Bytes that are sent before the connection is closed; the length is a lie."""
    hang_up: bool = False
    """The connection is closed without an answer."""


@dataclass(frozen=True)
class Received:
    """A request that the index got."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    status: int
    """The answer's; 0 if the connection was closed without one."""
    port: int
    """The client's: requests of one connection have the same."""


class LocalIndex:
    """The server's state; change it while it runs as you like."""

    def __init__(
        self,
        files: Mapping[str, bytes | Path | Hosted],
        *,
        form: Form = "both",
        hashes: bool = True,
        cache_control: str | None = None,
        etags: bool = True,
        ranges: bool = True,
        credentials: tuple[str, str] | None = None,
        tls: SSLContext | None = None,
    ) -> None:
        self.form, self.hashes = form, hashes
        self.cache_control, self.etags, self.ranges = cache_control, etags, ranges
        self.credentials = credentials
        """User and password without which every request is answered by 401."""
        self.tls = tls
        """What connections are secured with; None: they are not."""
        self.base = ""
        """`http://127.0.0.1:PORT`, or https."""
        self.texts: dict[str, tuple[bytes, Mapping[str, str]]] = {}
        """Other files by their paths, with headers that go along."""
        self.requests: list[Received] = []
        self.faults: list[Fault] = []
        self.lock = threading.Lock()
        self._files: dict[str, Hosted] = {}
        self._hashes: dict[str, str] = {}
        for filename, hosted in files.items():
            self.add(filename, hosted)

    @property
    def url(self) -> str:
        """The address that clients are given."""
        return f"{self.base}/simple/"

    @property
    def url_with_credentials(self) -> str:
        """The same with user and password in it."""
        user, password = self.credentials or ("", "")
        pair = f"{quote(user, safe='')}:{quote(password, safe='')}@"
        return self.url.replace("://", f"://{pair}")

    def file_url(self, filename: str) -> str:
        """Where a file lies."""
        return f"{self.base}/files/{quote(filename)}"

    def add(self, filename: str, hosted: bytes | Path | Hosted) -> None:
        """Put a file on the index, replacing what was there."""
        if not isinstance(hosted, Hosted):
            hosted = Hosted(hosted)
        with self.lock:
            self._files[filename] = hosted
            self._hashes.pop(filename, None)

    def remove(self, filename: str) -> None:
        """Take a file off the index."""
        with self.lock:
            del self._files[filename]

    def fail(self, where: str, **what: Any) -> None:
        """Let requests whose path contains `where` fail; `Fault` says how."""
        self.faults.append(Fault(where, **what))

    def count(self, part: str = "") -> int:
        """How many requests had a path that contains `part`."""
        return sum(part in request.path for request in self.requests)

    def sha256(self, filename: str) -> str:
        """The true hash of a file."""
        if filename not in self._hashes:
            with self._files[filename].open() as stream:
                self._hashes[filename] = hashlib.file_digest(
                    stream, "sha256"
                ).hexdigest()
        return self._hashes[filename]

    def hosted(self, filename: str) -> Hosted | None:
        """A file and what the index says of it."""
        return self._files.get(filename)

    def projects(self) -> list[str]:
        """The normalised names of all projects, sorted."""
        return sorted({project_of(filename) for filename in self._files})

    def files(self, project: str) -> list[tuple[str, Hosted]]:
        """A project's files, sorted by name."""
        with self.lock:
            return sorted(
                (name, hosted)
                for name, hosted in self._files.items()
                if project_of(name) == project
            )

    def strike(self, path: str) -> Fault | None:
        """The fault that hits this request, counted down."""
        with self.lock:
            for fault in self.faults:
                if fault.where in path and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None


def project_of(filename: str) -> str:
    """The normalised name (PEP 503) of the project that a file belongs to."""
    if filename.endswith(".whl"):
        name = filename.split("-")[0]
    else:
        name = filename.rpartition("-")[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def version_of(filename: str) -> str:
    """The version in a file's name, as it is written there."""
    if filename.endswith(".whl"):
        return filename.split("-")[1]
    return re.sub(r"\.(tar\.\w+|tgz|zip)$", "", filename.rpartition("-")[2])
