"""Requests over HTTP by urllib3, whose pools are made for many threads.

Importing this costs a tenth of a second: only what makes a request does it.
"""

from __future__ import annotations

import base64
import email.utils
import ssl
import threading
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final
from urllib.parse import unquote, urljoin, urlsplit

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    DecodeError,
    HTTPError,
    IncompleteRead,
    InvalidHeader,
    LocationParseError,
    LocationValueError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from fromager.derivations.errors import AccessDenied, NetworkError
from fromager.derivations.index.address import (
    Credentials,
    netrc_hosts,
    redact,
    same_origin,
    without_credentials,
)
from fromager.derivations.index.proxies import proxy_for
from fromager.derivations.index.tls import (
    certificate_denied,
    tls_context,
    tls_failure,
    wants_certificate,
)
from fromager.derivations.index.transport import Answer, Transient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from urllib3 import BaseHTTPResponse, PoolManager

    from fromager.derivations.index.address import IndexUrl, Login
    from fromager.derivations.index.transport import HttpSettings

CHUNK: Final = 1 << 17
MAX_REDIRECTS: Final = 10
CONNECTIONS_PER_HOST: Final = 16
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_EPOCH_LATE: Final = 1e9
"""Seconds: no limit lasts for so long, and every moment is later than that."""
_LOGIN_HINT: Final = (
    "Give user and password in the address of the index or in a netrc file, or check "
    "that they are right and may read this"
)
_PROXY_LOGIN_HINT: Final = (
    "Give user and password in the address of the proxy, with special characters as %XX"
)
_CONNECTION_HINT: Final = (
    "Check the connection to the network, and the address of the index"
)


class HttpTransport:
    """A `Transport` over HTTP and HTTPS, through proxies where they are set."""

    def __init__(
        self,
        settings: HttpSettings,
        indexes: Sequence[IndexUrl],
        now: Callable[[], float],
        logins: Sequence[Login] = (),
    ) -> None:
        """`indexes` and `logins` tell where which credentials may be sent; `now` is in
        seconds."""
        self._settings, self._now = settings, now
        self._credentials = Credentials(indexes, netrc_hosts(settings.netrc), logins)
        self._indexes = tuple(indexes)
        self._asked: set[str] = set()
        self._unlocking = threading.Lock()
        self._lock = threading.Lock()
        self._pools: dict[tuple[str, str | None], PoolManager] = {}

    @contextmanager
    def open(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        decode: bool,
        method: str = "GET",
        body: bytes | IO[bytes] | None = None,
    ) -> Iterator[Answer]:
        """See `Transport.open`."""
        if body is None:
            response, url = self._follow(url, headers, method)
        else:
            response = self._request(url, headers, method, body)
        try:
            self._check(response, url)
            said = self._body(response, url, decode)
            yield Answer(response.status, response.headers, url, said)
        finally:
            _finish(response)

    def close(self) -> None:
        """See `Transport.close`."""
        with self._lock:
            for pool in self._pools.values():
                pool.clear()

    def _follow(
        self, url: str, headers: Mapping[str, str], method: str
    ) -> tuple[BaseHTTPResponse, str]:
        for _ in range(MAX_REDIRECTS + 1):
            response = self._request(url, headers, method)
            if response.status == 401 and self._unlock(url):
                _finish(response)
                response = self._request(url, headers, method)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or location is None:
                return response, url
            _finish(response)
            target = without_credentials(urljoin(url, location))
            if urlsplit(target).scheme not in {"http", "https"}:
                raise NetworkError(url, f"redirected to {redact(target)}")
            if not same_origin(url, target):
                headers = {n: v for n, v in headers.items() if n != "Authorization"}
            url = target
        raise NetworkError(url, f"redirected more than {MAX_REDIRECTS} times")

    def _request(
        self,
        url: str,
        headers: Mapping[str, str],
        method: str,
        body: bytes | IO[bytes] | None = None,
    ) -> BaseHTTPResponse:
        # Looked up for each step of a redirect, so that a password never reaches
        # another host, nor its own over a weaker scheme.
        login = {
            token.header: token.value
            for token in self._settings.tokens
            if same_origin(token.url, url)
        }
        pair = self._credentials.for_url(url)
        if pair is not None:
            login["Authorization"] = _basic(*pair)
        with _translated(url, self._settings):
            return self._pool(url).request(
                method,
                url,
                body=body,
                headers={**login, **headers},
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
            )

    def _unlock(self, url: str) -> bool:
        """Whether the keyring has a password for a server that wants one."""
        keyring, pair = self._settings.keyring, self._credentials.for_url(url)
        if keyring is None or (pair is not None and pair[1]):
            return False
        place = self._place(url)
        with self._unlocking:
            if place not in self._asked:
                self._asked.add(place)
                found = keyring.pair(place, pair[0] if pair is not None else None)
                if found is not None:
                    self._credentials.learn(place, found)
        known = self._credentials.for_url(url)
        return known is not None and bool(known[1])

    def _place(self, url: str) -> str:
        """What a keyring knows a server by: the address of an index, else its host."""
        for index in self._indexes:
            if same_origin(index.url, url):
                return index.url
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc}/"

    def _pool(self, url: str) -> PoolManager:
        proxies = dict(self._settings.proxies)
        proxy = proxy_for(url, proxies, self._settings.no_proxy)
        scheme = urlsplit(url).scheme
        with self._lock:
            # Loading the certificates takes 20 ms, so only where they are needed.
            if (scheme, proxy) not in self._pools:
                pool = _new_pool(self._settings, proxy, scheme == "https")
                self._pools[scheme, proxy] = pool
            return self._pools[scheme, proxy]

    def _check(self, response: BaseHTTPResponse, url: str) -> None:
        status, reason = response.status, f"{response.status} {response.reason}"
        if status in _TRANSIENT or (status == 403 and _is_spent(response.headers)):
            wait = _wait(response.headers, self._now())
            raise Transient(f"the server answered {reason}", retry_after=wait)
        if status == 407:
            reason = f"the proxy answered {reason}"
            raise AccessDenied(url, reason, hint=_PROXY_LOGIN_HINT)
        if status in {401, 403}:
            raise AccessDenied(url, f"the server answered {reason}", hint=_LOGIN_HINT)
        secure = url.startswith("https:")
        if secure and wants_certificate(status, self._body(response, url, True)):
            raise certificate_denied(url, reason, self._settings)

    def _body(
        self, response: BaseHTTPResponse, url: str, decode: bool
    ) -> Iterator[bytes]:
        with _translated(url, self._settings):
            yield from response.stream(CHUNK, decode_content=decode)


