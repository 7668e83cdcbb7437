"""A bill of materials as bytes: the same for the same contents, everywhere."""

from __future__ import annotations

import json
from enum import Enum
from typing import TYPE_CHECKING, Final
from uuid import UUID

from fromager.derivations.sbom.cyclonedx import cyclonedx, with_serial
from fromager.derivations.sbom.spdx import spdx, with_namespace
from fromager.store import derived_digest

if TYPE_CHECKING:
    from fromager.derivations.sbom.contents import SbomContents

CONTEXT: Final = "fromager bill of materials 2026-11 serial v1"
NAME: Final = "fromager"


class SbomForm(Enum):
    """The formats of bills."""

    CYCLONEDX = "cyclonedx"
    SPDX = "spdx"


def sbom_of(
    contents: SbomContents, form: SbomForm = SbomForm.CYCLONEDX, *, version: str
) -> bytes:
    """The bill of a closure, as JSON; `version` is fromager's.

    Its serial number follows from all else that stands in it, its time from the
    sources: whoever has the same closure gets the same bytes.
    """
    tool = (NAME, version)
    if form is SbomForm.SPDX:
        document = spdx(contents, tool)
        return _bytes(with_namespace(document, _serial(document)))
    document = cyclonedx(contents, tool)
    return _bytes(with_serial(document, _serial(document)))


def _serial(document: dict[str, object]) -> str:
    """A UUID of version 8 (RFC 9562), of the digest of a document."""
    raw = bytearray(derived_digest(CONTEXT, _bytes(document)).raw[:16])
    raw[6] = raw[6] & 0x0F | 0x80
    raw[8] = raw[8] & 0x3F | 0x80
    return str(UUID(bytes=bytes(raw)))


def _bytes(document: dict[str, object]) -> bytes:
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=True)
    return text.encode("ascii") + b"\n"
