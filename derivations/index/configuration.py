"""Which indexes to use and how to reach them, from what the user has configured.

The first place that names an index decides: what was asked for explicitly, this
program's own variable, uv's configuration, pip's, and else the public index. All
that is read comes in as arguments: the environment, the home and current folders.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fromager.derivations.errors import InputError
from fromager.derivations.index.address import IndexUrl
from fromager.derivations.index.pip_configuration import (
    PipConfiguration,
    pip_indexes,
    read_pip_configuration,
)
from fromager.derivations.index.transport import HttpSettings
from fromager.derivations.index.uv_configuration import uv_indexes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ETC: Final = Path("/etc")
INDEX_VARIABLE: Final = "FROMAGER_INDEX_URL"
_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@dataclass(frozen=True, slots=True)
class IndexConfiguration:
    """The indexes of a command."""

    indexes: tuple[IndexUrl, ...]
    """In order of priority, none twice; each tells where it was configured."""
    notes: tuple[str, ...]
    """What was configured but is not used, for people."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where configuration is looked for."""

    environ: Mapping[str, str]
    home: Path
    cwd: Path
    etc: Path = ETC


def find_indexes(explicit: Sequence[str], around: Surroundings) -> IndexConfiguration:
    """The indexes to use: `explicit` ones, or those that are configured.

    No file is parsed that cannot matter, and no address is looked up, so that a
    command which asks no index pays nothing.

    Raises:
        InputError: an address or a file that cannot be understood.
    """
    environ = around.environ
    indexes = [IndexUrl.parse(u, "given explicitly", around.cwd) for u in explicit]
    notes: list[str] = []
    if not indexes:
        urls = environ.get(INDEX_VARIABLE, "").split()
        indexes = [IndexUrl.parse(u, INDEX_VARIABLE, around.cwd) for u in urls]
    if not indexes:
        indexes, found = uv_indexes(environ, around.home, around.cwd, around.etc)
        notes += found
    if not indexes:
        pip = read_pip_configuration(environ, around.home, around.etc)
        indexes, found = pip_indexes(pip, around.cwd)
        notes += found
    if not indexes:
        indexes = [IndexUrl.default()]
    unique: dict[str, IndexUrl] = {}
    for index in indexes:
        unique.setdefault(index.name, index)
    return IndexConfiguration(tuple(unique.values()), tuple(notes))


def find_http_settings(around: Surroundings) -> HttpSettings:
    """How servers are reached, as pip, uv, curl and requests are told it.

    Raises:
        InputError: a file or a time-out that cannot be understood.
    """
    environ = around.environ
    pip = read_pip_configuration(environ, around.home, around.etc)
    bundle = environ.get("SSL_CERT_FILE") or pip.get("cert")
    for name in _BUNDLES:
        bundle = bundle or environ.get(name)
    certificate = environ.get("SSL_CLIENT_CERT") or pip.get("client-cert")
    no_proxy = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    netrc = environ.get("NETRC") or str(around.home / ".netrc")
    return HttpSettings(
        ca_bundle=_path(bundle, around),
        client_certificate=_path(certificate, around),
        proxies=_proxies(environ, pip),
        no_proxy=tuple(e.strip() for e in no_proxy.split(",") if e.strip()),
        netrc=_path(netrc, around),
        timeout=_timeout(environ, pip),
    )


def _path(text: str | None, around: Surroundings) -> Path | None:
    if not text:
        return None
    if text.startswith("~/"):
        return around.home / text[2:]
    return around.cwd / text


def _proxies(
    environ: Mapping[str, str], pip: PipConfiguration
) -> tuple[tuple[str, str], ...]:
    one = pip.get("proxy")
    if one:
        return (("all", _with_scheme(one)),)
    found = {
        scheme: environ.get(f"{scheme}_proxy") or environ.get(f"{scheme.upper()}_PROXY")
        for scheme in ("http", "https", "all")
    }
    return tuple((scheme, _with_scheme(url)) for scheme, url in found.items() if url)


def _with_scheme(proxy: str) -> str:
    return proxy if "://" in proxy else f"http://{proxy}"


def _timeout(environ: Mapping[str, str], pip: PipConfiguration) -> float:
    name = "UV_HTTP_TIMEOUT"
    text = environ.get(name)
    if not text:
        name, text = "pip's time-out", pip.get("timeout")
    if not text:
        return HttpSettings().timeout
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise InputError(f"{name} is {text!r}: not a number of seconds")
    return seconds
