"""A cache behind a web server: read by GET, written by PUT where the server takes it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from typing import IO, TYPE_CHECKING, Final, TypeVar

from fromager.derivations.errors import NetworkError
from fromager.derivations.index.http_transport import HttpTransport
from fromager.derivations.index.transport import Transient
from fromager.derivations.sharing.place import Version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from fromager.derivations.index.address import IndexUrl
    from fromager.derivations.index.retries import Retries
    from fromager.derivations.index.transport import HttpSettings
    from fromager.derivations.sharing.place import Span

T = TypeVar("T")

LEAST_SPEED: Final = 1 << 16
"""Bytes in a second that a server must give or take, on top of the patience."""
CONNECTIONS: Final = 8
_STORED: Final = frozenset({200, 201, 202, 204})
_ABSENT: Final = frozenset({404, 410})


class HttpPlace:
    """A `CachePlace` on a web server; see there for what holds."""

    def __init__(
        self,
        address: IndexUrl,
        settings: HttpSettings,
        retries: Retries,
        patience: float,
    ) -> None:
        """`patience` is in seconds: how long any answer may take that has no size."""
        self._base = address.url.rstrip("/")
        self._retries, self._patience = retries, patience
        self._transport = HttpTransport(settings, (address,), time.time)
        # A server that gives a byte now and then never runs into a time-out of its
        # connection: each request has a thread, which is left behind if need be.
        self._threads = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="cache")

    @property
    def url(self) -> str:
        """See `CachePlace.url`."""
        return self._base

    def copy(
        self, name: str, sink: IO[bytes], limit: int, span: Span | None = None
    ) -> bool:
        """See `CachePlace.copy`."""
        headers = {"Accept-Encoding": "identity"}
        if span is not None:
            if span.length == 0:
                return True
            end = span.start + span.length - 1
            headers["Range"] = f"bytes={span.start}-{end}"
            limit = min(limit, span.length)
        found = self._patiently(
            name, limit, lambda: self._get(name, headers, limit, span)
        )
        if found is None:
            return False
        sink.write(found[0])
        return True

    def size(self, name: str) -> int | None:
        """See `CachePlace.size`."""

        def ask() -> int | None:
            with self._transport.open(
                self._at(name), {}, decode=False, method="HEAD"
            ) as answer:
                if answer.status in _ABSENT:
                    return None
                self._expect(answer.status, {200}, name)
                length = answer.headers.get("Content-Length") or ""
                return int(length) if length.isdigit() else -1

        return self._patiently(name, 0, ask)

    def write(self, name: str, content: bytes | Path) -> None:
        """See `CachePlace.write`."""
        self._put(name, content, {})

    def version(self, name: str, limit: int) -> Version | None:
        """See `CachePlace.version`."""
        headers = {"Accept-Encoding": "identity", "Cache-Control": "no-cache"}
        found = self._patiently(
            name, limit, lambda: self._get(name, headers, limit, None)
        )
        if found is None:
            return None
        content, tag = found
        # A weak tag may not be used to change something (RFC 9110, section 13.1.1).
        return Version(content, tag if tag and not tag.startswith("W/") else None)

    def swap(self, name: str, content: bytes, seen: Version | None) -> bool:
        """See `CachePlace.swap`."""
        if seen is None:
            headers = {"If-None-Match": "*"}
        else:
            headers = {} if seen.tag is None else {"If-Match": seen.tag}
        return self._put(name, content, headers)

    def close(self) -> None:
        """See `CachePlace.close`."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._transport.close()

    def _get(
        self, name: str, headers: Mapping[str, str], limit: int, span: Span | None
    ) -> tuple[bytes, str | None] | None:
        with self._transport.open(self._at(name), headers, decode=False) as answer:
            if answer.status in _ABSENT:
                return None
            if span is not None and answer.status == 200 and span.start > 0:
                # It does not know of ranges: what comes before is read, too.
                limit += span.start
            self._expect(answer.status, {200, 206} if span else {200}, name)
            content = bytearray()
            for chunk in answer.body:
                content += chunk
                if len(content) > limit:
                    if span is None:
                        raise self._error(name, f"it has more than {limit} bytes")
                    break
            tag = answer.headers.get("ETag")
        if span is not None:
            first = span.start if answer.status == 200 else 0
            content = content[first : first + span.length]
        return bytes(content), tag

    def _put(
        self, name: str, content: bytes | Path, headers: Mapping[str, str]
    ) -> bool:
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        # Not every server takes a body whose size it is not told.
        headers = {**headers, "Content-Length": str(size)}

        def send() -> bool:
            body = content if isinstance(content, bytes) else content.open("rb")
            try:
                with self._transport.open(
                    self._at(name), headers, decode=False, method="PUT", body=body
                ) as answer:
                    if answer.status in (409, 412):
                        return False
                    self._expect(answer.status, _STORED, name)
                    return True
            finally:
                if not isinstance(body, bytes):
                    body.close()

        return self._patiently(name, size, send)

    def _patiently(self, name: str, size: int, work: Callable[[], T]) -> T:
        """What `work` gives, repeated as it may be, and within a time."""
        patience = self._patience + size / LEAST_SPEED

        def attempt() -> T:
            future = self._threads.submit(work)
            try:
                return future.result(timeout=patience)
            except TookTooLong:
                future.cancel()
                reason = f"no whole answer came in {patience:.0f} s"
                raise Transient(reason) from None

        try:
            return self._retries.run(self._at(name), attempt)
        except NetworkError as error:
            # The transport says what to do about an index.
            hint = error.hint and error.hint.replace("index", "cache")
            raise NetworkError(error.url, error.reason, hint=hint) from error

    def _expect(
        self, status: int, wanted: set[int] | frozenset[int], name: str
    ) -> None:
        if status not in wanted:
            raise self._error(name, f"the server answered {status}")

    def _error(self, name: str, reason: str) -> NetworkError:
        return NetworkError(self._at(name), reason)

    def _at(self, name: str) -> str:
        return f"{self._base}/{name}"
