"""Source archives, unpacked so that nothing but their content can come of it.

Stricter than PEP 706: a member that would lie, or point, outside of the one
top-level folder makes the archive unusable, and only the owner's executable bit is
kept of modes. The outcome does not depend on the umask, the user or the time.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from fromager.derivations.errors import UnsafeArchive
from fromager.derivations.sources.members import (
    Limits,
    Member,
    MemberKind,
    check_size,
    leads_out,
    opened,
)
from fromager.derivations.sources.sink import FolderSink, Sink
from fromager.store import UnsupportedFile

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "DEFAULT_LIMITS",
    "Limits",
    "MetadataFiles",
    "Unpacked",
    "metadata_files",
    "pkg_info",
    "unpack",
    "unpack_into",
]

DEFAULT_LIMITS: Final = Limits()
METADATA_LIMIT: Final = 16 << 20
"""Bytes that a PKG-INFO or pyproject.toml may have."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What came out of an archive."""

    root: Path
    """The one top-level folder."""
    newest: int
    """The newest modification time of any member, seconds since the epoch; else 0."""


class MetadataFiles(NamedTuple):
    """The two files in which a source distribution describes itself."""

    pkg_info: bytes | None
    pyproject: bytes | None


def unpack(
    archive: Path, filename: str, target: Path, limits: Limits = DEFAULT_LIMITS
) -> Unpacked:
    """Unpack a source distribution into `target`, a folder that is made for it.

    `filename` says what the archive is called, and so its format. After an error
    `target` may hold a part of the content, and never anything outside of it.

    Raises:
        UnsafeArchive: broken, cut short or empty; not exactly one top-level folder;
            a member that would leave it, or that is there twice; a device or pipe;
            more than the limits allow.
    """
    target.mkdir()
    top, newest = unpack_into(FolderSink(target), archive, filename, limits)
    return Unpacked(target / top, newest)


def unpack_into(
    sink: Sink, archive: Path, filename: str, limits: Limits = DEFAULT_LIMITS
) -> tuple[str, int]:
    """Unpack a source distribution; its top-level folder, and the newest time in it.

    Raises:
        UnsafeArchive: as `unpack`; the sink may have got a part of the content.
    """
    checker = _Checker(sink, filename, limits)
    newest = 0
    with opened(archive, filename, limits) as found:
        for member in found:
            checker.add(member)
            newest = max(newest, member.mtime)
    top = checker.top_level()
    if not top:
        raise UnsafeArchive(filename, "it is empty")
    if list(top.values()) != [MemberKind.DIRECTORY]:
        names = ", ".join(sorted(top)[:5]) + (", …" if len(top) > 5 else "")
        reason = f"one top-level folder was expected, found {names}"
        raise UnsafeArchive(filename, reason)
    return next(iter(top)), newest


def metadata_files(
    archive: Path, filename: str, limits: Limits = DEFAULT_LIMITS
) -> MetadataFiles:
    """`PKG-INFO` and `pyproject.toml` of the top-level folder, nothing unpacked.

    Reads no further than to the second of them.

    Raises:
        UnsafeArchive: broken, a bomb, or one of the two is no plain file.
    """
    found: dict[str, bytes] = {}
    with opened(archive, filename, limits) as entries:
        for member in entries:
            parts = [part for part in member.name.split("/") if part not in ("", ".")]
            if len(parts) != 2 or parts[1] not in ("PKG-INFO", "pyproject.toml"):
                continue
            if member.kind is not MemberKind.FILE or member.size > METADATA_LIMIT:
                raise UnsafeArchive(filename, f"{member.name!r} is no plain text file")
            with member.open() as stream:
                found[parts[1]] = stream.read()
            if len(found) == 2:
                break
    return MetadataFiles(found.get("PKG-INFO"), found.get("pyproject.toml"))


def pkg_info(archive: Path, filename: str) -> bytes | None:
    """The `PKG-INFO` of a source distribution, or None if it has none.

    Raises:
        UnsafeArchive: as `metadata_files`.
    """
    return metadata_files(archive, filename).pkg_info


