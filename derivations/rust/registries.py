"""Registries of crates: where an index lies, and what it says where its files are.

Cargo's own configuration is followed where it replaces a registry by another one. No
address is known here: locks name registries, and registries name their files.
"""

from __future__ import annotations

import json
import re
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

from fromager.derivations.errors import (
    AccessDenied,
    InputError,
    NetworkError,
    SourceError,
)

if TYPE_CHECKING:
    from fromager.derivations.rust.lock import Crate, RegistrySource

DEFAULT: Final = "crates-io"
"""What cargo calls the registry that is meant where none is named."""

_SPARSE: Final = "sparse+"
_INDEX: Final = "-index"
_MARKS: Final = (
    "{crate}",
    "{version}",
    "{prefix}",
    "{lowerprefix}",
    "{sha256-checksum}",
)


def default_host(source: RegistrySource) -> str | None:
    """The host of the registry that cargo knows by itself; None for all others.

    Its index is named by a git repository, which is called after the host.
    """
    name = source.url.rstrip("/").rpartition("/")[2].removesuffix(".git")
    host = name.removesuffix(_INDEX)
    is_default = host != name and host.replace(".", "-") == DEFAULT
    return host if is_default and not source.url.startswith(_SPARSE) else None


@dataclass(frozen=True)
class CargoConfiguration:
    """The parts of cargo's configuration that say where registries are."""

    sources: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """`[source.<name>]`"""
    registries: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """`[registries.<name>]`"""
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By name of a registry, what it lets its users in for."""

    @classmethod
    def load(
        cls, cargo_home: Path, environ: Mapping[str, str] | None = None
    ) -> CargoConfiguration:
        """What a folder's `config.toml` and `credentials.toml` say, or the older files
        without that ending; variables say more of tokens than either.

        Raises:
            InputError: one of them is no TOML.
        """
        found = _first_of(cargo_home, "config", "config.toml")
        secret = _first_of(cargo_home, "credentials", "credentials.toml")
        registries = _tables(found.get("registries"))
        tokens: dict[str, str] = {}
        for tables in (registries, _tables(secret.get("registries"))):
            for name, table in tables.items():
                if isinstance(token := table.get("token"), str):
                    tokens[name] = token
        for name in registries:
            variable = f"CARGO_REGISTRIES_{name.upper().replace('-', '_')}_TOKEN"
            if token := (environ or {}).get(variable):
                tokens[name] = token
        return cls(_tables(found.get("source")), registries, tokens)

    def token(self, index: str) -> str | None:
        """The token for the registry whose sparse index lies there, if one is known."""
        for name, table in self.registries.items():
            known = str(table.get("index", "")).removeprefix(_SPARSE)
            if f"{known.rstrip('/')}/" == index:
                return self.tokens.get(name)
        return None

    def sparse_index(self, source: RegistrySource) -> str:
        """The address of the index of a registry, with a slash at its end.

        Raises:
            SourceError: it is not known, or is none that can be read file by file.
        """
        url = self._replaced(source)
        if url.startswith(_SPARSE):
            return url.removeprefix(_SPARSE).rstrip("/") + "/"
        host = default_host(type(source)(url))
        if host is None:
            raise SourceError(
                f"the index of crates {url} is a git repository, which is not read",
                hint="Replace it in cargo's configuration by its sparse index: "
                "`[source.<name>]` with `registry` and `replace-with`",
            )
        # Cargo reads this one from where its host has the same index file by file.
        return f"https://index.{host}/"

    def _replaced(self, source: RegistrySource) -> str:
        name: str | None = DEFAULT
        if default_host(source) is None:
            named = (
                n for n, s in self.sources.items() if s.get("registry") == source.url
            )
            name = next(named, None)
        seen: set[str] = set()
        url = source.url
        while name is not None:
            table = self.sources.get(name, {})
            registry = table.get("registry", self.registries.get(name, {}).get("index"))
            if isinstance(registry, str):
                url = registry
            elif "directory" in table or "local-registry" in table:
                raise SourceError(
                    f"cargo's configuration replaces {source.url} by a folder, from "
                    "which nothing is taken",
                    hint="Replace it by a registry",
                )
            after = table.get("replace-with")
            if after in seen:
                raise InputError(f"cargo's configuration replaces {after} by itself")
            name = after if isinstance(after, str) else None
            seen.add(name or "")
        return url


def crate_address(template: str, crate: Crate) -> str:
    """Where a crate's file lies, by the `dl` of its registry's configuration."""
    if not any(mark in template for mark in _MARKS):
        return f"{template.rstrip('/')}/{crate.name}/{crate.version}/download"
    prefix = _prefix(crate.name)
    values = (crate.name, crate.version, prefix, prefix.lower(), crate.sha256 or "")
    for mark, value in zip(_MARKS, values, strict=True):
        template = template.replace(mark, value)
    return template


class Download(Protocol):
    """Fetches a file; see `Downloader.download`."""

    def __call__(
        self,
        url: str,
        target: Path,
        *,
        sha256: str | None = None,
        login: str | None = None,
    ) -> object:
        """Fetch it."""
        ...


@dataclass(frozen=True, slots=True)
class _Registry:
    template: str
    """Where its crates lie."""
    index: str
    token: str | None = field(default=None, repr=False)
    """Sent with requests for crates."""


class Registries:
    """Fetches crates; asks each registry once where they are, used by many threads."""

    def __init__(
        self,
        configuration: Callable[[], CargoConfiguration],
        download: Download,
    ) -> None:
        """`configuration` is asked when a crate is."""
        self._configuration, self._download = configuration, download
        self._known: dict[RegistrySource, _Registry] = {}
        self._lock = threading.Lock()

    def fetch(self, crate: Crate, source: RegistrySource, target: Path) -> None:
        """Fetch a crate's file, and check that it is the locked one.

        Raises:
            SourceError: its registry does not tell where it is.
            HashMismatch: it is another.
            NetworkError: it is not given.
        """
        with self._lock:
            if source not in self._known:
                self._known[source] = self._ask(source)
            registry = self._known[source]
        url = crate_address(registry.template, crate)
        with _remedied(registry.index):
            self._download(url, target, sha256=crate.sha256, login=registry.token)

    def _ask(self, source: RegistrySource) -> _Registry:
        configuration = self._configuration()
        index = configuration.sparse_index(source)
        token, url = configuration.token(index), f"{index}config.json"
        with TemporaryDirectory(prefix="fromager-") as folder, _remedied(index):
            path = Path(folder, "config.json")
            self._download(url, path, login=token)
            try:
                found = json.loads(path.read_bytes())
                template, closed = found["dl"], found.get("auth-required", False)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                reason = "this is not the configuration of a registry of crates"
                raise NetworkError(url, reason) from error
        if urlsplit(str(template)).scheme not in ("https", "http", "file"):
            raise NetworkError(url, f"it has its crates at {template!r}")
        # Crates may lie on another server, which gets the token only if the registry
        # says so: as cargo does it (RFC 3139).
        return _Registry(str(template), index, token if closed is True else None)


@contextmanager
def _remedied(index: str) -> Iterator[None]:
    """Name the remedy where a registry does not let us in."""
    try:
        yield
    except AccessDenied as error:
        hint = (
            f"Name the registry in cargo's configuration (`[registries.<name>]` with "
            f'`index = "sparse+{index}"`), and give its `token` in cargo\'s '
            "credentials.toml, or user and password in a netrc file"
        )
        raise AccessDenied(error.url, error.reason, hint=hint) from error


def _first_of(folder: Path, *names: str) -> Mapping[str, object]:
    """The first of some TOML files that is there; empty if none is."""
    for name in names:
        path = folder / name
        try:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError:
            continue
        except UnicodeDecodeError as error:
            raise InputError(f"{path} cannot be read: {error}") from error
        except tomllib.TOMLDecodeError as error:
            # Not chained, and only where it is: the file may hold a token.
            line = re.search(r"at line \d+", str(error))
            where = f" {line[0]}" if line else ""
            raise InputError(f"{path} cannot be read: it is no TOML{where}") from None
    return {}


def _prefix(name: str) -> str:
    """The folders of an index that a crate's entry lies in."""
    match len(name):
        case 1 | 2:
            return str(len(name))
        case 3:
            return f"3/{name[0]}"
    return f"{name[:2]}/{name[2:4]}"


def _tables(value: object) -> dict[str, Mapping[str, object]]:
    if not isinstance(value, Mapping):
        return {}
    return {str(n): each for n, each in value.items() if isinstance(each, Mapping)}
