"""A simple index as files: HTML (PEP 503) and JSON (PEP 691, version 1.1), by links
that work wherever it lies, over `file:` and over HTTP.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

API_VERSION: Final = "1.1"
"""The newest whose promises files alone can keep."""


@dataclass(frozen=True, slots=True)
class IndexedWheel:
    """A wheel as an index shows it."""

    name: str
    version: str
    filename: str
    sha256: str
    size: int
    """Bytes."""
    requires_python: str | None
    metadata_sha256: str
    """Of its METADATA file, which lies beside it (PEP 658)."""


def index_pages(wheels: Sequence[IndexedWheel], up: str) -> Mapping[str, bytes]:
    """The pages of an index, by path; `up` leads from its root to the wheels' folder."""
    by_name: dict[str, list[IndexedWheel]] = {}
    for wheel in sorted(wheels, key=lambda each: (each.name, Version(each.version))):
        by_name.setdefault(wheel.name, []).append(wheel)
    anchors = [f'<a href="{name}/">{name}</a>' for name in by_name]
    projects = [{"name": name} for name in by_name]
    pages = {
        "index.html": _html("Simple index", anchors),
        "index.json": _json({"projects": projects}),
    }
    for name, found in by_name.items():
        links = [_anchor(wheel, f"../{up}") for wheel in found]
        pages[f"{name}/index.html"] = _html(f"Links for {name}", links)
        versions = list(dict.fromkeys(wheel.version for wheel in found))
        files = [_row(wheel, f"../{up}") for wheel in found]
        value = {"name": name, "versions": versions, "files": files}
        pages[f"{name}/index.json"] = _json(value)
    return pages


def _anchor(wheel: IndexedWheel, up: str) -> str:
    url = f"{up}/{quote(wheel.filename)}#sha256={wheel.sha256}"
    attributes = [f'href="{escape(url)}"']
    if wheel.requires_python:
        attributes.append(f'data-requires-python="{escape(wheel.requires_python)}"')
    # The one name is that of PEP 714, the other that of PEP 658 before it.
    for name in ("data-core-metadata", "data-dist-info-metadata"):
        attributes.append(f'{name}="sha256={wheel.metadata_sha256}"')
    return f"<a {' '.join(attributes)}>{escape(wheel.filename)}</a>"


def _row(wheel: IndexedWheel, up: str) -> dict[str, object]:
    row: dict[str, object] = {
        "filename": wheel.filename,
        "url": f"{up}/{quote(wheel.filename)}",
        "hashes": {"sha256": wheel.sha256},
        "size": wheel.size,
        "core-metadata": {"sha256": wheel.metadata_sha256},
    }
    if wheel.requires_python:
        row["requires-python"] = wheel.requires_python
    return row


def _html(title: str, anchors: Sequence[str]) -> bytes:
    lines = [
        "<!DOCTYPE html>",
        "<html>",
        "<head>",
        '<meta charset="utf-8">',
        f'<meta name="pypi:repository-version" content="{API_VERSION}">',
        f"<title>{title}</title>",
        "</head>",
        "<body>",
        f"<h1>{title}</h1>",
        *(f"{anchor}<br>" for anchor in anchors),
        "</body>",
        "</html>",
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def _json(value: Mapping[str, object]) -> bytes:
    whole = {"meta": {"api-version": API_VERSION}, **value}
    return (json.dumps(whole, indent=1, sort_keys=True) + "\n").encode()
