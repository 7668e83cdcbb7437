"""What indexes say of projects: from the cache while it is fresh, else asked anew.

What reads pages and fetches files is imported where it is used: a command that has
nothing to do looks at the headers of cached pages only.
"""

from __future__ import annotations

import math
import re
import threading
import time
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

from fromager.derivations.errors import (
    InputError,
    InvalidDerivation,
    NetworkError,
    NotServed,
)
from fromager.derivations.index.answers import body_of, lifetime
from fromager.derivations.index.glances import Glances
from fromager.derivations.index.links import ALL, LinkLists, folder_state
from fromager.derivations.index.page_cache import CachedPage, CacheHeader, PageCache
from fromager.derivations.index.retries import Retries
from fromager.store import blob_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from fromager.derivations.index.address import IndexUrl, Login
    from fromager.derivations.index.transport import Answer, HttpSettings, Transport
    from fromager.store import Digest

ABSENT: Final = b"no index has this project"


class Freshness(Enum):
    """When a page in the cache is good enough."""

    CACHED = "cached"
    """While it is fresh."""
    REFRESH = "refresh"
    """If this client itself has asked whether it changed."""
    OFFLINE = "offline"
    """Always; nothing is asked."""


@dataclass(frozen=True, slots=True)
class Peek:
    """What the cache knows without reading a page."""

    digest: Digest
    fresh: bool
    """Whether `lookup` would answer with this digest without a request."""
    stamp: str = ""
    """Equal as long as the addresses of its files are, too."""
    fresh_until: float = 0.0
    """Seconds since the epoch; 0 if it does not depend on the time."""

    def said(self, exact: bool) -> str:
        """Equal as long as the page says the same; `exact`, with all addresses."""
        return self.stamp if exact else str(self.digest)


class IndexClient(Protocol):
    """What knows the projects of the configured indexes."""

    def lookup(self, project: str) -> CachedPage | None:
        """The page of a project, by its normalised name; None if no index has it.

        Of several indexes the first that has the project answers for it alone, so
        that nobody can add files to it on another one.

        Raises:
            NetworkError: an index that comes before the answer cannot be asked.
        """
        ...

    def peek(self, project: str) -> Peek | None:
        """What `lookup` would answer from the cache; None if nothing is there."""
        ...

    def download(
        self,
        url: str,
        target: Path,
        *,
        sha256: str | None = None,
        size: int | None = None,
        progress: Callable[[int], None] | None = None,
        login: str | None = None,
    ) -> str:
        """Fetch a file to `target`, check it, and give its SHA-256 in hex.

        `login` is what the header `Authorization` says to that server alone.
        """
        ...

    def glance(self, url: str) -> bytes | None:
        """Something small that is of use only if it is to be had at once; asked once.

        None if it is not, for whatever reason.
        """
        ...


