"""What a bill of materials tells, whatever its format; values only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final
from urllib.parse import quote

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from fromager.derivations.core_metadata import Headers, parse_headers

EARLIEST: Final = 315532800
"""The time, in seconds since the epoch, of what has no time of its own: 1980."""
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class SbomSource:
    """Something that was fetched, known by its content or by its commit."""

    name: str
    """The file's name, or `<name>@<commit>`."""
    sha256: str | None = None
    commit: str | None = None
    tree: str | None = None
    """The BLAKE3 digest of a folder's listing, in hexadecimal."""


@dataclass(frozen=True, slots=True)
class SbomPatch:
    """A patch file that was applied."""

    name: str
    content: bytes


@dataclass(frozen=True)
class SbomPart:
    """A wheel of a closure."""

    name: str
    """Normalised (PEP 503)."""
    version: str
    filename: str
    sha256: str
    blake3: str
    """The BLAKE3 digest of the file, in hexadecimal."""
    key: str
    """The key of its derivation, in hexadecimal."""
    metadata: bytes
    """Its METADATA file."""
    level: str
    """The level of the sandbox that it was built in."""
    prebuilt: bool = False
    """True if it was not built, but taken as an index had it."""
    epoch: int | None = None
    """The time of its source (`SOURCE_DATE_EPOCH`), in seconds since the epoch."""
    needs: tuple[str, ...] = ()
    """References of the parts that it needs at run time, sorted."""
    tools: tuple[str, ...] = ()
    """References of the wheels that it was built with, sorted."""
    source: SbomSource | None = None
    extras: tuple[SbomSource, ...] = ()
    """What else was put into its source."""
    patches: tuple[SbomPatch, ...] = ()
    """In the order in which they were applied."""
    edited: bool = False
    """Whether settings changed its source otherwise than by patches."""

    @property
    def reference(self) -> str:
        """Names it in its bill."""
        return f"{self.name}=={self.version}#{self.key[:16]}"

    @property
    def purl(self) -> str:
        """Its package URL; of a file, since other builds of the version differ."""
        return purl(self.name, self.version, self.filename)

    @cached_property
    def headers(self) -> Headers:
        """What it says of itself."""
        return parse_headers(self.metadata)

    @property
    def summary(self) -> str | None:
        """What it is, in a line."""
        text = self.headers.first("summary")
        return _CONTROL.sub(" ", text) if text and text != "UNKNOWN" else None

    @property
    def licence(self) -> str | None:
        """Its licence as an SPDX expression, if it tells one."""
        for name in ("license-expression", "license"):
            try:
                return str(
                    canonicalize_license_expression(self.headers.first(name) or "")
                )
            except InvalidLicenseExpression:
                continue
        return None

    @property
    def licence_texts(self) -> tuple[str, ...]:
        """What it says of its licence in other words: classifiers, or a short text."""
        rows = self.headers.all("classifier")
        prefix = "License :: "
        found = [row.rpartition(" :: ")[2] for row in rows if row.startswith(prefix)]
        text = _CONTROL.sub(" ", self.headers.first("license") or "")
        if not found and text not in ("", "UNKNOWN") and len(text) <= 100:
            found.append(text)
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class SbomContents:
    """A closure: wheels, and what they were built with."""

    roots: tuple[str, ...]
    """References of the parts that were asked for, sorted."""
    parts: tuple[SbomPart, ...]
    """What is installed: the roots and what they need, sorted by reference."""
    tools: tuple[SbomPart, ...]
    """What these were built with, and what that was built with, unless it is a part;
    sorted by reference."""

    missing: tuple[str, ...] = ()
    """Requirements that no part meets, sorted."""

    @property
    def moment(self) -> int:
        """When the newest of its sources is from, in seconds since the epoch."""
        return max(
            (p.epoch for p in self.parts if p.epoch is not None), default=EARLIEST
        )

    @property
    def title(self) -> str:
        """What to call it."""
        chosen = [part for part in self.parts if part.reference in self.roots]
        return ", ".join(f"{part.name} {part.version}" for part in chosen)


def purl(name: str, version: str, filename: str | None = None) -> str:
    """The package URL of a project's release on the public index, or of a file of it."""
    qualifier = "" if filename is None else f"?file_name={quote(filename, safe='')}"
    return f"pkg:pypi/{quote(name, safe='')}@{quote(version, safe='')}{qualifier}"
