"""Requests and answers, as the index client sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from fromager.derivations.index.keyrings import Keyring


@dataclass(frozen=True, slots=True)
class Token:
    """A header that lets us in at one server."""

    url: str
    """Only its scheme, host and port count."""
    header: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """How servers are spoken to."""

    ca_bundle: Path | None = None
    """PEM file of the certificate authorities; None: those of the system."""
    client_certificate: Path | None = None
    """PEM file with certificate and key."""
    proxies: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Scheme (`http`, `https`) and the proxy's URL, which may hold credentials."""
    no_proxy: tuple[str, ...] = ()
    """Hosts, domains and networks that are spoken to directly; `*` for all."""
    netrc: Path | None = None
    """File with passwords for hosts; it need not exist."""
    timeout: float = 30.0
    """Seconds to connect, and without a byte."""
    keyring: Keyring | None = field(default=None, repr=False)
    """Asked where a server wants to know who is there; None: nobody is."""
    tokens: tuple[Token, ...] = ()
    """For servers that have no user and password."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request, its body yet to be read."""

    status: int
    headers: Mapping[str, str]
    """Looked up in any case."""
    url: str
    """After redirects, without credentials."""
    body: Iterator[bytes]


class Transport(Protocol):
    """What makes requests; used by many threads at once."""

    def open(
        self, url: str, headers: Mapping[str, str], *, decode: bool
    ) -> AbstractContextManager[Answer]:
        """The answer to a GET request, redirects followed, credentials added.

        `decode` undoes a content encoding; a file to be stored must stay as it is.

        Raises:
            Transient: no answer, one that ends too early (while the body is read), or
                a status that may be another when the request is repeated.
            NetworkError: an error that stays, such as missing credentials.
        """
        ...

    def close(self) -> None:
        """Close idle connections; the next request opens them again."""
        ...


class Transient(Exception):
    """A request failed in a way that may be gone when it is repeated."""

    def __init__(
        self, reason: str, *, retry_after: float | None = None, hint: str | None = None
    ) -> None:
        super().__init__(reason)
        self.reason, self.hint = reason, hint
        self.retry_after = retry_after
        """Seconds that the server asked to wait."""
