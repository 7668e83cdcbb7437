"""Asks a web application, without a server or a socket between.

answer = ask(application, "/simple/", accept="text/html")
answer.status, answer.headers["etag"], answer.body
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote

from fromager.derivations.sharing.place import Version

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from starlette.types import ASGIApp

    from fromager.derivations.sharing.place import Span


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


def ask(
    application: ASGIApp, target: str, method: str = "GET", **headers: str
) -> Answer:
    """Send a request; `if_none_match="x"` is the header `If-None-Match: x`."""
    return asyncio.run(_ask(application, target, method, headers))


async def _ask(
    application: ASGIApp, target: str, method: str, headers: Mapping[str, str]
) -> Answer:
    path, _, query = target.partition("?")
    sent_headers = {"host": "index.test", **headers}
    rows = [(k.replace("_", "-").encode(), v.encode()) for k, v in sent_headers.items()]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": rows,
        "client": ("127.0.0.1", 1),
        "server": ("index.test", 80),
    }
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    await application(scope, receive, send)
    start = sent[0]
    found = {name.decode(): value.decode() for name, value in start["headers"]}
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return Answer(start["status"], found, body)


@dataclass(frozen=True)
class AskedPlace:
    """The cache of a web application, as a `CachePlace` that is only read."""

    application: ASGIApp
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return "http://index.test/cache"

    def copy(
        self, name: str, sink: IO[bytes], limit: int, span: Span | None = None
    ) -> bool:
        headers = {}
        if span is not None:
            headers["range"] = f"bytes={span.start}-{span.start + span.length - 1}"
        answer = self._ask(name, **headers)
        if answer.status == 404:
            return False
        assert answer.status == (200 if span is None else 206)
        assert len(answer.body) <= limit
        sink.write(answer.body)
        return True

    def size(self, name: str) -> int | None:
        answer = self._ask(name, "HEAD")
        return None if answer.status == 404 else int(answer.headers["content-length"])

    def write(self, name: str, content: bytes | Path) -> None:
        raise AssertionError("nothing is written to it")

    def version(self, name: str, limit: int) -> Version | None:
        answer = self._ask(name)
        return Version(answer.body, answer.headers["etag"])

    def swap(self, name: str, content: bytes, seen: Version | None) -> bool:
        raise AssertionError("nothing is written to it")

    def close(self) -> None:
        pass

    def _ask(self, name: str, method: str = "GET", **headers: str) -> Answer:
        self.asked.append(name)
        return ask(self.application, f"/cache/{name}", method, **headers)
