"""Pages of the simple repository API: HTML (PEP 503) and JSON (PEP 691, 700, 714, 792).

Rows that cannot be understood are left out, as one bad upload must not hide a
project. A page that is no project page at all is an error.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final
from urllib.parse import unquote, urljoin

from fromager.derivations.errors import NetworkError
from fromager.derivations.index.address import without_credentials
from fromager.derivations.index.answers import MAX_PAGE_SIZE
from fromager.derivations.index.page import ProjectFile, ProjectPage

ACCEPT: Final = (
    "application/vnd.pypi.simple.v1+json, "
    "application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
)
"""The header that asks for JSON first."""

QUARANTINED: Final = "quarantined"
"""The status of a project that must not be installed (PEP 792)."""

_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
_DISTRIBUTION: Final = re.compile(
    r"\.(?:whl|egg|zip|tgz|tbz|tar(?:\.(?:gz|bz2|xz|Z|lzma|zst))?|exe|msi|rpm|deb|dmg)$"
)
_BAD_NAME: Final = re.compile(r"[/\\\x00-\x1f\x7f]|^\.")
_NOT_A_PROJECT: Final = (
    "Check the address of the index: it must be that of a simple repository API, "
    "often ending in /simple/"
)


def parse_page(
    content: bytes, content_type: str, url: str, project: str
) -> ProjectPage:
    """What the page at `url` says of a project, given its normalised name.

    Links are resolved against `url`, or the page's own base.

    Raises:
        NetworkError: not a project page of version 1 of the API.
    """
    if len(content) > MAX_PAGE_SIZE:
        raise NetworkError(
            url, f"the page has {len(content)} bytes", hint=_NOT_A_PROJECT
        )
    kind = content_type.partition(";")[0].strip().lower()
    start = content[:200].lstrip(b"\xef\xbb\xbf \t\r\n")
    if kind.endswith("json") or (not kind.endswith("html") and start[:1] == b"{"):
        files, quarantined = _json_files(content, url)
    elif kind.endswith("html") or start[:1] == b"<":
        files, quarantined = _html_files(content, content_type, url)
    else:
        reason = f"the answer is no project page, but {kind or 'of unknown type'}"
        raise NetworkError(url, reason, hint=_NOT_A_PROJECT)
    return ProjectPage(project, files, quarantined)


def _json_files(content: bytes, url: str) -> tuple[tuple[ProjectFile, ...], str | None]:
    """The files of a page, and why the project is in quarantine, if it is."""
    import json

    try:
        page = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise NetworkError(url, "the page is not valid JSON") from error
    try:
        version, rows = str(page["meta"]["api-version"]), page["files"]
    except (KeyError, TypeError) as error:
        reason = "the answer is JSON, but no project page"
        raise NetworkError(url, reason, hint=_NOT_A_PROJECT) from error
    _check_version(version, url)
    if not isinstance(rows, list):
        raise NetworkError(url, "the page lists no files", hint=_NOT_A_PROJECT)
    found = (_json_file(row, url) for row in rows if isinstance(row, dict))
    files = tuple(file for file in found if file is not None)
    return files, _quarantine(page.get("project-status"))


def _quarantine(status: object) -> str | None:
    if not isinstance(status, dict) or status.get("status") != QUARANTINED:
        return None
    reason = status.get("reason")
    return reason if isinstance(reason, str) else ""


def _json_file(row: dict[str, object], page_url: str) -> ProjectFile | None:
    filename, url, size = row.get("filename"), row.get("url"), row.get("size")
    if not isinstance(filename, str) or not isinstance(url, str):
        return None
    address = _resolve(url, page_url)
    if address is None or _BAD_NAME.search(filename):
        return None
    hashes, requires = row.get("hashes"), row.get("requires-python")
    metadata = row.get("core-metadata", row.get("dist-info-metadata"))
    return ProjectFile(
        filename,
        address,
        _sha256(hashes.get("sha256")) if isinstance(hashes, dict) else None,
        requires if isinstance(requires, str) and requires else None,
        _reason(row.get("yanked")),
        _time(row.get("upload-time")),
        size if isinstance(size, int) and size >= 0 else None,
        bool(metadata),
        _sha256(metadata.get("sha256")) if isinstance(metadata, dict) else None,
        _address(row.get("provenance"), page_url),
    )


def _html_files(
    content: bytes, content_type: str, url: str
) -> tuple[tuple[ProjectFile, ...], str | None]:
    from fromager.derivations.index.anchors import read_anchors

    charset = re.search(r"charset=\"?([\w-]+)", content_type)
    try:
        text = content.decode(charset[1] if charset else "utf-8", errors="replace")
    except LookupError:
        text = content.decode("utf-8", errors="replace")
    listing = read_anchors(text)
    stated = listing.meta.get("pypi:repository-version")
    if stated is not None:
        _check_version(stated, url)
    base = (_resolve(listing.base, url) if listing.base else None) or url
    found = (_html_file(attributes, label, base) for attributes, label in listing.links)
    files = tuple(file for file in found if file is not None)
    if not files and (listing.is_application or not listing.is_html):
        reason = "the answer is some web page, but no project page"
        raise NetworkError(url, reason, hint=_NOT_A_PROJECT)
    if listing.meta.get("pypi:project-status") != QUARANTINED:
        return files, None
    return files, listing.meta.get("pypi:project-status-reason", "")


def _html_file(attributes: dict[str, str], label: str, base: str) -> ProjectFile | None:
    href, _, fragment = attributes.get("href", "").partition("#")
    address = _resolve(href.strip(), base)
    if address is None:
        return None
    filename = unquote(address.partition("?")[0].rpartition("/")[2])
    if not _DISTRIBUTION.search(filename):
        filename = label
    if not _DISTRIBUTION.search(filename) or _BAD_NAME.search(filename):
        return None
    promised = re.search(r"(?:^|&)sha256=([0-9A-Fa-f]{64})(?:&|$)", fragment)
    metadata = attributes.get(
        "data-core-metadata", attributes.get("data-dist-info-metadata", "false")
    )
    size = attributes.get("data-size", "")
    return ProjectFile(
        filename,
        address,
        promised[1].lower() if promised else None,
        attributes.get("data-requires-python") or None,
        attributes.get("data-yanked"),
        _time(attributes.get("data-upload-time")),
        int(size) if size.isascii() and size.isdigit() else None,
        metadata.lower() != "false",
        _sha256(metadata.removeprefix("sha256=")),
        _address(attributes.get("data-provenance"), base),
    )


def _check_version(version: str, url: str) -> None:
    if version.partition(".")[0] != "1":
        raise NetworkError(
            url,
            f"the page is of version {version!r} of the API; version 1 is understood",
            hint="Use another index, or a newer version of this program",
        )


def _resolve(link: str, base: str) -> str | None:
    if not link.startswith(("https://", "http://")):
        try:
            link = urljoin(base, link)
        except ValueError:
            return None
        # A page from the network must not make us read files of this machine.
        local = base.startswith("file:") and link.startswith("file:")
        if not local and not link.startswith(("https://", "http://")):
            return None
    if "#" in link:
        link = link.partition("#")[0]
    return without_credentials(link) if "@" in link else link


def _address(value: object, base: str) -> str | None:
    return _resolve(value, base) if isinstance(value, str) and value else None


def _sha256(value: object) -> str | None:
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        return None
    return value.lower()


def _reason(yanked: object) -> str | None:
    if isinstance(yanked, str):
        return yanked
    return "" if yanked is True else None


def _time(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
