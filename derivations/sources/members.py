"""The members of an archive as a stream of values, whatever its format.

A tar archive is read once, front to back; a zip archive in the order of its
directory. Nothing here writes.
"""

from __future__ import annotations

import calendar
import io
import stat
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import IO, TYPE_CHECKING, Final

from fromager.derivations.errors import UnsafeArchive

if TYPE_CHECKING:
    import tarfile
    import zipfile
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

TAR_SUFFIXES: Final = {
    ".tar.gz": "gz",
    ".tgz": "gz",
    ".tar.xz": "xz",
    ".txz": "xz",
    ".tar.bz2": "bz2",
    ".tbz": "bz2",
    ".tar": "plain",
    # A crate of Rust.
    ".crate": "gz",
}
RATIO_FLOOR: Final = 64 << 20
"""Bytes that any archive may hold, however well it is compressed."""
LINK_LIMIT: Final = 4096
"""The longest target of a symbolic link (PATH_MAX)."""

_STREAM_BUFFER: Final = 1 << 18
_IN_MEMORY: Final = 8 << 20
"""Bytes of an unfolded archive that are held in memory."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may grow to before it counts as a bomb."""

    total_bytes: int = 16 << 30
    """Bytes of all members together, a tar archive's headers included."""
    files: int = 1_000_000
    """Files, links and folders, those that are only implied included."""
    ratio: int = 500
    """How many times larger than its archive the content may be, above 64 MiB."""
    depth: int = 128
    """Names between slashes in a path."""


class MemberKind(Enum):
    """What a member stands for; anything else is refused."""

    FILE = "file"
    DIRECTORY = "folder"
    LINK = "symbolic link"
    HARD_LINK = "hard link"


@dataclass(frozen=True, slots=True)
class Member:
    """One member, its name as the archive has it."""

    name: str
    kind: MemberKind
    executable: bool
    """Whether its owner may execute it."""
    mtime: int
    """Seconds since the epoch; 0 where the archive holds nothing sensible."""
    size: int
    """Bytes, as promised by the header."""
    target: str
    """Of a link; empty otherwise."""
    open: Callable[[], IO[bytes]]
    """The content of a file; to be read before the next member is asked for."""


@contextmanager
def opened(archive: Path, filename: str, limits: Limits) -> Iterator[Iterator[Member]]:
    """All members of an archive, to be used within the `with` block.

    The format is that which `filename` ends with. Whatever goes wrong with the archive
    while its members are read, in the block as well, is one error.

    Raises:
        UnsafeArchive: another format, broken, cut short, encrypted, a bomb, or with
            members that are no files, folders or links.
    """
    import tarfile
    import zipfile
    import zlib
    from lzma import LZMAError

    try:
        with closing(_members(archive, filename, limits)) as found:
            yield found
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        LZMAError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
        OverflowError,
    ) as error:
        reason = f"it is broken or cut short: {error}"
        raise UnsafeArchive(filename, reason) from error
    except OSError as error:
        # The decompressors raise OSError without a number; the rest is no
        # property of the archive.
        if error.errno is not None:
            raise
        reason = f"it is broken or cut short: {error}"
        raise UnsafeArchive(filename, reason) from error


def _members(
    archive: Path, filename: str, limits: Limits
) -> Generator[Member, None, None]:
    lower = filename.lower()
    if lower.endswith(".zip"):
        yield from _zip_members(archive, filename, limits)
        return
    for suffix, compression in TAR_SUFFIXES.items():
        if lower.endswith(suffix):
            yield from _tar_members(archive, filename, compression, limits)
            return
    raise UnsafeArchive(
        filename,
        "is no archive of a known format",
        hint="Source distributions are .tar.gz, .tar.xz, .tar.bz2 or .zip files",
    )


def _tar_members(
    archive: Path, filename: str, compression: str, limits: Limits
) -> Iterator[Member]:
    import tarfile

    class StrictHeader(tarfile.TarInfo):
        # tarfile takes a damaged header after the first for the end of the archive.
        @classmethod
        def frombuf(
            cls, buf: bytes | bytearray, encoding: str, errors: str
        ) -> StrictHeader:
            try:
                return super().frombuf(buf, encoding, errors)
            except tarfile.HeaderError as error:
                if not any(buf):
                    raise
                raise tarfile.ReadError(str(error)) from error

    with archive.open("rb") as raw, _decompressed(raw, compression) as content:
        guard = _Guard(content, raw, filename, limits)
        # Most archives are small: from memory they are read in half the time.
        start = guard.read(_IN_MEMORY)
        small = len(start) < _IN_MEMORY
        with tarfile.open(
            mode="r:" if small else "r|",
            fileobj=io.BytesIO(start) if small else _Resumed(start, guard),
            bufsize=_STREAM_BUFFER,
            tarinfo=StrictHeader,
            encoding="utf-8",
            errors="surrogateescape",
        ) as tar:
            for info in tar:
                yield _tar_member(tar, info, filename)
        # The check sum comes last: without it a cut may go unseen.
        while guard.read(_STREAM_BUFFER):
            pass


def _decompressed(raw: IO[bytes], compression: str) -> IO[bytes]:
    import bz2
    import gzip
    import lzma

    match compression:
        case "gz":
            return gzip.GzipFile(fileobj=raw)  # type: ignore[return-value]
        case "xz":
            return lzma.LZMAFile(raw)
        case "bz2":
            return bz2.BZ2File(raw)
        case _:
            return raw


