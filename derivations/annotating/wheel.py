"""Writing an annotation into a wheel: a new file, in normal form, the same every time."""

from __future__ import annotations

import base64
import calendar
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zipfile import ZipFile, ZipInfo

from packaging.utils import canonicalize_name, parse_wheel_filename

from fromager.derivations.annotating.sbom import MEDIA_NAME, Component, cyclonedx
from fromager.derivations.building.wheel import normalise
from fromager.derivations.core_metadata import parse_headers
from fromager.derivations.errors import WheelRefused

if TYPE_CHECKING:
    from pathlib import Path

    from fromager.derivations.annotating.annotation import Annotation, Origin
    from fromager.derivations.building.wheel import Normalised


@dataclass(frozen=True, slots=True)
class Annotated:
    """A wheel that was annotated."""

    filename: str
    digests: Normalised


def annotate(
    wheel: Path, folder: Path, annotation: Annotation, origin: Origin | None
) -> Annotated:
    """Write a wheel that is in normal form into a folder, with an annotation.

    All that was in it stays as it is, but METADATA, WHEEL and RECORD.

    Raises:
        WheelRefused: it already has a file of a name that the annotation gives.
    """
    name, version, _, _ = parse_wheel_filename(wheel.name)
    filename = tagged_name(wheel.name, annotation)
    with wheel.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    raw = folder / f"{filename}.raw"
    with ZipFile(wheel) as packed, ZipFile(raw, "w") as out:
        members = packed.infolist()
        record = next(m for m in members if _is_in_dist_info(m.filename, "RECORD"))
        top = record.filename.partition("/")[0]
        metadata = packed.read(f"{top}/METADATA")
        added = {f"{top}/{path}": text.encode() for path, text in annotation.files}
        if annotation.sbom is not None:
            licence = parse_headers(metadata).first("License-Expression")
            component = Component(
                canonicalize_name(name), str(version), licence, sha256, origin
            )
            path = f"{top}/sboms/{MEDIA_NAME}"
            added[path] = cyclonedx(component, annotation.sbom)
        for path in added.keys() & set(packed.namelist()):
            subject = f"{name}=={version}"
            raise WheelRefused(subject, f"its wheel already has a file {path}")
        changed = {
            f"{top}/METADATA": _with_external(metadata, annotation.requires_external),
            f"{top}/WHEEL": _with_build(packed.read(f"{top}/WHEEL"), annotation),
        }
        for member in members:
            if member is not record:
                content = changed.get(member.filename)
                data = packed.read(member) if content is None else content
                out.writestr(member, data)
        for path, data in sorted(added.items()):
            out.writestr(_header(path, record), data)
        rows = _rows(packed.read(record).decode(), {**changed, **added}, record)
        out.writestr(record, rows)
        epoch = calendar.timegm((*record.date_time, 0, 0, 0))
    digests = normalise(raw, folder / filename, epoch=epoch)
    raw.unlink()
    return Annotated(filename, digests)


def tagged_name(filename: str, annotation: Annotation) -> str:
    """The wheel's file name, with the annotation's build tag if it has one."""
    if annotation.build_tag is None:
        return filename
    name, version, *rest = filename.split("-")
    return "-".join((name, version, str(annotation.build_tag), *rest[-3:]))


def _with_external(metadata: bytes, names: tuple[str, ...]) -> bytes:
    if not names:
        return metadata
    lines = "".join(f"Requires-External: {name}\n" for name in names).encode()
    end = re.search(rb"\r?\n\r?\n", metadata)
    if end is None:
        return metadata.rstrip(b"\r\n") + b"\n" + lines
    return metadata[: end.start()] + b"\n" + lines + b"\n" + metadata[end.end() :]


def _with_build(wheel: bytes, annotation: Annotation) -> bytes:
    if annotation.build_tag is None:
        return wheel
    lines = [
        line
        for line in wheel.decode("utf-8", "surrogateescape").split("\n")
        if line.strip() and not line.lower().startswith("build:")
    ]
    lines.append(f"Build: {annotation.build_tag}")
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


def _rows(record: str, contents: dict[str, bytes], own: ZipInfo) -> str:
    """A RECORD with rows for new and changed files in place of those that it has."""
    import csv
    import io

    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    for row in csv.reader(io.StringIO(record, newline="")):
        if row and row[0] not in contents and row[0] != own.filename:
            writer.writerow(row)
    for path, data in sorted(contents.items()):
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest())
        encoded = digest.rstrip(b"=").decode("ascii")
        writer.writerow((path, f"sha256={encoded}", len(data)))
    writer.writerow((own.filename, "", ""))
    return text.getvalue()


def _header(path: str, like: ZipInfo) -> ZipInfo:
    header = ZipInfo(path, like.date_time)
    header.create_system = 3
    header.external_attr = like.external_attr
    return header


def _is_in_dist_info(path: str, name: str) -> bool:
    folder, _, rest = path.partition("/")
    return folder.endswith(".dist-info") and rest == name
