"""A package index on loopback: a real server for tests, that can misbehave.

    with local_index({"pkg-1.0.tar.gz": data}, form="json") as index:
        index.url          # http://127.0.0.1:PORT/simple/
        index.requests     # what was asked, in order
        index.fail("pkg-1.0.tar.gz", status=503, times=2)
        index.add("pkg-1.1.tar.gz", Hosted(more, yanked="broken"))

Pages are PEP 503 HTML or PEP 691 JSON, by the `Accept` header unless a form is
demanded. Files lie below `/files/`, support ranges, and may be paths on disk.
"""

from __future__ import annotations

import base64
import email.utils
import hashlib
import html
import http
import json
import re
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast
from urllib.parse import quote, unquote, urlsplit

from support.hosting import Fault, Hosted, LocalIndex, Received, version_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["JSON_TYPE", "Fault", "Hosted", "LocalIndex", "local_index", "server_for"]

JSON_TYPE: Final = "application/vnd.pypi.simple.v1+json"
CHUNK: Final = 1 << 16


@contextmanager
def local_index(
    files: Mapping[str, bytes | Path | Hosted] | None = None, **options: Any
) -> Iterator[LocalIndex]:
    """An index that runs while the block does; `LocalIndex` explains the options."""
    index = LocalIndex(files or {}, **options)
    with server_for(index) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield index
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def server_for(index: LocalIndex, port: int = 0) -> Iterator[ThreadingHTTPServer]:
    """A server that listens, and answers once its `serve_forever` is called."""
    server = _Server(index, port)
    try:
        yield server
    finally:
        server.hang_up()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, index: LocalIndex, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.index = index
        self.connections: set[socket.socket] = set()
        scheme = "http" if index.tls is None else "https"
        index.base = f"{scheme}://127.0.0.1:{self.server_port}"

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.index.tls is None:
            super().finish_request(request, client_address)
            return
        self.connections.discard(request)
        secured = secure(request, self.index.tls)
        if secured is None:
            return
        self.connections.add(secured)
        with secured:
            super().finish_request(secured, client_address)
        self.connections.discard(secured)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End idle connections, so that their threads can be joined."""
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are no news."""