def _finish(response: BaseHTTPResponse) -> None:
    """Keep the connection where little is left to read, as in most refusals."""
    length = response.headers.get("Content-Length", "")
    if response.status == 304 or (length.isdigit() and int(length) <= CHUNK):
        response.drain_conn()
    response.close()


def _new_pool(settings: HttpSettings, proxy: str | None, secure: bool) -> PoolManager:
    timeout = urllib3.Timeout(connect=settings.timeout, read=settings.timeout)
    agent = {"User-Agent": "fromager"}
    context = tls_context(settings) if secure or proxy is not None else None
    if proxy is None:
        return urllib3.PoolManager(
            headers=agent,
            maxsize=CONNECTIONS_PER_HOST,
            timeout=timeout,
            ssl_context=context,
        )
    pair = urlsplit(proxy).netloc.rpartition("@")[0]
    user, _, password = pair.partition(":")
    login = {"Proxy-Authorization": _basic(unquote(user), unquote(password))}
    return urllib3.ProxyManager(
        without_credentials(proxy),
        headers=agent,
        maxsize=CONNECTIONS_PER_HOST,
        timeout=timeout,
        ssl_context=context,
        proxy_ssl_context=context,
        proxy_headers=login if pair else None,
    )


@contextmanager
def _translated(url: str, settings: HttpSettings) -> Iterator[None]:
    try:
        yield
    except (LocationValueError, LocationParseError, InvalidHeader) as error:
        raise NetworkError(url, f"not a valid request: {_said(error)}") from error
    except DecodeError as error:
        raise Transient("the answer cannot be decompressed") from error
    except NewConnectionError as error:
        # Before the time-outs, as urllib3 counts it among them.
        host = urlsplit(url).netloc
        reason = f"{host} cannot be reached: {_said(error)}"
        raise Transient(reason, hint=_CONNECTION_HINT) from error
    except (ConnectTimeoutError, ReadTimeoutError) as error:
        raise Transient(
            f"the server said nothing for {settings.timeout:g} s"
        ) from error
    except ProxyError as error:
        reason = f"the proxy cannot be used: {_said(error)}"
        if "failed: 407" in reason:
            raise AccessDenied(url, reason, hint=_PROXY_LOGIN_HINT) from error
        raise Transient(reason, hint="Check the proxy's settings") from error
    except SSLError as error:
        cause = next((c for c in _causes(error) if isinstance(c, ssl.SSLError)), None)
        raise tls_failure(url, cause, _said(error), settings) from error
    except HTTPError as error:
        raise Transient(_said(error), hint=_CONNECTION_HINT) from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            waiting += [*cause.args, cause.__cause__, cause.__context__]


def _said(error: BaseException) -> str:
    """What the operating system or the library says, without its nesting."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"certificate verification failed: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError) and cause.reason:
            return cause.reason.lower().replace("_", " ")
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.removeprefix("[SSL] ")
        if isinstance(cause, IncompleteRead):
            return f"the answer ended after {cause.partial} bytes"
    text = str(error.args[-1]) if error.args else type(error).__name__
    return redact(text)


def _basic(user: str, password: str) -> str:
    pair = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
    return f"Basic {pair}"


def _is_spent(headers: Mapping[str, str]) -> bool:
    """Whether a forge says that it has answered enough for now."""
    left = headers.get("X-RateLimit-Remaining") or headers.get("RateLimit-Remaining")
    return left == "0" or "Retry-After" in headers


def _wait(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait, from `Retry-After` or the end of a forge's period."""
    asked = _seconds(headers.get("Retry-After"), now)
    ends = headers.get("X-RateLimit-Reset") or headers.get("RateLimit-Reset") or ""
    if asked is not None or not (ends.isdigit() and _is_spent(headers)):
        return asked
    moment = float(ends)
    # Some tell when the period ends, others in how many seconds.
    return max(1.0, moment - now if moment > _EPOCH_LATE else moment)


def _seconds(retry_after: str | None, now: float) -> float | None:
    if retry_after is None:
        return None
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        moment = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - now)
