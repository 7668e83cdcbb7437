"""A forward proxy on loopback that wants a password, for requests and for tunnels.

with forward_proxy(("user", "password")) as proxy:
    proxy.url("user:password@")     # http://user:password@127.0.0.1:PORT
    proxy.requests                  # (method, target, status) of each
"""

from __future__ import annotations

import base64
import http.client
import select
import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

_OWN: Final = {"host", "proxy-authorization", "proxy-connection", "connection"}


@dataclass
class ForwardProxy:
    """What it was asked."""

    credentials: tuple[str, str]
    port: int = 0
    requests: list[tuple[str, str, int]] = field(default_factory=list)

    def url(self, login: str = "") -> str:
        """Its address; `login` is what stands before the host."""
        return f"http://{login}127.0.0.1:{self.port}"


@contextmanager
def forward_proxy(credentials: tuple[str, str]) -> Iterator[ForwardProxy]:
    """A proxy that runs while the block does."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.proxy = ForwardProxy(credentials, server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    proxy: ForwardProxy


class _Handler(BaseHTTPRequestHandler):
    @property
    def proxy(self) -> ForwardProxy:
        return cast("_Server", self.server).proxy

    def log_message(self, format: str, *args: object) -> None:
        """Tests look at `ForwardProxy.requests` instead."""

    def do_GET(self) -> None:
        if not self._is_known():
            return
        parts = urlsplit(self.path)
        headers = {n: v for n, v in self.headers.items() if n.lower() not in _OWN}
        connection = http.client.HTTPConnection(parts.netloc, timeout=30)
        try:
            query = f"?{parts.query}" if parts.query else ""
            connection.request("GET", f"{parts.path}{query}", headers=headers)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        self._note(answer.status)
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"connection", "date", "server"}:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_CONNECT(self) -> None:
        if not self._is_known():
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=30) as there:
            self._note(200)
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                _relay(self.connection, there)

    def _is_known(self) -> bool:
        pair = base64.b64encode(":".join(self.proxy.credentials).encode()).decode()
        if self.headers.get("Proxy-Authorization") == f"Basic {pair}":
            return True
        self._note(407)
        self.send_response(407)
        self.send_header("Proxy-Authenticate", 'Basic realm="proxy"')
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    def _note(self, status: int) -> None:
        self.proxy.requests.append((self.command, self.path, status))


def _relay(here: socket.socket, there: socket.socket) -> None:
    """Hand bytes to and fro until one side ends."""
    other = {here: there, there: here}
    while True:
        ready, _, _ = select.select([here, there], [], [], 60)
        for one in ready:
            content = one.recv(1 << 16)
            if not content:
                return
            other[one].sendall(content)
        if not ready:
            return
