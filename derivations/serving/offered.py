"""What an index says of wheels; values only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from fromager.derivations.core_metadata import parse_headers

if TYPE_CHECKING:
    from fromager.derivations.sharing.envelope import Envelope


@dataclass(frozen=True)
class OfferedWheel:
    """A wheel of a store, and all that an index says of it."""

    filename: str
    project: str
    """Normalised (PEP 503)."""
    version: str
    sha256: str
    size: int
    uploaded: int
    """When its build began, in seconds since the epoch."""
    record: str
    """Names the realisation that it is from."""
    metadata: bytes
    """Its METADATA file (PEP 658)."""
    claims: tuple[Envelope, ...] = ()
    """What builders signed about it."""
    provenance: bytes | None = None
    """What others attest of it (PEP 740)."""

    @property
    def place(self) -> str:
        """The address of the file below that of the server; it never changes."""
        return f"files/{self.sha256}/{self.filename}"

    @property
    def requires_python(self) -> str | None:
        """The versions of Python that it is for, as it says itself."""
        return parse_headers(self.metadata).first("requires-python")

    @cached_property
    def metadata_sha256(self) -> str:
        """The hash of its METADATA."""
        return hashlib.sha256(self.metadata).hexdigest()


@dataclass(frozen=True)
class OfferedProject:
    """All wheels of a project."""

    name: str
    """Normalised (PEP 503)."""
    wheels: tuple[OfferedWheel, ...]

    @cached_property
    def listed(self) -> tuple[OfferedWheel, ...]:
        """Of each file name the wheel that was built last, by version and name.

        What was built at the same second is told apart by its record, so that every
        server lists the same.
        """
        newest: dict[str, OfferedWheel] = {}
        for wheel in sorted(self.wheels, key=lambda each: (each.uploaded, each.record)):
            newest[wheel.filename] = wheel
        return tuple(
            sorted(newest.values(), key=lambda w: (_rank(w.version), w.filename))
        )

    @cached_property
    def versions(self) -> tuple[str, ...]:
        """All versions, ascending."""
        return tuple(dict.fromkeys(wheel.version for wheel in self.listed))


def _rank(version: str) -> tuple[bool, Version | str]:
    try:
        return True, Version(version)
    except InvalidVersion:
        return False, version