def secure(connection: socket.socket, tls: ssl.SSLContext) -> ssl.SSLSocket | None:
    """The connection with TLS; None if the two sides do not agree, which then the other
    one has been told."""
    connection.settimeout(60)
    secured = tls.wrap_socket(
        connection, server_side=True, do_handshake_on_connect=False
    )
    try:
        secured.do_handshake()
        return secured
    except (ssl.SSLError, ConnectionError):
        # Closed with bytes unread, the connection would be reset, and what was said lost.
        with socket.socket(fileno=secured.detach()) as raw, suppress(OSError):
            raw.settimeout(10)
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(CHUNK):
                pass
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = CHUNK
    timeout = 60

    @property
    def index(self) -> LocalIndex:
        return cast("_Server", self.server).index

    def log_message(self, format: str, *args: object) -> None:
        """Tests look at `LocalIndex.requests` instead."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.truncate: int | None = None
        fault = self.index.strike(self.path)
        if fault is not None:
            if fault.delay:
                time.sleep(fault.delay)
            if fault.hang_up:
                self._note(0)
                self.close_connection = True
                return
            self.truncate = fault.truncate
            if fault.status is not None or fault.body is not None:
                headers = {"Content-Type": fault.content_type, **fault.headers}
                self._answer(fault.status or 200, fault.body or b"", headers)
                return
        if not self._authorised():
            challenge = {"WWW-Authenticate": 'Basic realm="index"'}
            self._answer(401, b"who are you?", challenge)
            return
        path = unquote(urlsplit(self.path).path)
        if path in self.index.texts:
            self._text(*self.index.texts[path])
        elif path == "/simple/":
            self._project_list()
        elif found := re.fullmatch(r"/simple/([^/]+)/", path):
            self._project(found[1])
        elif found := re.fullmatch(r"/simple/([^/]+)", path):
            self._answer(301, b"", {"Location": f"{path}/"})
        elif found := re.fullmatch(r"/files/([^/]+)", path):
            self._file(found[1])
        else:
            self._answer(404, b"no such page")

    def _authorised(self) -> bool:
        if self.index.credentials is None:
            return True
        pair = ":".join(self.index.credentials).encode()
        expected = f"Basic {base64.b64encode(pair).decode()}"
        return self.headers.get("Authorization") == expected

    def _project_list(self) -> None:
        if self._form() == "json":
            names = [{"name": name} for name in self.index.projects()]
            self._page({"meta": {"api-version": "1.1"}, "projects": names}, "")
        else:
            links = (f'<a href="{n}/">{n}</a>' for n in self.index.projects())
            self._page(None, "\n".join(links))

    def _project(self, project: str) -> None:
        files = self.index.files(project)
        if not files:
            held = self.index.cache_control
            headers = {} if held is None else {"Cache-Control": held}
            self._answer(404, b"no such project", headers)
        elif self._form() == "json":
            rows = [self._json_row(name, hosted) for name, hosted in files]
            versions = sorted({version_of(name) for name, _ in files})
            meta = {"api-version": "1.1"}
            page = {"meta": meta, "name": project, "versions": versions, "files": rows}
            self._page(page, "")
        else:
            self._page(None, "\n".join(self._anchor(n, hosted) for n, hosted in files))

    def _json_row(self, name: str, hosted: Hosted) -> dict[str, object]:
        row: dict[str, object] = {
            "filename": name,
            "url": f"../../files/{quote(name)}",
            "hashes": {"sha256": self._promise(name)} if self.index.hashes else {},
            "size": hosted.size,
            "yanked": hosted.yanked,
        }
        if hosted.requires_python is not None:
            row["requires-python"] = hosted.requires_python
        if hosted.upload_time is not None:
            row["upload-time"] = hosted.upload_time
        if hosted.metadata is not None:
            metadata_hash = hashlib.sha256(hosted.metadata).hexdigest()
            row["core-metadata"] = {"sha256": metadata_hash}
        if hosted.provenance is not None:
            row["provenance"] = f"../../files/{quote(name)}.provenance"
        return row

    def _anchor(self, name: str, hosted: Hosted) -> str:
        href = f"../../files/{quote(name)}"
        if self.index.hashes:
            href += f"#sha256={self._promise(name)}"
        attributes = {"href": href}
        if hosted.requires_python is not None:
            attributes["data-requires-python"] = hosted.requires_python
        if hosted.yanked is not False:
            reason = hosted.yanked if isinstance(hosted.yanked, str) else ""
            attributes["data-yanked"] = reason
        if hosted.upload_time is not None:
            attributes["data-upload-time"] = hosted.upload_time
        if hosted.metadata is not None:
            metadata_hash = hashlib.sha256(hosted.metadata).hexdigest()
            attributes["data-core-metadata"] = f"sha256={metadata_hash}"
        if hosted.provenance is not None:
            attributes["data-provenance"] = f"{self.index.base}/files/{name}.provenance"
        pairs = " ".join(f'{k}="{html.escape(v)}"' for k, v in attributes.items())
        return f"<a {pairs}>{html.escape(name)}</a><br/>"

    def _promise(self, name: str) -> str:
        hosted = self.index.hosted(name)
        return (hosted and hosted.sha256) or self.index.sha256(name)

    def _form(self) -> str:
        if self.index.form != "both":
            return self.index.form
        return "json" if JSON_TYPE in self.headers.get("Accept", "") else "html"

    def _page(self, value: object, body: str) -> None:
        if value is None:
            text = f"<!DOCTYPE html><html><body>{body}</body></html>"
            content_type = "text/html; charset=utf-8"
        else:
            text, content_type = json.dumps(value), JSON_TYPE
        content = text.encode()
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        headers = {"Content-Type": content_type}
        if self.index.cache_control is not None:
            headers["Cache-Control"] = self.index.cache_control
        if self.index.etags:
            headers["ETag"] = etag
            if self.headers.get("If-None-Match") == etag:
                self._answer(304, b"", headers)
                return
        self._answer(200, content, headers)

    def _text(self, content: bytes, held: Mapping[str, str]) -> None:
        tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        headers = {"Content-Type": "text/plain", "ETag": tag, **held}
        if self.headers.get("If-None-Match") == tag:
            self._answer(304, b"", headers)
        else:
            self._answer(200, content, headers)

    def _file(self, name: str) -> None:
        hosted = self.index.hosted(
            name.removesuffix(".metadata").removesuffix(".provenance")
        )
        if hosted is not None and name.endswith(".provenance"):
            self._answer(200 if hosted.provenance else 404, hosted.provenance or b"")
            return
        if hosted is not None and name.endswith(".metadata"):
            self._answer(200 if hosted.metadata else 404, hosted.metadata or b"")
            return
        if hosted is None:
            self._answer(404, b"no such file")
            return
        headers = {
            "Content-Type": "application/octet-stream",
            "Last-Modified": email.utils.formatdate(0, usegmt=True),
        }
        start, size = 0, hosted.size
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if self.index.ranges:
            headers["Accept-Ranges"] = "bytes"
            if asked is not None:
                start = int(asked[1])
                if start >= size:
                    self._answer(416, b"", {"Content-Range": f"bytes */{size}"})
                    return
                headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        with hosted.open() as stream:
            stream.seek(start)
            self._send(206 if start else 200, stream, size - start, headers)

    def _answer(
        self, status: int, body: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        self._send(status, BytesIO(body), len(body), headers or {})

    def _send(
        self, status: int, body: BinaryIO, size: int, headers: Mapping[str, str]
    ) -> None:
        self._note(status)
        self.send_response(status, http.HTTPStatus(status).phrase)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(size))
        self.end_headers()
        if self.command == "HEAD" or status == 304:
            return
        left = size if self.truncate is None else min(size, self.truncate)
        while left and (chunk := body.read(min(CHUNK, left))):
            self.wfile.write(chunk)
            left -= len(chunk)
        if self.truncate is not None:
            self.close_connection = True

    def _note(self, status: int) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        port = self.client_address[1]
        received = Received(self.command, self.path, headers, status, port)
        with self.index.lock:
            self.index.requests.append(received)
