"""Wheels as a backend wrote them: checked, and brought into normal form.

A wheel that could be read in two ways, or that does not hold what its RECORD says, is
refused and never repaired. What is left differs in nothing but the container, and that
the normal form `wheel-nf/1` fixes: order, times, modes, no compression, no folders.
Contents are never touched.
"""

from __future__ import annotations

import hashlib
import json
import stat
import time
import unicodedata
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from zipfile import BadZipFile, ZipFile, ZipInfo

from packaging.utils import (
    InvalidWheelFilename,
    canonicalize_name,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from fromager.derivations.building.record import (
    InvalidRecordFile,
    Row,
    format_record,
    parse_record,
)
from fromager.derivations.building.zip_structure import structure_fault
from fromager.derivations.core_metadata import Headers, parse_headers
from fromager.derivations.errors import WheelRefused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIGNATURES: Final = ("RECORD.jws", "RECORD.p7s")
"""Deprecated by PEP 815; they sign a RECORD that the normal form replaces."""

_CHUNK: Final = 1 << 20
_EARLIEST: Final = 315532800
_LATEST: Final = 4354819198


@dataclass(frozen=True, slots=True)
class BuiltWheel:
    """What a wheel says of itself."""

    filename: str
    tags: tuple[str, ...]
    """Those of its name (PEP 425), expanded and sorted."""
    metadata: bytes
    """Its METADATA file."""
    requires_dist: tuple[str, ...]
    requires_python: str | None
    provides_extra: tuple[str, ...]
    root_is_purelib: bool
    entry_points: bytes
    """Its entry_points.txt; empty if it has none."""


@dataclass(frozen=True, slots=True)
class Normalised:
    """The digests of a wheel, from the strongest to the weakest sameness."""

    filename: str
    raw_sha256: str
    """Of the file that the backend wrote."""
    sha256: str
    """Of the file in normal form."""
    content_sha256: str
    """Of names, executable bits and contents; RECORD is left out."""

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """As they are recorded of a realisation."""
        return (
            ("content_sha256", self.content_sha256),
            ("filename", self.filename),
            ("raw_sha256", self.raw_sha256),
            ("sha256", self.sha256),
        )


def inspect_wheel(path: Path, *, name: str, version: Version) -> BuiltWheel:
    """Check a wheel in all but its contents' hashes, which `normalise` checks.

    Raises:
        WheelRefused: it is for another name or version, or malformed.
    """
    with _opened(path, f"{name}=={version}") as wheel:
        return wheel.describe(name, version)


def check_wheel(path: Path, *, name: str, version: Version) -> BuiltWheel:
    """Check a wheel wholly.

    Raises:
        WheelRefused: it is for another name or version, malformed, or does not hold
            what its RECORD says.
    """
    with _opened(path, f"{name}=={version}") as wheel:
        built = wheel.describe(name, version)
        for member in wheel.members:
            with wheel.archive.open(member) as stream:
                hasher = wheel.hasher(member.filename)
                while chunk := stream.read(_CHUNK):
                    hasher.update(chunk)
            wheel.check_hash(member, hasher)
        return built


def normalise(path: Path, target: Path, *, epoch: int) -> Normalised:
    """Write a wheel to `target` in normal form, checking its contents on the way.

    All times become `epoch`, in UTC, as even seconds, between 1980 and 2107. The bytes
    depend on nothing but the contents, the executable bits and `epoch`.

    Raises:
        WheelRefused: malformed, or it does not hold what its RECORD says.
    """
    with path.open("rb") as file:
        raw_sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    moment = time.gmtime(min(max(epoch, _EARLIEST), _LATEST))
    date = (*moment[:5], moment.tm_sec & ~1)
    rows: list[tuple[str, bytes, int]] = []
    content: list[tuple[str, bool, str]] = []
    with _opened(path, path.name) as wheel, ZipFile(target, "w") as out:
        for member in wheel.members:
            header = _header(member.filename, date, _executable(member))
            sha256 = wheel.copy(member, header, out)
            rows.append((member.filename, sha256, member.file_size))
            content.append((member.filename, _executable(member), sha256.hex()))
        record = wheel.file("RECORD")
        header = _header(record, date, executable=False)
        out.writestr(header, format_record(rows, record))
    with target.open("rb") as file:
        sha256_hex = hashlib.file_digest(file, "sha256").hexdigest()
    return Normalised(target.name, raw_sha256, sha256_hex, _content_digest(content))


class _Wheel:
    """An open wheel whose container is in order."""

    def __init__(self, archive: ZipFile, filename: str, subject: str) -> None:
        self.archive, self.filename, self.subject = archive, filename, subject
        members = [info for info in archive.infolist() if not info.is_dir()]
        self._check_names([info.orig_filename for info in archive.infolist()])
        for member in members:
            self._check_member(member)
        self._names = frozenset(info.filename for info in members)
        self.dist_info = self._find_dist_info()
        self._record = self._read_record()
        kept = [m for m in members if m.filename not in self._unrecorded()]
        self.members = sorted(kept, key=self._order)
        """All but RECORD and its signatures, in the order of the normal form."""

    def file(self, name: str) -> str:
        """The path of a file of the dist-info folder."""
        return f"{self.dist_info}/{name}"

    def describe(self, name: str, version: Version) -> BuiltWheel:
        found_name, found_version, tags = self._parse_filename()
        self._expect("file name", found_name, found_version, name, version)
        found_name, _, text = self.dist_info.removesuffix(".dist-info").partition("-")
        self._expect(".dist-info folder", found_name, text, name, version)
        metadata = self._read("METADATA")
        headers = parse_headers(metadata)
        self._expect(
            "METADATA",
            headers.first("Name") or "",
            headers.first("Version") or "",
            name,
            version,
        )
        about = parse_headers(self._read("WHEEL"))
        self._check_about(about)
        points = self.file("entry_points.txt")
        return BuiltWheel(
            self.filename,
            tags,
            metadata,
            headers.all("Requires-Dist"),
            headers.first("Requires-Python") or None,
            headers.all("Provides-Extra"),
            (about.first("Root-Is-Purelib") or "").lower() == "true",
            self.archive.read(points) if points in self._names else b"",
        )

    def hasher(self, name: str) -> hashlib._Hash:
        return hashlib.new(self._record[name].algorithm)

    def check_hash(self, member: ZipInfo, hasher: hashlib._Hash) -> None:
        row = self._record[member.filename]
        if hasher.digest() != row.digest or row.size not in (None, member.file_size):
            raise self.refusal(f"{member.filename!r} is not what RECORD says")

    def copy(self, member: ZipInfo, header: ZipInfo, out: ZipFile) -> bytes:
        """Write a member as it is, check it, and tell its sha256."""
        hasher = self.hasher(member.filename)
        sha256 = hasher if hasher.name == "sha256" else hashlib.sha256()
        # Known beforehand, it decides about 64-bit sizes.
        header.file_size = member.file_size
        with self.archive.open(member) as stream, out.open(header, "w") as writer:
            while chunk := stream.read(_CHUNK):
                writer.write(chunk)
                hasher.update(chunk)
                if sha256 is not hasher:
                    sha256.update(chunk)
        self.check_hash(member, hasher)
        return sha256.digest()

    def refusal(self, reason: str) -> WheelRefused:
        return WheelRefused(self.subject, f"its wheel {self.filename}: {reason}")

    def _check_names(self, names: list[str]) -> None:
        seen: dict[str, str] = {}
        for name in names:
            if fault := name_fault(name):
                raise self.refusal(f"the member {name!r} {fault}")
            same = unicodedata.normalize("NFC", name.rstrip("/")).casefold()
            if same in seen:
                other = seen[same]
                reason = "is there twice" if other == name else f"is {other!r} again"
                raise self.refusal(f"the member {name!r} {reason}")
            seen[same] = name

    def _check_member(self, member: ZipInfo) -> None:
        kind = stat.S_IFMT(member.external_attr >> 16)
        if member.flag_bits & 0x1:
            raise self.refusal(f"the member {member.filename!r} is encrypted")
        if member.create_system == 3 and kind not in (0, stat.S_IFREG):
            raise self.refusal(f"the member {member.filename!r} is no plain file")

    def _find_dist_info(self) -> str:
        found = sorted(
            {
                folder
                for folder, slash, _ in (name.partition("/") for name in self._names)
                if slash and folder.endswith(".dist-info")
            }
        )
        if len(found) != 1:
            reason = f"it has {len(found)} .dist-info folders instead of one"
            raise self.refusal(reason)
        for name in ("METADATA", "RECORD", "WHEEL"):
            if f"{found[0]}/{name}" not in self._names:
                raise self.refusal(f"it has no {name}")
        return found[0]

    def _read_record(self) -> dict[str, Row]:
        try:
            rows = parse_record(self._read("RECORD"))
        except InvalidRecordFile as error:
            raise self.refusal(f"its RECORD is wrong: {error}") from error
        unrecorded = self._unrecorded()
        for name in sorted(self._names - unrecorded):
            if name not in rows:
                raise self.refusal(f"{name!r} is missing from RECORD")
            if not rows[name].algorithm:
                raise self.refusal(f"{name!r} has no hash in RECORD")
        for name in sorted(rows.keys() - self._names - unrecorded):
            raise self.refusal(f"RECORD names {name!r}, which is not there")
        return rows

    def _unrecorded(self) -> frozenset[str]:
        return frozenset(self.file(name) for name in ("RECORD", *SIGNATURES))

    def _order(self, member: ZipInfo) -> tuple[bool, bytes]:
        last = member.filename.startswith(f"{self.dist_info}/")
        return last, member.filename.encode("utf-8", "surrogatepass")

    def _read(self, name: str) -> bytes:
        return self.archive.read(self.file(name))

    def _parse_filename(self) -> tuple[str, str, tuple[str, ...]]:
        try:
            name, version, _, tags = parse_wheel_filename(self.filename)
        except InvalidWheelFilename as error:
            raise self.refusal(f"its name is no wheel's: {error}") from error
        return name, str(version), tuple(sorted(map(str, tags)))

    def _expect(
        self, place: str, found_name: str, text: str, name: str, version: Version
    ) -> None:
        if canonicalize_name(found_name) != canonicalize_name(name):
            reason = f"its {place} is for {found_name!r}, expected {name}"
            raise self.refusal(reason)
        try:
            same = Version(text) == version
        except InvalidVersion:
            same = False
        if not same:
            raise self.refusal(f"its {place} says version {text!r}, not {version}")

    def _check_about(self, about: Headers) -> None:
        text = about.first("Wheel-Version") or "none"
        if text.partition(".")[0] != "1":
            raise self.refusal(f"its WHEEL has the version {text}, expected 1.0")


def name_fault(name: str) -> str | None:
    """Why a name cannot stand in a wheel; None if it can."""
    parts = name.removesuffix("/").split("/")
    if name.startswith("/"):
        return "has an absolute path"
    if ".." in parts or "." in parts or "" in parts:
        return "has a path that is not plain"
    if "\\" in name or "\0" in name:
        return "has a backslash or NUL in its name"
    return None


@contextmanager
def _opened(path: Path, subject: str) -> Iterator[_Wheel]:
    try:
        with path.open("rb") as file, ZipFile(file) as archive:
            if fault := structure_fault(file, archive.infolist()):
                raise WheelRefused(subject, f"its wheel {path.name}: {fault}")
            yield _Wheel(archive, path.name, subject)
    except (
        BadZipFile,
        EOFError,
        NotImplementedError,
        UnicodeError,
        zlib.error,
    ) as error:
        reason = f"its wheel {path.name} is no whole zip file: {error}"
        raise WheelRefused(subject, reason) from error


def _executable(member: ZipInfo) -> bool:
    return member.create_system == 3 and bool(member.external_attr >> 16 & 0o111)


def _header(
    name: str, date: tuple[int, int, int, int, int, int], executable: bool
) -> ZipInfo:
    header = ZipInfo(name, date)
    header.create_system = 3
    header.external_attr = (0o100755 if executable else 0o100644) << 16
    return header


def _content_digest(content: list[tuple[str, bool, str]]) -> str:
    listing = json.dumps(sorted(content), separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(listing.encode("ascii")).hexdigest()