class HttpIndexClient:
    """An `IndexClient` with a cache on disk; used by many threads at once."""

    def __init__(
        self,
        indexes: Sequence[IndexUrl],
        cache: PageCache,
        connect: Callable[[], Transport],
        policy: Freshness = Freshness.CACHED,
        retries: Retries | None = None,
        clock: Callable[[], float] = time.time,
        assigned: Mapping[str, IndexUrl] | None = None,
    ) -> None:
        """`indexes` are in order of priority; `assigned` are those of projects for
        which no other one is ever asked.

        `connect` is called once, before the first request over a network. `clock`
        gives seconds since the epoch.
        """
        self._indexes, self._cache, self._connect = tuple(indexes), cache, connect
        self._assigned = dict(assigned or {})
        self._policy, self._clock = policy, clock
        self._retries = retries or Retries()
        self._known: dict[tuple[str, str], CachedPage | None] = {}
        self._remote: Transport | None = None
        self._lock = threading.Lock()
        self._glances = Glances(self.transport)
        self._lists = LinkLists(cache, lambda index: self._ask(index, ALL, None, None))

    def lookup(self, project: str) -> CachedPage | None:
        """See `IndexClient.lookup`."""
        places = self._places(project)
        for index in places:
            found = self.page(index, project)
            if found is not None:
                return replace(found, hides=index is not places[-1])
        return None

    def page(self, index: IndexUrl, project: str) -> CachedPage | None:
        """What one index says of a project; None if it does not have it.

        Raises:
            NetworkError: the index cannot be asked, or answers with no project page.
        """
        known = (index.name, project)
        if known not in self._known:
            self._known[known] = self._cached(index, project)
        return self._known[known]

    def peek(self, project: str) -> Peek | None:
        """See `IndexClient.peek`."""
        return self.peek_at(self._places(project), project)

    def peek_at(self, indexes: Sequence[IndexUrl], project: str) -> Peek | None:
        """What the cache knows of a project on these indexes."""
        fresh, until = True, math.inf
        for index in indexes:
            header = self._cache.header(index.name, project)
            if header is None:
                return None
            fresh = fresh and self._is_good(index, project, header)
            timed = self._policy is Freshness.CACHED and not index.is_local
            until = min(until, header.fresh_until if timed else 0.0)
            if header.digest is not None:
                stamp = f"{header.stamp} {header.url}"
                return Peek(header.digest, fresh, stamp, until)
        return Peek(blob_digest(ABSENT), fresh, fresh_until=until)

    def download(
        self,
        url: str,
        target: Path,
        *,
        sha256: str | None = None,
        size: int | None = None,
        progress: Callable[[int], None] | None = None,
        login: str | None = None,
    ) -> str:
        """Fetch a file; see `Downloader.download`."""
        from fromager.derivations.index.download import Downloader

        downloader = Downloader(self.transport, self._retries)
        return downloader.download(
            url, target, sha256=sha256, size=size, progress=progress, login=login
        )

    def glance(self, url: str) -> bytes | None:
        """See `IndexClient.glance`."""
        return self._glances.at(url)

    def transport(self, url: str) -> Transport:
        """What makes requests for a URL.

        Raises:
            NetworkError: it lies on a network, and none is to be used.
        """
        if url.startswith("file:"):
            from fromager.derivations.index.local import LocalTransport

            return LocalTransport()
        if self._policy is Freshness.OFFLINE:
            raise NetworkError(
                url,
                "not in the cache, and the network is not to be used",
                hint="Run the same command once with the network",
            )
        with self._lock:
            if self._remote is None:
                self._remote = self._connect()
            return self._remote

    def close(self) -> None:
        """Close connections; the client can be used again."""
        if self._remote is not None:
            self._remote.close()

    def ask(self, url: str, headers: Mapping[str, str]) -> tuple[bytes, Answer]:
        """The answer to one request, and its body; nothing is cached.

        Raises:
            NotServed: the server has no such thing.
            NetworkError: it does not answer with status 200.
        """
        transport = self.transport(url)

        def attempt() -> tuple[bytes, Answer]:
            with transport.open(url, headers, decode=True) as answer:
                reason = f"the server answered {answer.status}"
                if answer.status in {404, 410}:
                    raise NotServed(answer.url, reason)
                if answer.status != 200:
                    raise NetworkError(answer.url, reason)
                return body_of(answer, self._clock), answer

        return self._retries.run(url, attempt)

    def _places(self, project: str) -> tuple[IndexUrl, ...]:
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", project):
            raise InputError(f"{project!r} is not the normalised name of a project")
        assigned = self._assigned.get(project)
        return self._indexes if assigned is None else (assigned,)

    def _is_good(self, index: IndexUrl, project: str, header: CacheHeader) -> bool:
        if index.is_folder:
            return folder_state(index.url, project) == header.etag
        if index.is_local:
            from fromager.derivations.index.local import is_unchanged

            return is_unchanged(index.project_url(project), header.etag)
        match self._policy:
            case Freshness.OFFLINE:
                return True
            case Freshness.REFRESH:
                return (index.name, project) in self._known
            case Freshness.CACHED:
                return self._clock() < header.fresh_until

    def _cached(self, index: IndexUrl, project: str) -> CachedPage | None:
        entry = self._cache.load(index.name, project)
        old = None
        if entry is not None:
            header, content = entry
            if header.digest is None:
                if self._is_good(index, project, header):
                    return None
            else:
                old = _read(header, content)
                if old is not None and self._is_good(index, project, header):
                    return old
        if index.links:
            return self._lists.look_up(index, project)
        return self._ask(index, project, old, entry[0] if old and entry else None)

    def _ask(
        self,
        index: IndexUrl,
        project: str,
        old: CachedPage | None,
        header: CacheHeader | None,
    ) -> CachedPage | None:
        from fromager.derivations.index.simple import ACCEPT

        url = index.project_url(project)
        headers = {"Accept": ACCEPT, "Accept-Encoding": "gzip, deflate"}
        if header is not None and header.etag is not None:
            headers["If-None-Match"] = header.etag
        elif header is not None and header.modified is not None:
            headers["If-Modified-Since"] = header.modified
        transport = self.transport(url)

        def attempt() -> CachedPage | None:
            with transport.open(url, headers, decode=True) as answer:
                return self._answered(answer, index.name, project, old)

        return self._retries.run(url, attempt)

    def _answered(
        self, answer: Answer, index: str, project: str, old: CachedPage | None
    ) -> CachedPage | None:
        from fromager.derivations.index.page import dump_page, page_digest
        from fromager.derivations.index.simple import parse_page

        until = self._clock() + lifetime(answer.headers)
        header = CacheHeader(
            None,
            until,
            answer.headers.get("ETag"),
            answer.headers.get("Last-Modified"),
            answer.url,
        )
        if answer.status in {404, 410}:
            self._cache.save(index, project, header, b"")
            return None
        if answer.status == 304 and old is not None:
            page = replace(old, fresh_until=until)
        elif answer.status == 200:
            content = body_of(answer, self._clock)
            kind = answer.headers.get("Content-Type") or ""
            read = parse_page(content, kind, answer.url, project)
            page = CachedPage(read, page_digest(read), until, answer.url)
        else:
            raise NetworkError(answer.url, f"the server answered {answer.status}")
        written = dump_page(page.page)
        stamp = blob_digest(written).hex
        header = replace(header, digest=page.digest, stamp=stamp)
        self._cache.save(index, project, header, written)
        return page


def open_client(
    indexes: Sequence[IndexUrl],
    settings: Callable[[], HttpSettings],
    cache: Path,
    policy: Freshness = Freshness.CACHED,
    retries: Retries | None = None,
    logins: Sequence[Login] = (),
    assigned: Mapping[str, IndexUrl] | None = None,
) -> HttpIndexClient:
    """A client for these indexes, whose pages are kept below the folder `cache`.

    `settings` is called before the first request over a network; `logins` are for
    files at other places, `assigned` the indexes of single projects.
    """
    places = (*indexes, *(assigned or {}).values())

    def connect() -> Transport:
        from fromager.derivations.index.http_transport import HttpTransport

        return HttpTransport(settings(), places, time.time, logins)

    return HttpIndexClient(
        indexes, PageCache(cache), connect, policy, retries, assigned=assigned
    )


def _read(header: CacheHeader, content: bytes) -> CachedPage | None:
    from fromager.derivations.index.page import load_page

    try:
        page = load_page(content)
    except InvalidDerivation:
        return None
    assert header.digest is not None
    return CachedPage(page, header.digest, header.fresh_until, header.url)
