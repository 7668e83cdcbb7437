"""The sdist that a plugin wrote: whether it is one, and the same bytes every time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from packaging.utils import InvalidSdistFilename, parse_sdist_filename
from packaging.version import Version

if TYPE_CHECKING:
    from pathlib import Path

_GZIP: Final = b"\x1f\x8b"
_TIME: Final = slice(4, 8)


def check_sdist(folder: Path, package: str, version: str | None) -> str | None:
    """What is wrong with the only file of a folder; None if it is the sdist of a version.

    The time in the header of a gzip file (RFC 1952) is cleared: it is that of the
    build. Times of members are the plugin's to choose.
    """
    found = sorted(folder.iterdir())
    if len(found) != 1 or not found[0].is_file():
        names = ", ".join(path.name for path in found) or "none"
        return f"one sdist must be written, not {names}"
    name = found[0].name
    try:
        said = parse_sdist_filename(name)
    except InvalidSdistFilename:
        return f"{name!r} is no name of an sdist (PEP 625)"
    if said[0] != package or version is None or said[1] != Version(version):
        return f"{name} is not an sdist of {package} {version}"
    with found[0].open("r+b") as file:
        header = bytearray(file.read(8))
        if header[:2] == _GZIP:
            header[_TIME] = bytes(4)
            file.seek(0)
            file.write(header)
    return None