class _Guard(io.BufferedIOBase):
    """A reader that stops a bomb while it unfolds."""

    def __init__(
        self, content: IO[bytes], raw: IO[bytes], filename: str, limits: Limits
    ) -> None:
        self._content, self._raw = content, raw
        self._filename, self._limits = filename, limits
        self._count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        # tarfile asks for a whole extended header at once, of whatever size.
        parts = []
        while size > 0:
            part = self._content.read(min(size, _STREAM_BUFFER))
            if not part:
                break
            parts.append(part)
            size -= len(part)
            self._count += len(part)
            check_size(self._filename, self._count, self._raw.tell(), self._limits)
        return parts[0] if len(parts) == 1 else b"".join(parts)


class _Resumed(io.BufferedIOBase):
    """A reader whose first bytes were read before."""

    def __init__(self, start: bytes, rest: _Guard) -> None:
        self._start, self._rest = io.BytesIO(start), rest

    def read(self, size: int | None = -1, /) -> bytes:
        return self._start.read(size) or self._rest.read(size)


def check_size(filename: str, unpacked: int, packed: int, limits: Limits) -> None:
    """Refuse a bomb.

    Raises:
        UnsafeArchive: more bytes, or a higher ratio of bytes, than the limits say.
    """
    hint = "Raise the limits for unpacking if the archive is to be trusted"
    if unpacked > limits.total_bytes:
        reason = f"it holds more than {limits.total_bytes} bytes"
        raise UnsafeArchive(filename, reason, hint=hint)
    if unpacked > RATIO_FLOOR and unpacked > limits.ratio * packed:
        reason = f"it grows to more than {limits.ratio} times its size"
        raise UnsafeArchive(filename, reason, hint=hint)


def leads_out(target: str, depth: int) -> bool:
    """Whether a link, so many folders below the top of a tree, could lead out of it.

    `..` may only come first: there it leads up from a real folder. After a name,
    which may itself be a link, nothing could be said.
    """
    parts = [part for part in target.split("/") if part not in ("", ".")]
    ups = next((i for i, part in enumerate(parts) if part != ".."), len(parts))
    return (
        target.startswith("/")
        or not target
        or "\0" in target
        or len(target) > LINK_LIMIT
        or ups > depth
        or ".." in parts[ups:]
    )


def _tar_member(tar: tarfile.TarFile, info: tarfile.TarInfo, filename: str) -> Member:
    if info.isreg():
        kind = MemberKind.FILE
    elif info.isdir():
        kind = MemberKind.DIRECTORY
    elif info.issym():
        kind = MemberKind.LINK
    elif info.islnk():
        kind = MemberKind.HARD_LINK
    else:
        raise UnsafeArchive(filename, f"{info.name!r} is no file, folder or link")

    def content() -> IO[bytes]:
        stream = tar.extractfile(info)
        assert stream is not None
        return stream

    return Member(
        info.name,
        kind,
        bool(info.mode & stat.S_IXUSR),
        _whole_seconds(info.mtime),
        info.size if kind is MemberKind.FILE else 0,
        info.linkname if kind in (MemberKind.LINK, MemberKind.HARD_LINK) else "",
        content,
    )


def _whole_seconds(mtime: float) -> int:
    # An extended header may say "nan" or "inf".
    return int(mtime) if 0 < mtime < 1 << 40 else 0


def _zip_members(archive: Path, filename: str, limits: Limits) -> Iterator[Member]:
    import zipfile

    with zipfile.ZipFile(archive) as file:
        infos = file.infolist()
        packed = archive.stat().st_size
        check_size(filename, sum(info.file_size for info in infos), packed, limits)
        for info in infos:
            yield _zip_member(file, info, filename)


def _zip_member(file: zipfile.ZipFile, info: zipfile.ZipInfo, filename: str) -> Member:
    if info.flag_bits & 0x1:
        raise UnsafeArchive(filename, f"{info.filename!r} is encrypted")
    mode = info.external_attr >> 16 if info.create_system == 3 else 0
    target = ""
    match stat.S_IFMT(mode):
        case stat.S_IFDIR:
            kind = MemberKind.DIRECTORY
        case stat.S_IFLNK:
            kind = MemberKind.LINK
            if info.file_size > LINK_LIMIT:
                raise UnsafeArchive(filename, f"{info.filename!r} links too far")
            target = file.read(info).decode("utf-8", "surrogateescape")
        case 0 | stat.S_IFREG:
            kind = MemberKind.DIRECTORY if info.is_dir() else MemberKind.FILE
        case _:
            raise UnsafeArchive(
                filename, f"{info.filename!r} is no file, folder or link"
            )
    return Member(
        # zipfile cuts names at NUL; what was meant is in `orig_filename`.
        info.orig_filename,
        kind,
        bool(mode & stat.S_IXUSR),
        _dos_seconds(info.date_time),
        info.file_size if kind is MemberKind.FILE else 0,
        target,
        lambda: file.open(info),
    )


def _dos_seconds(date_time: tuple[int, int, int, int, int, int]) -> int:
    # Zip times have no zone: they are read as UTC, the same everywhere.
    _, month, day, hour, minute, second = date_time
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60):
        return 0
    return calendar.timegm((*date_time[:5], min(second, 59)))
