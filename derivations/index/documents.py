"""Files of text at an address: fetched, and kept as long as they are the same there."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from fromager.derivations.errors import NotServed
from fromager.derivations.index.address import redact, without_credentials
from fromager.derivations.index.answers import body_of, lifetime
from fromager.derivations.index.client import Freshness
from fromager.derivations.index.page_cache import CacheHeader, PageCache
from fromager.store import blob_digest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fromager.derivations.index.retries import Retries
    from fromager.derivations.index.transport import Answer, Transport

MAX_DOCUMENT: Final = 16 << 20
"""Bytes."""
_NAME: Final = "document"
"""Stands for a project: below an address there is one document."""


@dataclass(frozen=True)
class Documents:
    """Fetches documents, with the passwords and the cache of an index client."""

    transport: Callable[[str], Transport]
    """What makes requests for a URL; it raises where there may be none."""
    folder: Path
    """Where pages of indexes are kept."""
    policy: Freshness
    retries: Retries
    clock: Callable[[], float] = field(default=time.time)
    """Seconds since the epoch."""

    def fetch(self, url: str) -> bytes:
        """What an address gives; user and password in it are sent to that server.

        It is asked each time whether that changed, unless it said for how long it does
        not; with `Freshness.OFFLINE` what is kept is given.

        Raises:
            NetworkError: the server does not give it.
        """
        place, cache = without_credentials(url), PageCache(self.folder)
        known = cache.load(place, _NAME)
        if known is not None and not self._is_whole(*known):
            known = None
        if known is not None and self._is_good(known[0]):
            return known[1]
        headers = {"Accept": "text/plain, */*;q=0.8", **_login(url)}
        if known is not None and known[0].etag is not None:
            headers["If-None-Match"] = known[0].etag
        transport = self.transport(place)

        def attempt() -> bytes:
            with transport.open(place, headers, decode=True) as answer:
                return self._answered(answer, place, cache, known)

        return self.retries.run(place, attempt)

    def _answered(
        self,
        answer: Answer,
        place: str,
        cache: PageCache,
        known: tuple[CacheHeader, bytes] | None,
    ) -> bytes:
        if answer.status == 304 and known is not None:
            content = known[1]
        elif answer.status == 200:
            content = body_of(answer, self.clock, "file", MAX_DOCUMENT)
        else:
            raise NotServed(
                answer.url,
                f"the server answered {answer.status}",
                hint="Check the address of the file",
            )
        until = self.clock() + lifetime(answer.headers, 0.0)
        digest, etag = blob_digest(content), answer.headers.get("ETag")
        header = CacheHeader(digest, until, etag, None, redact(answer.url))
        cache.save(place, _NAME, header, content)
        return content

    def _is_good(self, header: CacheHeader) -> bool:
        if self.policy is Freshness.CACHED:
            return self.clock() < header.fresh_until
        return self.policy is Freshness.OFFLINE

    def _is_whole(self, header: CacheHeader, content: bytes) -> bool:
        return header.digest == blob_digest(content)


def _login(url: str) -> dict[str, str]:
    user_info, at, _ = urlsplit(url).netloc.rpartition("@")
    user, _, password = user_info.partition(":")
    if not at or not password:
        # Without a password the server may be known to a netrc file or the keyring.
        return {}
    pair = f"{unquote(user)}:{unquote(password)}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode('ascii')}"}
