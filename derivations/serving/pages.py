"""The pages of a package index (PEP 503, 592, 658, 691, 700, 714, 740), as bytes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from fromager.derivations.serving.provenance import SUFFIX
from fromager.derivations.sharing.claims import load_said
from fromager.derivations.sharing.envelope import dump_envelope
from fromager.store import InvalidRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fromager.derivations.serving.offered import OfferedProject, OfferedWheel
    from fromager.derivations.sharing.envelope import Envelope

API_VERSION: Final = "1.1"
"""Of the simple API: with sizes, times and versions (PEP 700)."""
PROVENANCE_VERSION: Final = "1.3"
"""The same with addresses of provenance (PEP 740); told where there are some."""
CLAIMS: Final = ".intoto.jsonl"
"""What follows the name of a file in that of the claims about it."""
BILL: Final = ".cdx.json"
"""What follows the name of a wheel in that of its bill of materials (CycloneDX)."""
SPDX_BILL: Final = ".spdx.json"
"""The same, for the bill in the other format."""


def root_json(projects: Iterable[str]) -> bytes:
    """The list of projects."""
    rows = [{"name": name} for name in projects]
    return _json({"meta": {"api-version": API_VERSION}, "projects": rows})


def root_html(projects: Iterable[str]) -> bytes:
    """The list of projects, as links."""
    links = (f'<a href="{quote(name)}/">{escape(name)}</a><br>' for name in projects)
    return _page("Simple index", links)


def project_json(project: OfferedProject, base: str | None = None) -> bytes:
    """The files of a project.

    Provenance is told where the server's own address, without a slash behind it, is
    known: its addresses must be whole.
    """
    return _json(
        {
            "meta": {"api-version": _version(project, base)},
            "name": project.name,
            "versions": list(project.versions),
            "files": [_row(wheel, base) for wheel in project.listed],
        }
    )


def project_html(project: OfferedProject, base: str | None = None) -> bytes:
    """The files of a project, as links; see `project_json`."""
    links = (_anchor(wheel, base) for wheel in project.listed)
    return _page(f"Links for {project.name}", links, _version(project, base))


def claims_bundle(claims: Iterable[Envelope]) -> bytes:
    """What builders signed about a file: an in-toto bundle, one envelope a line.

    These are no provenance objects of PEP 740, which need a certificate of an authority
    and an entry in a log that all can see. A key that its owner made has neither.
    """
    return b"".join(b"%b\n" % dump_envelope(claim) for claim in _by_builder(claims))


def _by_builder(claims: Iterable[Envelope]) -> list[Envelope]:
    found = []
    for claim in claims:
        try:
            found.append((load_said(claim.payload).builder, claim))
        except InvalidRecord:
            continue
    found.sort(key=lambda each: (each[0], each[1].payload))
    return [claim for _, claim in found]


def _row(wheel: OfferedWheel, base: str | None) -> dict[str, object]:
    place = _link(wheel)
    metadata = {"sha256": wheel.metadata_sha256}
    return {
        "filename": wheel.filename,
        "url": place,
        "hashes": {"sha256": wheel.sha256},
        **_given({"requires-python": wheel.requires_python}),
        "size": wheel.size,
        "upload-time": _time(wheel.uploaded),
        "yanked": False,
        # The first is what PEP 714 calls it, the second what clients before it read.
        "core-metadata": metadata,
        "dist-info-metadata": metadata,
        **_given({"provenance": _provenance(wheel, base)}),
        # Names that begin so are the index's own (PEP 691).
        "_sbom": f"{place}{BILL}",
        **({"_claims": f"{place}{CLAIMS}"} if wheel.claims else {}),
    }


def _anchor(wheel: OfferedWheel, base: str | None) -> str:
    place, metadata = _link(wheel), f"sha256={wheel.metadata_sha256}"
    attributes = {
        "href": f"{place}#sha256={wheel.sha256}",
        **_given({"data-requires-python": wheel.requires_python}),
        "data-core-metadata": metadata,
        "data-dist-info-metadata": metadata,
        **_given({"data-provenance": _provenance(wheel, base)}),
    }
    pairs = " ".join(f'{name}="{escape(text)}"' for name, text in attributes.items())
    return f"<a {pairs}>{escape(wheel.filename)}</a><br>"


def _link(wheel: OfferedWheel) -> str:
    """The address of a wheel as seen from its project's page, whatever lies above."""
    return f"../../{quote(wheel.place)}"


def _provenance(wheel: OfferedWheel, base: str | None) -> str | None:
    if wheel.provenance is None or base is None:
        return None
    return f"{base}/{quote(wheel.place)}{SUFFIX}"


def _version(project: OfferedProject, base: str | None) -> str:
    told = any(_provenance(wheel, base) for wheel in project.listed)
    return PROVENANCE_VERSION if told else API_VERSION


def _given(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name: text for name, text in values.items() if text is not None}


def _time(seconds: int) -> str:
    """As PEP 700 demands: with microseconds, and in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _page(title: str, lines: Iterable[str], version: str = API_VERSION) -> bytes:
    head = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="pypi:repository-version" content="{version}">\n'
        f"<title>{escape(title)}</title>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
    )
    return "\n".join([head + "\n".join(lines), "</body>", "</html>", ""]).encode()


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
