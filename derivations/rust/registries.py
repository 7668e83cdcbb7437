"""Registries of crates: where an index lies, and what it says where its files are.

Cargo's own configuration is followed where it replaces a registry by another one. No
address is known here: locks name registries, and registries name their files.
"""

from __future__ import annotations

import json
import threading
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from fromager.derivations.errors import InputError, NetworkError, SourceError

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

    @classmethod
    def load(cls, cargo_home: Path) -> CargoConfiguration:
        """What a folder's `config.toml` says, or the older `config`.

        Raises:
            InputError: it is no TOML.
        """
        for name in ("config", "config.toml"):
            path = cargo_home / name
            try:
                found = tomllib.loads(path.read_text(encoding="utf-8"))
            except OSError:
                continue
            except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
                raise InputError(f"{path} cannot be read: {error}") from error
            return cls(_tables(found.get("source")), _tables(found.get("registries")))
        return cls()

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


class Registries:
    """Tells where crates are; asks each registry once, used by many threads."""

    def __init__(
        self,
        configuration: Callable[[], CargoConfiguration],
        download: Callable[[str, Path], object],
    ) -> None:
        """`configuration` is asked when a crate is; `download` fetches a file."""
        self._configuration, self._download = configuration, download
        self._templates: dict[RegistrySource, str] = {}
        self._lock = threading.Lock()

    def address(self, crate: Crate, source: RegistrySource) -> str:
        """Where a crate's file lies.

        Raises:
            SourceError: its registry does not tell.
            NetworkError: it cannot be asked.
        """
        with self._lock:
            if source not in self._templates:
                self._templates[source] = self._ask(source)
            return crate_address(self._templates[source], crate)

    def _ask(self, source: RegistrySource) -> str:
        index = self._configuration().sparse_index(source)
        url = f"{index}config.json"
        with TemporaryDirectory(prefix="fromager-") as folder:
            path = Path(folder, "config.json")
            self._download(url, path)
            try:
                template = json.loads(path.read_bytes())["dl"]
            except (ValueError, KeyError, TypeError) as error:
                reason = "this is not the configuration of a registry of crates"
                raise NetworkError(url, reason) from error
        if urlsplit(str(template)).scheme not in ("https", "http", "file"):
            raise NetworkError(url, f"it has its crates at {template!r}")
        return str(template)


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
