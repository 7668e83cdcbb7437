"""What is put into a wheel once it is built; no build and no dependant sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from fromager.derivations.derivation import Value


@dataclass(frozen=True, slots=True)
class BuildTag:
    """The build tag of a wheel's file name: `3`, or `3_el9`."""

    number: int
    suffix: str = ""
    """Empty, or parts that each begin with an underscore."""

    def __str__(self) -> str:
        return f"{self.number}{self.suffix}"


@dataclass(frozen=True, slots=True)
class SbomWish:
    """What the SBOM in a wheel says that cannot be known from the wheel."""

    supplier: str = ""
    namespace: str = ""
    """The address under which its supplier publishes SBOMs."""
    creators: tuple[str, ...] = ()
    purl: tuple[tuple[str, str], ...] = ()
    """Parts of the package URL that are not the usual ones, by name, sorted: `type`,
    `namespace`, `name`, `version`, `repository-url`, `upstream`."""

    @property
    def value(self) -> Mapping[str, Value]:
        """As it stands in a derivation."""
        return {
            "supplier": self.supplier,
            "namespace": self.namespace,
            "creators": self.creators,
            "purl": dict(self.purl),
        }


@dataclass(frozen=True, slots=True)
class Annotation:
    """What one wheel gets."""

    build_tag: BuildTag | None = None
    requires_external: tuple[str, ...] = ()
    """Requires-External of its METADATA."""
    files: tuple[tuple[str, str], ...] = ()
    """Paths in its `.dist-info` folder and texts, sorted."""
    sbom: SbomWish | None = None

    def __bool__(self) -> bool:
        return self != NOTHING

    @property
    def value(self) -> Mapping[str, Value]:
        """As it stands in a derivation."""
        return {
            "build_tag": None
            if self.build_tag is None
            else {"number": self.build_tag.number, "suffix": self.build_tag.suffix},
            "requires_external": self.requires_external,
            "files": dict(self.files),
            "sbom": None if self.sbom is None else self.sbom.value,
        }


NOTHING: Final = Annotation()


@dataclass(frozen=True, slots=True)
class Origin:
    """The file that a wheel was built from."""

    filename: str
    sha256: str

    @property
    def value(self) -> Mapping[str, Value]:
        """As it stands in a derivation."""
        return {"filename": self.filename, "sha256": self.sha256}


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a derivation says of an annotation; it can be read back."""

    annotation: Annotation = field(default=NOTHING)
    origin: Origin | None = None

    @classmethod
    def parse(cls, value: Value, origin: Value) -> Recorded:
        """What the values of both told.

        Raises:
            ValueError: they are none.
        """
        match value:
            case {
                "build_tag": tag,
                "requires_external": tuple(external),
                "files": Mapping() as files,
                "sbom": sbom,
            }:
                annotation = Annotation(
                    _tag(tag),
                    tuple(map(str, external)),
                    tuple(sorted((name, str(text)) for name, text in files.items())),
                    _sbom(sbom),
                )
                return cls(annotation, _origin(origin))
        raise ValueError(f"{value!r} is no annotation")


def _tag(value: Value) -> BuildTag | None:
    match value:
        case None:
            return None
        case {"number": int(number), "suffix": str(suffix)}:
            return BuildTag(number, suffix)
    raise ValueError(f"{value!r} is no build tag")


def _sbom(value: Value) -> SbomWish | None:
    match value:
        case None:
            return None
        case {
            "supplier": str(supplier),
            "namespace": str(namespace),
            "creators": tuple(creators),
            "purl": Mapping() as purl,
        }:
            parts = tuple(sorted((name, str(part)) for name, part in purl.items()))
            return SbomWish(supplier, namespace, tuple(map(str, creators)), parts)
    raise ValueError(f"{value!r} says nothing of an SBOM")


def _origin(value: Value) -> Origin | None:
    match value:
        case None:
            return None
        case {"filename": str(filename), "sha256": str(sha256)}:
            return Origin(filename, sha256)
    raise ValueError(f"{value!r} is no origin")
