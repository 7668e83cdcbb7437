"""A web server that holds files: GET with ranges, HEAD, PUT with conditions; and one
that speaks as much of S3 as a cache needs.

    with file_server(folder) as server:
        server.url, server.requests
        server.fail("packs/", status=404)
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Fault:
    """What goes wrong with requests whose path contains `where`."""

    where: str
    times: float = float("inf")
    status: int | None = None
    body: bytes | None = None
    """Sent instead of what is there."""
    truncate: int | None = None
    """Bytes that are sent before the connection is closed; the length is a lie."""
    drip: bool = False
    """A byte comes now and then, for ever."""
    method: str | None = None
    after: int = 0
    """How many requests that it would hit pass before."""


@dataclass
class FileServer:
    """The state of a server; change it while it runs as you like."""

    folder: Path
    tags: bool = True
    """Whether it tells versions, and heeds conditions."""
    writable: bool = True
    ranges: bool = True
    base: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """The address of the cache on it."""
        return f"{self.base}/cache"

    def fail(self, where: str, **what: Any) -> None:
        """Let requests whose path contains `where` fail."""
        self.faults.append(Fault(where, **what))

    def strike(self, method: str, path: str) -> Fault | None:
        """The fault that hits a request, counted down."""
        with self.lock:
            self.requests.append((method, path))
            for fault in self.faults:
                hit = fault.where in path and fault.method in (None, method)
                if hit and fault.after > 0:
                    fault.after -= 1
                elif hit and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None

    def count(self, part: str = "", method: str | None = None) -> int:
        """How many requests had a path that contains `part`."""
        return sum(part in p and method in (None, m) for m, p in self.requests)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, state: FileServer, handler: type[_Handler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.state = state

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    timeout = 30

    @property
    def state(self) -> FileServer:
        return cast("_Server", self.server).state

    def log_message(self, format: str, *args: object) -> None:
        """Tests look at `FileServer.requests` instead."""

    def handle_expect_100(self) -> bool:
        """Clients that ask whether they may go on wait until they hear it."""
        heard = super().handle_expect_100()
        self.wfile.flush()
        return heard

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        fault = self._struck()
        if fault is not None and fault.status is not None:
            self._answer(fault.status, fault.body or b"")
            return
        if fault is not None and fault.drip:
            self._drip()
            return
        place = self._place()
        if not place.is_file():
            self._absent()
            return
        content = place.read_bytes()
        headers = {"Last-Modified": formatdate(0, usegmt=True)}
        if self.state.tags:
            headers["ETag"] = _tag(content)
        if fault is not None and fault.body is not None:
            content = fault.body
        status = 200
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked and self.state.ranges:
            start = int(asked[1])
            end = int(asked[2]) + 1 if asked[2] else len(content)
            if start >= len(content):
                self._answer(416, b"")
                return
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
            content, status = content[start:end], 206
        self._answer(status, content, headers, fault.truncate if fault else None)

    def do_PUT(self) -> None:
        fault = self._struck()
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if fault is not None and fault.status is not None:
            self._answer(fault.status, b"")
            return
        if not self.state.writable:
            self._answer(405, b"")
            return
        place = self._place()
        with self.state.lock:
            seen = place.read_bytes() if place.is_file() else None
            if self.state.tags and not self._may_replace(seen):
                self._refuse()
                return
            place.parent.mkdir(parents=True, exist_ok=True)
            # Who reads meanwhile gets the old file or the new one.
            draft = place.with_name(f".{place.name}")
            draft.write_bytes(body)
            draft.replace(place)
        self._answer(204 if seen is not None else 201, b"", {"ETag": _tag(body)})

    def _struck(self) -> Fault | None:
        return self.state.strike(self.command, unquote(urlsplit(self.path).path))

    def _place(self) -> Path:
        path = unquote(urlsplit(self.path).path).removeprefix("/cache/").lstrip("/")
        return self.state.folder / path

    def _may_replace(self, seen: bytes | None) -> bool:
        wanted = self.headers.get("If-Match")
        if wanted is not None and (seen is None or _tag(seen) != wanted):
            return False
        return not (self.headers.get("If-None-Match") == "*" and seen is not None)

    def _refuse(self) -> None:
        self._answer(412, b"")

    def _absent(self) -> None:
        self._answer(404, b"nothing is there")

    def _drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        with contextlib.suppress(OSError):
            while not self.state.stopped.wait(0.05):
                self.wfile.write(b"x")
                self.wfile.flush()
        self.close_connection = True

    def _answer(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        truncate: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if truncate is None else body[:truncate])
        if truncate is not None:
            self.close_connection = True


class _S3Handler(_Handler):
    """Buckets in paths: /bucket/key; the folder is that of the bucket `cache`."""

    def _refuse(self) -> None:
        self._error(412, "PreconditionFailed")

    def _absent(self) -> None:
        self._error(404, "NoSuchKey")

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if not parts.path.startswith("/cache"):
            self._struck()
            self._error(404, "NoSuchBucket")
        elif "list-type" in parts.query:
            self._struck()
            self._list()
        else:
            super().do_GET()

    def do_PUT(self) -> None:
        if not self.state.writable:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self._struck()
            self._error(403, "AccessDenied")
            return
        if not self.path.startswith("/cache"):
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self._struck()
            self._error(404, "NoSuchBucket")
            return
        super().do_PUT()

    def _list(self) -> None:
        # A file is looked for in a listing only where nothing has its name.
        body = (
            '<?xml version="1.0"?><ListBucketResult><Name>cache</Name><KeyCount>0'
            "</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>"
        )
        self._answer(200, body.encode(), {"Content-Type": "application/xml"})

    def _error(self, status: int, code: str) -> None:
        body = (
            f'<?xml version="1.0"?><Error><Code>{escape(code)}</Code>'
            f"<Message>{escape(code)}</Message></Error>"
        )
        self._answer(status, body.encode(), {"Content-Type": "application/xml"})


def _tag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


@contextlib.contextmanager
def file_server(
    folder: Path, *, bucket: bool = False, **options: Any
) -> Iterator[FileServer]:
    """Serve a folder on loopback, as files or as a bucket, until the block is left."""
    folder.mkdir(parents=True, exist_ok=True)
    state = FileServer(folder, **options)
    server = _Server(state, _S3Handler if bucket else _Handler)
    state.base = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()
