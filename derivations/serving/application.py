"""The web application: an index, its files, and a cache; read-only.

    /simple/                     projects (PEP 503, 691)
    /simple/<project>/           files of a project
    /files/<sha256>/<filename>   a wheel; with .metadata (PEP 658), .intoto.jsonl,
                                 .cdx.json, .spdx.json or .provenance (PEP 740)
    /cache/<name>                a file of the cache

What has a digest in its address never changes. Pages are told apart by entity tags,
and are asked for again each time.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Final, TypeVar, cast
from urllib.parse import quote

from packaging.utils import canonicalize_name
from starlette.concurrency import run_in_threadpool
from starlette.responses import (
    FileResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route, Router

from fromager.derivations.sbom.bill import SbomForm
from fromager.derivations.serving import pages, provenance
from fromager.derivations.serving.negotiation import (
    Form,
    choose_form,
    is_known,
    span_of,
)
from fromager.derivations.serving.store_cache import ServedPack
from fromager.store import blob_digest

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import stat_result
    from pathlib import Path

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from fromager.derivations.serving.catalogue import Catalogue, Found
    from fromager.derivations.serving.store_cache import StoreCache
    from fromager.store import Realisation

T = TypeVar("T")
SMALL: Final = 1 << 20
"""Files of no more bytes are kept in memory once they were read."""
MEMORY: Final = 64 << 20
"""Bytes of files that are kept."""
CHUNK: Final = 1 << 20
FOR_EVER: Final = "max-age=31536000, immutable"
ASK_AGAIN: Final = "no-cache"
BINARY: Final = "application/octet-stream"
_HOST: Final = re.compile(r"(?:[\w.-]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?", re.ASCII)
BILLS: Final = {
    pages.BILL: (SbomForm.CYCLONEDX, "application/vnd.cyclonedx+json; version=1.6"),
    pages.SPDX_BILL: (SbomForm.SPDX, "application/spdx+json"),
}
"""Forms of bills of materials, and their media types, by the ends of their names."""


class _File(FileResponse):
    chunk_size = CHUNK


@dataclass(frozen=True)
class _Page:
    content: bytes
    etag: str


@dataclass
class Application:
    """Answers requests; runs in one event loop."""

    catalogue: Catalogue
    cache: StoreCache
    bill: Callable[[Realisation, SbomForm], bytes]
    """Makes the bill of materials of a wheel and what it needs; one at a time."""
    _answers: dict[tuple[str, ...], object] = field(default_factory=dict)
    """What holds for as long as the store is as it was."""
    _state: tuple[int, ...] = ()
    _contents: OrderedDict[str, bytes] = field(default_factory=OrderedDict)
    _kept: int = 0
    _billing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        routes = [
            Route("/", self._top),
            Route("/simple", self._top),
            Route("/simple/", self._root),
            Route("/simple/{project}", self._project),
            Route("/simple/{project}/", self._project),
            Route("/files/{sha256}/{filename}", self._file),
            Route("/cache/{name:path}", self._cached),
        ]
        self._router = Router(routes, redirect_slashes=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI 3)."""
        await self._router(scope, receive, send)

    async def _top(self, request: Request) -> Response:
        return RedirectResponse("simple/", 307)

    async def _root(self, request: Request) -> Response:
        return await self._page(request, None)

    async def _project(self, request: Request) -> Response:
        asked = request.path_params["project"]
        name = canonicalize_name(asked)
        there = request.url.path.endswith("/")
        if name != asked or not there:
            place = f"{'../' if there else ''}{quote(name, safe='')}/"
            return RedirectResponse(f"./{place}", 301)
        return await self._page(request, name)

    async def _page(self, request: Request, name: str | None) -> Response:
        # A plus sign in a query is a blank, unless it is escaped; few escape it.
        wanted = request.query_params.get("format", "").replace(" ", "+")
        wish = wanted or request.headers.get("accept")
        form = choose_form(wish)
        if form is None:
            kinds = ", ".join(each.value for each in Form)
            return PlainTextResponse(f"there are {kinds}\n", 406)
        as_json = form is Form.JSON
        if name is not None and self.catalogue.provenances:
            # Its addresses depend on who asks: it is not kept.
            base = _base(request)
            page = await run_in_threadpool(self._made, name, as_json, base)
        else:
            key = ("page", name or "", form.name if as_json else "")
            page = await self._answer(key, lambda: self._made(name, as_json))
        if page is None:
            return _absent()
        headers = {
            "Cache-Control": ASK_AGAIN,
            "ETag": page.etag,
            "Vary": "Accept",
            "X-Content-Type-Options": "nosniff",
        }
        if is_known(page.etag, request.headers.get("if-none-match")):
            return Response(status_code=304, headers=headers)
        return Response(page.content, 200, headers, form.value)

    def _made(
        self, name: str | None, as_json: bool, base: str | None = None
    ) -> _Page | None:
        if name is None:
            make = pages.root_json if as_json else pages.root_html
            return _page(make(self.catalogue.projects()))
        project = self.catalogue.project(name)
        if project is None:
            return None
        made = pages.project_json if as_json else pages.project_html
        return _page(made(project, base))

    async def _file(self, request: Request) -> Response:
        sha256, filename = (
            request.path_params["sha256"],
            request.path_params["filename"],
        )
        for suffix in (".metadata", pages.CLAIMS, provenance.SUFFIX, *BILLS):
            if filename.endswith(f".whl{suffix}"):
                return await self._beside(request, sha256, filename, suffix)
        found = await self._find(sha256, filename)
        if found is None:
            return _absent()
        headers = {"Last-Modified": formatdate(found.wheel.uploaded, usegmt=True)}
        return await self._from_disk(request, found.place, sha256, headers)

    async def _find(self, sha256: str, filename: str) -> Found | None:
        key = ("file", sha256, filename)
        return await self._answer(key, lambda: self.catalogue.find(sha256, filename))

    async def _answer(
        self, key: tuple[str, ...], work: Callable[[], T | None]
    ) -> T | None:
        """What `work` gives, kept unless it is None; the same key is of the same work."""
        state = self.catalogue.store.state
        if state != self._state:
            self._answers.clear()
            self._state = state
        if key in self._answers:
            return cast("T", self._answers[key])
        answer = await run_in_threadpool(work)
        if answer is not None and self._state == state:
            self._answers[key] = answer
        return answer

    async def _beside(
        self, request: Request, sha256: str, filename: str, suffix: str
    ) -> Response:
        name = filename.removesuffix(suffix)
        found = await self._find(sha256, name)
        if found is None:
            return _absent()
        if suffix in BILLS:
            return await self._bill(request, found, suffix)
        wheel = found.wheel
        if suffix == ".metadata":
            return _bytes(
                request, wheel.metadata, wheel.metadata_sha256, FOR_EVER, BINARY
            )
        if suffix == provenance.SUFFIX:
            if wheel.provenance is None:
                return _absent()
            tag, kind = blob_digest(wheel.provenance).hex, provenance.MEDIA_TYPE
            return _bytes(request, wheel.provenance, tag, ASK_AGAIN, kind)
        if not wheel.claims:
            return _absent()
        content = pages.claims_bundle(wheel.claims)
        tag = blob_digest(content).hex
        # Others may sign it, too.
        return _bytes(request, content, tag, ASK_AGAIN, "application/jsonl")

    async def _bill(self, request: Request, found: Found, suffix: str) -> Response:
        form, kind = BILLS[suffix]
        state = self.catalogue.store.state
        key = f"{found.claim.record_digest.hex}{suffix} {state}"
        # Making one takes a while: others who only want files must not wait for it.
        async with self._billing:
            content = self._contents.get(key)
            if content is None:
                content = await run_in_threadpool(self.bill, found.claim, form)
                self._keep(key, content)
        # What it needs may be built anew.
        return _bytes(request, content, blob_digest(content).hex, ASK_AGAIN, kind)

    async def _cached(self, request: Request) -> Response:
        name = request.path_params["name"]
        found = await run_in_threadpool(self.cache.find, name)
        if found is None:
            return _absent()
        if isinstance(found, bytes):
            changes = "/" not in name
            tag = blob_digest(found).hex if changes else name.rpartition("/")[2]
            held = ASK_AGAIN if changes else FOR_EVER
            return _bytes(request, found, tag, held, BINARY)
        if isinstance(found, ServedPack):
            return self._pack(request, found)
        return await self._from_disk(request, found, name.replace("/", ""), {})

    def _pack(self, request: Request, pack: ServedPack) -> Response:
        headers = _lasting(pack.digest.hex)
        if is_known(headers["ETag"], request.headers.get("if-none-match")):
            return Response(status_code=304, headers=headers)
        try:
            span = span_of(_range_header(request, headers["ETag"]), pack.size)
        except ValueError:
            return _beyond(pack.size)
        start, end = span or (0, pack.size)
        if span is not None:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{pack.size}"
        headers["Content-Length"] = str(end - start)
        status = 200 if span is None else 206
        if request.method == "HEAD":
            return Response(b"", status, headers, BINARY)
        content = self.cache.read_frames(pack, start, end)
        return StreamingResponse(content, status, headers, BINARY)

    async def _from_disk(
        self, request: Request, place: Path, tag: str, more: dict[str, str]
    ) -> Response:
        """A file that never changes, of any size, or some of it."""
        headers = {**_lasting(tag), **more}
        if is_known(headers["ETag"], request.headers.get("if-none-match")):
            return Response(status_code=304, headers=headers)
        whole = "range" not in request.headers
        if whole and tag in self._contents:
            self._contents.move_to_end(tag)
            return Response(self._contents[tag], 200, headers, BINARY)
        status = await run_in_threadpool(_status, place)
        if status is None:
            return _absent()
        if whole and status.st_size <= SMALL and request.method == "GET":
            content = await run_in_threadpool(place.read_bytes)
            self._keep(tag, content)
            return Response(content, 200, headers, BINARY)
        return _File(place, 200, headers, BINARY, stat_result=status)

    def _keep(self, tag: str, content: bytes) -> None:
        if tag not in self._contents:
            self._contents[tag] = content
            self._kept += len(content)
        while self._kept > MEMORY:
            self._kept -= len(self._contents.popitem(last=False)[1])