class _Checker:
    """Lets a sink have members that are safe.

    What lies where is known from `_kinds` alone: the sink is never asked.
    """

    def __init__(self, sink: Sink, filename: str, limits: Limits) -> None:
        self._sink, self._filename, self._limits = sink, filename, limits
        self._kinds: dict[str, MemberKind] = {}
        self._sizes: dict[str, int] = {}
        self._bytes = 0

    def top_level(self) -> dict[str, MemberKind]:
        return {name: kind for name, kind in self._kinds.items() if "/" not in name}

    def add(self, member: Member) -> None:
        parts = self._parts(member.name)
        if not parts:
            # "./", as `tar -c .` writes it; anything else must have a name.
            if member.kind is not MemberKind.DIRECTORY:
                raise self._refusal(f"a {member.kind.value} has no name")
            return
        path = "/".join(parts)
        known = self._kinds.get(path)
        if known is not None:
            if known is member.kind is MemberKind.DIRECTORY:
                return
            raise self._refusal(f"{path!r} is there twice")
        try:
            self._make_parents(path, parts[:-1])
            self._give(path, member)
        except UnsupportedFile as error:
            raise self._refusal(f"{path!r} cannot name a file") from error
        except OSError as error:
            if error.errno not in (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL):
                raise
            raise self._refusal(f"{path!r} cannot name a file") from error

    def _parts(self, name: str) -> list[str]:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts:
            raise self._refusal(f"{name!r} leads out of the tree")
        if len(parts) > self._limits.depth:
            raise self._refusal(f"folders nest deeper than {self._limits.depth}")
        if "\0" in name:
            raise self._refusal(f"{name!r} cannot name a file")
        return parts

    def _make_parents(self, path: str, parents: list[str]) -> None:
        parent = "/".join(parents)
        known = self._kinds.get(parent)
        if not parents or known is MemberKind.DIRECTORY:
            return
        if known is not None:
            raise self._refusal(f"{path!r} lies below a {known.value}")
        self._make_parents(parent, parents[:-1])
        self._make_directory(parent)

    def _make_directory(self, path: str) -> None:
        self._register(path, MemberKind.DIRECTORY)
        self._sink.folder(path)

    def _register(self, path: str, kind: MemberKind) -> None:
        self._kinds[path] = kind
        if len(self._kinds) > self._limits.files:
            raise self._refusal(
                f"it holds more than {self._limits.files} files",
                hint="Raise the limits for unpacking if the archive is to be trusted",
            )

    def _give(self, path: str, member: Member) -> None:
        match member.kind:
            case MemberKind.DIRECTORY:
                self._make_directory(path)
            case MemberKind.FILE:
                self._register(path, MemberKind.FILE)
                self._grow(member.size)
                with member.open() as stream:
                    size = self._sink.file(path, stream, executable=member.executable)
                self._sizes[path] = size
            case MemberKind.LINK:
                self._register(path, MemberKind.LINK)
                self._check_link(path, member.target)
                self._sink.link(path, member.target)
            case MemberKind.HARD_LINK:
                self._register(path, MemberKind.FILE)
                self._copy(path, member.target)

    def _grow(self, size: int) -> None:
        # Sparse files and hard links make more of little than the reader can see.
        self._bytes += size
        check_size(self._filename, self._bytes, self._bytes, self._limits)

    def _copy(self, path: str, target: str) -> None:
        source = "/".join(self._parts(target))
        if self._kinds.get(source) is not MemberKind.FILE or source == path:
            reason = f"{path!r} is a hard link to {target!r}, no file before it"
            raise self._refusal(reason)
        self._sizes[path] = self._sizes[source]
        self._grow(self._sizes[source])
        self._sink.same(path, source)

    def _check_link(self, path: str, target: str) -> None:
        """Refuse a link that could lead out of the top-level folder."""
        if leads_out(target, path.count("/") - 1):
            raise self._refusal(f"{path!r} is a link to {target!r}, out of the tree")

    def _refusal(self, reason: str, *, hint: str | None = None) -> UnsafeArchive:
        return UnsafeArchive(self._filename, reason, hint=hint)
