"""Cargo.lock: the crates that a Rust project is built with, and their checksums.

Read as cargo's own documentation describes it, in all versions up to 4. Crates
without a source lie in the project itself, and are none of this.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from fromager.derivations.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable

FILENAME: Final = "Cargo.lock"
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_VERSION: Final = re.compile(r"\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REFERENCES: Final = ("branch", "tag", "rev")
_SUMMARY: Final = re.compile(r"checksum (\S+) (\S+) \((.+)\)")


class InvalidCargoLock(SourceError):
    """A Cargo.lock that does not say what it must."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"{path}: {reason}",
            hint="Put the lock that cargo writes for this version in its place",
        )
        self.path, self.reason = path, reason


@dataclass(frozen=True, slots=True, order=True)
class RegistrySource:
    """A registry of crates."""

    url: str
    """Of its index: of a git repository, or `sparse+` and an address."""

    def __str__(self) -> str:
        return self.url if self.url.startswith("sparse+") else f"registry+{self.url}"


@dataclass(frozen=True, slots=True, order=True)
class RepositorySource:
    """A commit of a git repository that holds crates."""

    url: str
    commit: str
    """In full."""
    reference: tuple[str, str] | None = None
    """What the project asked for: `branch`, `tag` or `rev`, and its name."""

    def __str__(self) -> str:
        asked = "" if self.reference is None else "?" + "=".join(self.reference)
        return f"git+{self.url}{asked}#{self.commit}"


CrateSource: TypeAlias = RegistrySource | RepositorySource


@dataclass(frozen=True, slots=True)
class Crate:
    """A crate that is not part of the project."""

    name: str
    version: str
    source: CrateSource
    sha256: str | None = None
    """Of its file; None for one from a repository, which its commit names."""

    @property
    def subject(self) -> str:
        """`libc-0.2.177`."""
        return f"{self.name}-{self.version}"

    @property
    def filename(self) -> str:
        """What its file is called."""
        return f"{self.subject}.crate"


def parse_cargo_lock(content: bytes, path: str) -> tuple[Crate, ...]:
    """The crates of a lock that must be fetched, sorted; `path` is for messages.

    Raises:
        InvalidCargoLock: no TOML, no list of packages, or a crate of a registry
            without a checksum.
    """
    try:
        table = tomllib.loads(content.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidCargoLock(path, f"it is no TOML: {error}") from error
    packages, metadata = table.get("package", []), table.get("metadata", {})
    if not isinstance(packages, list) or not isinstance(metadata, Mapping):
        raise InvalidCargoLock(path, "it has no list of packages")
    summaries = _summaries(metadata)
    rows = [row for row in packages if _is_from_outside(row)]
    return in_order(crate_of(row, path, summaries) for row in rows)


def in_order(crates: Iterable[Crate]) -> tuple[Crate, ...]:
    """Crates, each once, by source, name and version."""
    return tuple(sorted(set(crates), key=lambda c: (str(c.source), c.name, c.version)))


def crate_of(
    row: object,
    path: str,
    summaries: Mapping[tuple[str, str, str], object] | None = None,
) -> Crate:
    """The crate that a table names; `summaries` are checksums by name, version, source.

    Raises:
        InvalidCargoLock: it names none.
    """
    if not isinstance(row, Mapping):
        raise InvalidCargoLock(path, "one of its packages is no table")
    name, version, source = row.get("name"), row.get("version"), row.get("source")
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise InvalidCargoLock(path, f"{name!r} is no name of a crate")
    if not isinstance(version, str) or _VERSION.fullmatch(version) is None:
        raise InvalidCargoLock(path, f"{name}: {version!r} is no version of a crate")
    found = _source(source)
    if found is None:
        raise InvalidCargoLock(path, f"{name} {version}: {source!r} is no source")
    if isinstance(found, RepositorySource):
        return Crate(name, version, found)
    checksum = row.get("checksum")
    if checksum is None and summaries is not None:
        checksum = summaries.get((name, version, str(source)))
    if not isinstance(checksum, str) or _SHA256.fullmatch(checksum) is None:
        raise InvalidCargoLock(path, f"it has no checksum for {name} {version}")
    return Crate(name, version, found, checksum)


def _is_from_outside(row: object) -> bool:
    return not isinstance(row, Mapping) or row.get("source") is not None


def _summaries(metadata: Mapping[str, object]) -> dict[tuple[str, str, str], object]:
    """The checksums of the first version of the format, which stand apart."""
    found = {}
    for key, value in metadata.items():
        match = _SUMMARY.fullmatch(key)
        if match is not None:
            found[match[1], match[2], match[3]] = value
    return found


def _source(text: object) -> CrateSource | None:
    if not isinstance(text, str):
        return None
    kind, plus, url = text.partition("+")
    if not plus or not urlsplit(url).scheme:
        return None
    match kind:
        case "registry":
            return RegistrySource(url)
        case "sparse":
            return RegistrySource(text)
        case "git":
            return _repository(url)
    return None


def _repository(url: str) -> RepositorySource | None:
    parts = urlsplit(url)
    if _COMMIT.fullmatch(parts.fragment) is None:
        return None
    asked = [
        (key, value) for key, value in parse_qsl(parts.query) if key in _REFERENCES
    ]
    return RepositorySource(
        urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")),
        parts.fragment,
        asked[0] if asked else None,
    )
