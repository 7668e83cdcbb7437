"""Stand-ins of GitHub and GitLab on loopback, that speak their documented interfaces.

with serve_forge() as forge:
    forge.environ      # the variables by which it is found
    forge.requests     # path and headers of each
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

COMMIT: Final = "0123456789abcdef0123456789abcdef01234567"
TAGS: Final = [f"v{number}.0" for number in range(1, 251)]


@dataclass
class Forge:
    """GitHub's interface below `/gh`, GitLab's below `/gl`; 250 tags, 100 to a page."""

    base: str = ""
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    refusals: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Status and headers of answers that come before the proper ones."""
    refusals_from: int = 1
    """The number of the request that gets the first of them."""
    tags: dict[str, str] = field(default_factory=lambda: dict.fromkeys(TAGS, COMMIT))
    """Names and commits, the same for every project."""
    next_page: str = ""
    """What the link to the next page is instead of the true one."""

    @property
    def environ(self) -> dict[str, str]:
        return {
            "GITHUB_API_URL": f"{self.base}/gh",
            "GITHUB_SERVER_URL": f"{self.base}/gh-site",
            "CI_API_V4_URL": f"{self.base}/gl/api/v4",
        }


class _Server(ThreadingHTTPServer):
    forge: Forge


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        forge = cast("_Server", self.server).forge
        headers = {name.lower(): value for name, value in self.headers.items()}
        forge.requests.append((self.path, headers))
        if forge.refusals and len(forge.requests) >= forge.refusals_from:
            status, more = forge.refusals.pop(0)
            self._answer(status, b"{}", more)
            return
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        page, size = int(query.get("page", ["1"])[0]), int(query["per_page"][0])
        key = "sha"
        if parts.path == "/gl/api/v4/projects/group%2Fsub%2Fdemo/repository/tags":
            key = "id"
        elif unquote(parts.path) != "/gh/repos/owner/demo/tags":
            self._answer(404, b"{}", {})
            return
        rows = [
            {"name": tag, "commit": {key: commit}}
            for tag, commit in [*forge.tags.items()][(page - 1) * size : page * size]
        ]
        more = {}
        if page * size < len(forge.tags):
            base = f"{forge.base}{parts.path}?per_page={size}"
            following = forge.next_page or f"{base}&page={page + 1}"
            more["Link"] = f'<{base}&page=1>; rel="first", <{following}>; rel="next"'
        self._answer(200, json.dumps(rows).encode(), more)

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serve_forge() -> Iterator[Forge]:
    """A forge that runs while the block does."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.forge = Forge(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.forge
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
