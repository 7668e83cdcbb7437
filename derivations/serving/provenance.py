"""Provenance objects (PEP 740) that somebody made of wheels: read, and offered as they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from fromager.derivations.errors import InputError
from fromager.derivations.sharing.provenance import subjects_of
from fromager.store import InvalidRecord

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SUFFIX: Final = ".provenance"
"""What follows the name of a wheel in that of its provenance."""
MEDIA_TYPE: Final = "application/vnd.pypi.integrity.v1+json"


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
    try:
        subjects = {(sha256, _normal(file)) for sha256, file in subjects_of(content)}
        if len(subjects) != 1:
            raise InvalidRecord("provenance", f"it is about {len(subjects)} files")
    except (InvalidRecord, InvalidWheelFilename) as error:
        raise InputError(
            f"{name} is no provenance of a wheel: {error!s:.200}",
            hint="It must be a provenance object of PEP 740, version 1",
        ) from error
    return subjects.pop()


def _normal(filename: str) -> str:
    """The name of a wheel as all its spellings have it.

    Raises:
        InvalidWheelFilename: it is none.
    """
    name, version, build, tags = parse_wheel_filename(filename)
    return f"{name}-{version}-{build}-{'.'.join(sorted(map(str, tags)))}"
