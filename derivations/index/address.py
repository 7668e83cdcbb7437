"""Addresses of indexes, and who is told which password.

Credentials never leave this module except as the pair for one request: names,
messages, cached files and derivations hold addresses without them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from fromager.derivations.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

DEFAULT_NAME: Final = "default"
_PORTS: Final = {"http": 80, "https": 443}
_SECRET: Final = re.compile(r"(?<=//)[^/?#\s]*@")


@dataclass(frozen=True, slots=True)
class IndexUrl:
    """An index of the simple repository API (PEP 503)."""

    name: str
    """Its identity: the address without credentials, or `default`."""
    origin: str
    """Where it was configured, for people."""
    location: str | None
    """The address without credentials, ending in a slash; None for the public index."""
    credentials: tuple[str, str] | None = field(default=None, repr=False, compare=False)
    """User and password."""
    links: bool = False
    """It is no index, but one list of links to files of many projects: a page, or a
    folder of this machine whose address ends in a slash."""

    @classmethod
    def parse_links(cls, text: str, origin: str, folder: Path) -> IndexUrl:
        """A list of links from what was configured: the URL of a page, or a path.

        Raises:
            InputError: as `parse`.
        """
        found = cls.parse(text, origin, folder)
        assert found.location is not None
        location = found.location
        path = unquote(urlsplit(location).path).rstrip("/")
        is_page = found.is_local and path.endswith((".html", ".htm"))
        if is_page or (not found.is_local and not text.partition("#")[0].endswith("/")):
            location = location.rstrip("/")
        name = f"links {location}"
        return replace(found, name=name, location=location, links=True)

    @classmethod
    def parse(cls, text: str, origin: str, folder: Path) -> IndexUrl:
        """An index from what was configured: a URL, or a path below `folder`.

        Raises:
            InputError: neither of the two, or a scheme other than http, https, file.
        """
        text = text.strip()
        if text and "://" not in text and not text.startswith("file:"):
            text = (folder / text).absolute().as_uri()
        try:
            parts = urlsplit(text)
            _ = parts.port
        except ValueError as error:
            raise InputError(f"{redact(text)} ({origin}): {error}") from error
        if parts.scheme not in {*_PORTS, "file"} or not (parts.netloc or parts.path):
            raise InputError(
                f"{redact(text)!r} ({origin}) is not the address of an index",
                hint="Give a URL that begins with https://, http:// or file://",
            )
        location = without_credentials(urlunsplit(parts._replace(fragment="")))
        location = location if location.endswith("/") else f"{location}/"
        return cls(location, origin, location, _credentials(text))

    @classmethod
    def default(cls, origin: str = "built in") -> IndexUrl:
        """The public index; its address is looked up when it is needed."""
        return cls(DEFAULT_NAME, origin, None)

    @property
    def url(self) -> str:
        """The address without credentials, ending in a slash."""
        if self.location is not None:
            return self.location
        # Costs a quarter of a second: only a command that makes a request pays it.
        from pypi_simple import PYPI_SIMPLE_ENDPOINT

        return f"{PYPI_SIMPLE_ENDPOINT.rstrip('/')}/"

    def project_url(self, project: str) -> str:
        """Where the page of a project lies, given its normalised name."""
        return self.url if self.links else f"{self.url}{quote(project)}/"

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of files, without any page."""
        return self.links and self.is_local and self.url.endswith("/")

    @property
    def is_local(self) -> bool:
        """Whether it is a folder on this machine."""
        return self.location is not None and self.location.startswith("file:")


@dataclass
class ConfiguredIndexes:
    """What one place of configuration says of indexes."""

    indexes: list[IndexUrl] = field(default_factory=list)
    """In order of priority; empty if the place names none."""
    notes: list[str] = field(default_factory=list)
    """What it says that is not used."""
    assigned: dict[str, IndexUrl] = field(default_factory=dict)
    """By project (normalised), the only index that is asked for it."""
    only: bool = False
    """Whether no index but these may be asked, even if there are none."""


@dataclass(frozen=True, slots=True)
class Login:
    """User and password for an address and all that lies below it."""

    url: str
    """Without credentials."""
    user: str = field(repr=False)
    password: str = field(repr=False)


class Credentials:
    """Which user and password belong to which address."""

    def __init__(
        self,
        indexes: Iterable[IndexUrl] = (),
        hosts: Mapping[str, tuple[str, str]] | None = None,
        logins: Iterable[Login] = (),
    ) -> None:
        """`hosts` is what a netrc file says: host to user and password."""
        self._pairs = [
            *((index.url, index.credentials) for index in indexes if index.credentials),
            *((login.url, (login.user, login.password)) for login in logins),
        ]
        self._hosts = dict(hosts or {})

    def for_url(self, url: str) -> tuple[str, str] | None:
        """The pair for a request; None if none was given for its origin.

        A pair is sent to the scheme, host and port that it was given for only: never
        along a redirect to another one. Of several the longest common path wins.
        """
        origin, path = _origin(url), urlsplit(url).path
        best, best_length = None, -1
        for place, pair in self._pairs:
            if _origin(place) == origin:
                length = _common(urlsplit(place).path, path)
                if length > best_length:
                    best, best_length = pair, length
        return best or self._hosts.get(origin[1]) or self._hosts.get("default")

    def learn(self, url: str, pair: tuple[str, str]) -> None:
        """Use a pair that was found out for an address from now on."""
        parts = urlsplit(url)
        self._pairs.insert(0, (f"{parts.scheme}://{parts.netloc}{parts.path}", pair))

    def __repr__(self) -> str:
        return f"Credentials({len(self._pairs)} addresses, {len(self._hosts)} hosts)"


def redact(text: str) -> str:
    """The text with the credentials of every URL in it replaced by `***`."""
    return _SECRET.sub("***@", text)


def without_credentials(url: str) -> str:
    """The URL without user and password."""
    return _SECRET.sub("", url, count=1)


def netrc_hosts(path: Path | None) -> Mapping[str, tuple[str, str]]:
    """User and password of each host in a netrc file, which need not exist.

    Raises:
        InputError: the file cannot be read.
    """
    if path is None or not path.is_file():
        return {}
    import netrc

    try:
        hosts = netrc.netrc(path).hosts
    except (OSError, UnicodeDecodeError, netrc.NetrcParseError):
        # Not chained: the parser's own message may quote a password.
        raise InputError(f"{path}: cannot be read as a netrc file") from None
    return {host: (login, password) for host, (login, _, password) in hosts.items()}


def _credentials(url: str) -> tuple[str, str] | None:
    user_info, at, _ = urlsplit(url).netloc.rpartition("@")
    if not at:
        return None
    user, _, password = user_info.partition(":")
    return unquote(user), unquote(password)


def same_origin(left: str, right: str) -> bool:
    """Whether two addresses have scheme, host and port in common."""
    return _origin(left) == _origin(right)


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    port = parts.port or _PORTS.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), port


def _common(left: str, right: str) -> int:
    count = 0
    for a, b in zip(left.split("/"), right.split("/"), strict=False):
        if a != b:
            break
        count += 1
    return count
