"""Places of sources as locks write them: PEP 751 keys, and paths relative to the lock.

In memory paths are absolute; only here they are written relative to a lock's folder,
and read again.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote, urlsplit

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from fromager.derivations.errors import InputError
from fromager.derivations.locking.errors import InvalidLock
from fromager.derivations.sources.direct import (
    ArchiveSource,
    DirectRequirement,
    FolderSource,
    GitSource,
    parse_source,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fromager.derivations.sources.direct import DirectSource

ORIGIN: Final = "the lock"
"""Where requirements of a lock were written, as shown to people."""
_DIRECT: Final = re.compile(r"(?P<name>[^\s@]+) @ (?P<place>\S+)(?: ; (?P<marker>.+))?")
_UNQUOTED: Final = "/:+@~,=&!$'()*"


def local_path(source: DirectSource) -> str | None:
    """The absolute path of a source that lies on this machine; None of others."""
    match source:
        case FolderSource(path):
            return path
        case ArchiveSource(url) if url.startswith("file:"):
            return unquote(urlsplit(url).path)
    return None


def written_path(path: str, folder: Path | None) -> str:
    """A path as it stands in a lock that lies in a folder; None: as it is."""
    return path if folder is None else Path(posixpath.relpath(path, folder)).as_posix()


def read_path(text: str, folder: Path) -> str:
    """The absolute path that was written so in a lock that lies in a folder."""
    return posixpath.normpath(folder / text)


def written_requirement(given: DirectRequirement, folder: Path | None) -> str:
    """A requirement with its place, as it stands in a lock; `read_requirement` reads it.

    Raises:
        InputError: it does not name its project.
    """
    if given.name is None:
        raise InputError(
            f"{given.origin}: {given} is locked only with the name of its project",
            hint="Write NAME @ PLACE",
        )
    extras = f"[{','.join(given.extras)}]" if given.extras else ""
    marker = f" ; {given.marker}" if given.marker is not None else ""
    return f"{given.name}{extras} @ {_written_place(given.source, folder)}{marker}"


def is_direct(text: str) -> bool:
    """Whether a requirement of a lock says where its source is."""
    return " @ " in text


def read_requirement(text: str, folder: Path) -> DirectRequirement:
    """The requirement that was written so in a lock that lies in a folder.

    Nothing needs to lie where it says.

    Raises:
        InvalidLock: it is none.
    """
    found = _DIRECT.fullmatch(text)
    try:
        if found is None:
            raise InvalidLock(f"{text!r} is no requirement with a place")
        bare = Requirement(found["name"])
        return DirectRequirement(
            _read_place(found["place"], folder),
            ORIGIN,
            canonicalize_name(bare.name),
            tuple(sorted({canonicalize_name(extra) for extra in bare.extras})),
            None if found["marker"] is None else Marker(found["marker"]),
        )
    except (InvalidRequirement, InvalidMarker, InputError) as error:
        raise InvalidLock(f"{text!r} is no requirement with a place") from error


def recorded(given: Iterable[DirectRequirement]) -> tuple[DirectRequirement, ...]:
    """Requirements as a lock keeps them: sorted, without logins and where they stood."""
    found = {replace(each, origin=ORIGIN, login=None): None for each in given}
    return tuple(sorted(found, key=str))


def _written_place(source: DirectSource, folder: Path | None) -> str:
    path = local_path(source)
    if path is None:
        return quote(str(source), safe=f"{_UNQUOTED}#?%[]")
    text = quote(written_path(path, folder), safe=_UNQUOTED)
    if isinstance(source, FolderSource):
        return f"{text}/"
    assert isinstance(source, ArchiveSource)
    _, hash_sign, fragment = str(source).partition("#")
    return f"{text}{hash_sign}{fragment}"


def _read_place(text: str, folder: Path) -> DirectSource:
    if text.startswith(("git+", "http:", "https:")):
        return parse_source(text, folder).source
    path, _, fragment = text.partition("#")
    if "//" in path:
        raise InputError(f"{text!r} is of no scheme that can be used")
    if path.endswith("/"):
        return FolderSource(read_path(unquote(path), folder))
    # What else may stand there is parsed as for any other address.
    url = Path(read_path(unquote(path), folder)).as_uri()
    alike = parse_source(f"https://local/x.tar.gz#{fragment}", folder).source
    assert isinstance(alike, ArchiveSource)
    return replace(alike, url=url)


def as_asked(source: DirectSource, requested: str | None) -> DirectSource:
    """A source as it was before a commit or a hash was found for it."""
    match source:
        case GitSource():
            return replace(source, ref=requested)
        case ArchiveSource():
            return replace(source, sha256=None)
    return source
