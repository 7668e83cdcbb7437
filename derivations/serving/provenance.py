"""Provenance objects (PEP 740) that somebody made of wheels: read, and offered as they are.

Whether the signatures in them hold is for their readers to find out: that takes the
certificates and the log of the authority that they come from.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from fromager.derivations.errors import InputError
from fromager.derivations.sharing.statement import STATEMENT_TYPE
from fromager.store import NOT_A_RECORD

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SUFFIX: Final = ".provenance"
"""What follows the name of a wheel in that of its provenance."""
MEDIA_TYPE: Final = "application/vnd.pypi.integrity.v1+json"
LARGEST: Final = 8 << 20
"""Bytes that a provenance object may have."""
VERSION: Final = 1


@dataclass(frozen=True)
class Provenances:
    """Provenance objects, by the sha256 and the name of the wheel that each is about."""

    objects: Mapping[tuple[str, str], bytes] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.objects)

    def of(self, sha256: str, filename: str) -> bytes | None:
        """The object about a wheel; None if there is none."""
        return self.objects.get((sha256, _normal(filename)))


def read_provenances(folder: Path) -> Provenances:
    """All `<wheel>.provenance` in a folder.

    Raises:
        InputError: there is none, or one is not what PEP 740 says.
    """
    found: dict[tuple[str, str], bytes] = {}
    try:
        paths = sorted(p for p in folder.iterdir() if p.name.endswith(SUFFIX))
        for path in paths:
            content = path.read_bytes()
            found[subject_of(content, path.name)] = content
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{folder} cannot be read: {reason}") from error
    if not found:
        raise InputError(
            f"there is no provenance in {folder}",
            hint="Name each file as its wheel, with .provenance behind it",
        )
    return Provenances(found)


def subject_of(content: bytes, name: str) -> tuple[str, str]:
    """The sha256 and the normalised name of the wheel that an object is about; `name` is
    the object's own, for errors.

    Raises:
        InputError: it is no provenance object, or not about one wheel.
    """
    if len(content) > LARGEST:
        raise InputError(f"{name} is no provenance: it has {len(content)} bytes")
    try:
        value = json.loads(content)
        _check(value["version"] == VERSION, f"version {value['version']!r:.40}")
        attestations = []
        for bundle in value["attestation_bundles"]:
            _check(isinstance(bundle["publisher"]["kind"], str), "a publisher")
            _check(bool(bundle["attestations"]), "a bundle without attestations")
            attestations += bundle["attestations"]
        subjects = {_subject(attestation) for attestation in attestations}
        _check(len(subjects) == 1, f"it is about {len(subjects)} files")
    except (*NOT_A_RECORD, InvalidWheelFilename) as error:
        raise InputError(
            f"{name} is no provenance of a wheel: {error!s:.200}",
            hint="It must be a provenance object of PEP 740, version 1",
        ) from error
    return subjects.pop()


def _subject(attestation: Mapping[str, Any]) -> tuple[str, str]:
    material, envelope = attestation["verification_material"], attestation["envelope"]
    _check(attestation["version"] == VERSION, "an attestation of another version")
    _check(isinstance(material["transparency_entries"], list), "no log entries")
    for text in (material["certificate"], envelope["signature"]):
        base64.b64decode(text, validate=True)
    statement = json.loads(base64.b64decode(envelope["statement"], validate=True))
    _check(statement["_type"] == STATEMENT_TYPE, "a statement of another kind")
    (subject,) = statement["subject"]
    sha256 = str(subject["digest"]["sha256"]).lower()
    return sha256, _normal(str(subject["name"]))


def _normal(filename: str) -> str:
    """The name of a wheel as all its spellings have it.

    Raises:
        InvalidWheelFilename: it is none.
    """
    name, version, build, tags = parse_wheel_filename(filename)
    return f"{name}-{version}-{build}-{'.'.join(sorted(map(str, tags)))}"


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)
