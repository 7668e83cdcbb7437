"""Provenance objects (PEP 740): which files they say something of.

Whether the signatures in them hold is for their readers to find out: that takes the
certificates and the log of the authority that they come from.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final

from fromager.derivations.sharing.statement import STATEMENT_TYPE
from fromager.store import NOT_A_RECORD, InvalidRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST: Final = 8 << 20
"""Bytes that a provenance object may have."""
VERSION: Final = 1


def subjects_of(content: bytes) -> frozenset[tuple[str, str]]:
    """The sha256 and the name of each file that an object is about.

    Raises:
        InvalidRecord: it is no provenance object of version 1.
    """
    if len(content) > LARGEST:
        raise InvalidRecord("provenance", f"it has {len(content)} bytes")
    try:
        value = json.loads(content)
        _check(value["version"] == VERSION, f"version {value['version']!r:.40}")
        attestations = []
        for bundle in value["attestation_bundles"]:
            _check(isinstance(bundle["publisher"]["kind"], str), "a publisher")
            _check(bool(bundle["attestations"]), "a bundle without attestations")
            attestations += bundle["attestations"]
        return frozenset(_subject(attestation) for attestation in attestations)
    except NOT_A_RECORD as error:
        raise InvalidRecord("provenance", f"{error!s:.200}") from error


def is_provenance_of(content: bytes, sha256: str) -> bool:
    """Whether it is a provenance object, and about the file with this hash alone."""
    try:
        return {digest for digest, _ in subjects_of(content)} == {sha256}
    except InvalidRecord:
        return False


def _subject(attestation: Mapping[str, Any]) -> tuple[str, str]:
    material, envelope = attestation["verification_material"], attestation["envelope"]
    _check(attestation["version"] == VERSION, "an attestation of another version")
    _check(isinstance(material["transparency_entries"], list), "no log entries")
    for text in (material["certificate"], envelope["signature"]):
        base64.b64decode(text, validate=True)
    statement = json.loads(base64.b64decode(envelope["statement"], validate=True))
    _check(statement["_type"] == STATEMENT_TYPE, "a statement of another kind")
    (subject,) = statement["subject"]
    return str(subject["digest"]["sha256"]).lower(), str(subject["name"])


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)
