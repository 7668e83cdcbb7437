"""A project's page on an index, as a value, and the compact form that is cached."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from fromager.derivations.errors import InvalidDerivation
from fromager.store import blob_digest

if TYPE_CHECKING:
    from fromager.store import Digest

PAGE_VERSION: Final = 3
"""Of the compact form; pages in another version are fetched anew."""


@dataclass(frozen=True, slots=True)
class ProjectFile:
    """A file that an index offers (PEP 503, 592, 658, 691, 700)."""

    filename: str
    url: str
    """Absolute, without fragment and without credentials."""
    sha256: str | None
    """64 lower-case hex digits; None where the index promises no such hash."""
    requires_python: str | None
    """The specifier as it is written on the page: it may be invalid."""
    yanked: str | None
    """Why it was yanked, "" if no reason was given; None if it was not."""
    upload_time: datetime | None
    """With a time zone."""
    size: int | None
    """Bytes."""
    has_metadata: bool
    """Whether core metadata lies beside the file, at its URL plus `.metadata`."""
    metadata_sha256: str | None
    provenance: str | None = None
    """Where a provenance object lies (PEP 740); absolute."""


@dataclass(frozen=True, slots=True)
class ProjectPage:
    """All that an index says of a project."""

    project: str
    """The normalised name (PEP 503)."""
    files: tuple[ProjectFile, ...]
    """In the order of the page."""
    quarantined: str | None = None
    """Why the index holds the project back (PEP 792), "" if no reason was given; None
    if it does not."""


def page_digest(page: ProjectPage) -> Digest:
    """Names what the page says, whatever its form and its mirror.

    A URL counts only where no hash says which bytes lie there, so that links which
    are signed anew for every visitor change nothing.
    """
    rows = [_row(file) for file in page.files]
    for row, file in zip(rows, page.files, strict=True):
        if file.sha256 is not None:
            row[1] = None
        # What is attested of a file changes nothing in what can be built of it.
        row.pop()
    rows.sort(key=lambda row: str(row[0]))
    return blob_digest(_json([PAGE_VERSION, page.project, page.quarantined, rows]))


def dump_page(page: ProjectPage) -> bytes:
    """The compact form; `load_page` reads it."""
    rows = [_row(file) for file in page.files]
    return _json([PAGE_VERSION, page.project, page.quarantined, rows])


def load_page(content: bytes) -> ProjectPage:
    """The page that `dump_page` wrote.

    Raises:
        InvalidDerivation: anything else.
    """
    try:
        version, project, quarantined, rows = json.loads(content)
        if version != PAGE_VERSION:
            raise ValueError(f"version {version}")
        files = tuple(_file(*row) for row in rows)
        return ProjectPage(project, files, quarantined)
    except (ValueError, TypeError) as error:
        raise InvalidDerivation("cached page", str(error)) from error


def _row(file: ProjectFile) -> list[object]:
    uploaded = file.upload_time
    return [
        file.filename,
        file.url,
        file.sha256,
        file.requires_python,
        file.yanked,
        None if uploaded is None else uploaded.isoformat(),
        file.size,
        file.has_metadata,
        file.metadata_sha256,
        file.provenance,
    ]


def _file(
    filename: str,
    url: str,
    sha256: str | None,
    requires_python: str | None,
    yanked: str | None,
    uploaded: str | None,
    size: int | None,
    has_metadata: bool,
    metadata_sha256: str | None,
    provenance: str | None,
) -> ProjectFile:
    return ProjectFile(
        filename,
        url,
        sha256,
        requires_python,
        yanked,
        None if uploaded is None else datetime.fromisoformat(uploaded),
        size,
        has_metadata,
        metadata_sha256,
        provenance,
    )


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True).encode("ascii")
