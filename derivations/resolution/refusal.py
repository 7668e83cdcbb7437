"""Why versions are not used."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.version import Version


class RefusalKind(Enum):
    """Why a version is not used; the gravest last."""

    PRERELEASE = "pre-release"
    YANKED = "yanked"
    HASH = "hash"
    TOO_NEW = "too new"
    TOO_YOUNG = "too young"
    UPLOAD_TIME_UNKNOWN = "upload time unknown"
    PYTHON = "python"
    INVALID = "invalid"
    WHEEL_ONLY = "wheel only"
    NO_WHEEL = "no wheel"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A version that is not used, and the evidence."""

    version: Version
    kind: RefusalKind
    detail: str
    """The reason for a yank or a quarantine, the Pythons, the cut-off date or the age,
    who asks for a wheel;
    for what is invalid a clause whose subject is the release."""
