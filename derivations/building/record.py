"""RECORD: the list of a wheel's or an installation's files (PyPA, "recording")."""

from __future__ import annotations

import base64
import binascii
import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

ALGORITHMS: Final = frozenset({"sha256", "sha384", "sha512"})
"""Those that the wheel specification allows: sha256 or better."""


class InvalidRecordFile(ValueError):
    """A RECORD that cannot be read; its text says why."""


@dataclass(frozen=True, slots=True)
class Row:
    """What RECORD says of one file."""

    algorithm: str
    """One of `ALGORITHMS`, or empty where no hash is given."""
    digest: bytes
    size: int | None


def parse_record(content: bytes) -> dict[str, Row]:
    """The rows of a RECORD by path.

    Raises:
        InvalidRecordFile: no CSV of three columns, two different rows for one path, or
            a hash that is none or is weaker than sha256.
    """
    rows: dict[str, Row] = {}
    try:
        for cells in csv.reader(io.StringIO(content.decode("utf-8"), newline="")):
            if not cells:
                continue
            path, row = _row(cells)
            if rows.setdefault(path, row) != row:
                raise InvalidRecordFile(f"{path!r} is there twice")
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidRecordFile(f"it cannot be read: {error}") from error
    return rows


def format_record(rows: Iterable[tuple[str, bytes, int]], own: str) -> bytes:
    """A RECORD of (path, sha256, size), in the order given, its `own` path last."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    for path, sha256, size in rows:
        encoded = base64.urlsafe_b64encode(sha256).rstrip(b"=").decode("ascii")
        writer.writerow((path, f"sha256={encoded}", size))
    writer.writerow((own, "", ""))
    return text.getvalue().encode("utf-8")


def _row(cells: list[str]) -> tuple[str, Row]:
    if len(cells) != 3:
        raise InvalidRecordFile(f"a row has {len(cells)} columns instead of 3")
    path, encoded, size = cells
    algorithm, _, value = encoded.partition("=")
    if encoded and algorithm not in ALGORITHMS:
        raise InvalidRecordFile(f"{path!r} has a hash of kind {algorithm!r}")
    if size and not (size.isascii() and size.isdecimal()):
        raise InvalidRecordFile(f"{path!r} has the size {size!r}")
    try:
        padding = "=" * (-len(value) % 4)
        digest = base64.b64decode(value + padding, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRecordFile(f"{path!r} has a hash that is none") from error
    return path, Row(algorithm, digest, int(size) if size else None)