def _page(content: bytes) -> _Page:
    return _Page(content, f'"{blob_digest(content).hex}"')


def _bytes(
    request: Request, content: bytes, tag: str, held: str, kind: str
) -> Response:
    """A file that is in memory, or some of it."""
    headers = {**_lasting(tag), "Cache-Control": held}
    if is_known(headers["ETag"], request.headers.get("if-none-match")):
        return Response(status_code=304, headers=headers)
    try:
        span = span_of(_range_header(request, headers["ETag"]), len(content))
    except ValueError:
        return _beyond(len(content))
    if span is None:
        return Response(content, 200, headers, kind)
    start, end = span
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
    return Response(content[start:end], 206, headers, kind)


def _lasting(tag: str) -> dict[str, str]:
    return {
        "Accept-Ranges": "bytes",
        "Cache-Control": FOR_EVER,
        "ETag": f'"{tag}"',
        "X-Content-Type-Options": "nosniff",
    }


def _base(request: Request) -> str | None:
    """The server's address as the client knows it; None if it says nothing sensible."""
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        return None
    return f"{request.url.scheme}://{host}{request.scope.get('root_path', '')}"


def _range_header(request: Request, etag: str) -> str | None:
    """The span that is asked for, unless it is of something else."""
    condition = request.headers.get("if-range")
    if request.method == "HEAD" or condition not in (None, etag):
        return None
    return request.headers.get("range")


def _status(place: Path) -> stat_result | None:
    try:
        return place.stat()
    except FileNotFoundError:
        return None


def _absent() -> Response:
    return PlainTextResponse("not here\n", 404)


def _beyond(size: int) -> Response:
    headers = {"Content-Range": f"bytes */{size}"}
    return PlainTextResponse("", 416, headers)
