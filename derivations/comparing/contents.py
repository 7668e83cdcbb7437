"""What an artifact holds, whatever it is packed in: wheels, sdists, folders, files."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fromager.derivations.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

READ_LIMIT: Final = 512 << 20
"""Bytes of one member that are looked at."""
TOTAL_LIMIT: Final = 4 << 30
"""Bytes that all members of an archive may have together."""
MEMBERS_LIMIT: Final = 500_000


@dataclass(frozen=True, slots=True)
class Member:
    """A file or link that an artifact holds."""

    path: str
    size: int
    executable: bool
    read: Callable[[], bytes]
    link: str | None = None
    """The target, if it is a link."""
    fields: tuple[tuple[str, str], ...] = ()
    """What the container itself says of it: times, modes, owners, sorted by name."""


@dataclass(frozen=True)
class Contents:
    """An artifact that can be compared with another one."""

    name: str
    format: str
    size: int
    sha256: str | None
    members: tuple[Member, ...]
    """In the order of the container."""
    fields: tuple[tuple[str, str], ...] = ()
    """What the container says of itself."""


@contextmanager
def open_contents(path: Path) -> Iterator[Contents]:
    """What a file or a folder holds; its members can be read inside `with`.

    A folder with one file stands for that file: so outputs of wheel derivations are.

    Raises:
        InputError: there is nothing, or an archive that cannot be read.
    """
    if path.is_dir():
        inside = list(path.iterdir())
        packed = inside[0] if len(inside) == 1 else None
        if packed is None or not packed.is_file() or not _is_archive(packed.name):
            yield _folder(path)
            return
        path = packed
    if not path.is_file():
        raise InputError(f"there is no file or folder {path}")
    with ExitStack() as held:
        try:
            contents = _file(path, held)
        except _UNREADABLE as error:
            raise InputError(f"{path} cannot be read: {error}") from error
        yield contents


def packed_contents(name: str, content: bytes) -> Contents | None:
    """What an archive that lies in another one holds; None if it is none."""
    held = ExitStack()
    try:
        if content.startswith(b"PK\3\4"):
            return _zip(name, io.BytesIO(content), len(content), None, held)
        if content[257:262] == b"ustar":
            return _tar(name, io.BytesIO(content), len(content), None)
    except _UNREADABLE:
        return None
    return None


_UNREADABLE: Final = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)


def _is_archive(name: str) -> bool:
    return name.endswith((".whl", ".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".xz"))


def _file(path: Path, held: ExitStack) -> Contents:
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    size = path.stat().st_size
    if zipfile.is_zipfile(path):
        return _zip(path.name, held.enter_context(path.open("rb")), size, sha256, held)
    if tarfile.is_tarfile(path):
        with path.open("rb") as stream:
            return _tar(path.name, stream, size, sha256)
    if _is_archive(path.name):
        raise ValueError("it is no archive, or it is damaged")
    executable = bool(path.stat().st_mode & stat.S_IXUSR)
    # Its name is no part of what it holds: two files of any names are compared.
    member = Member("", size, executable, lambda: _limited(path))
    return Contents(path.name, "file", size, sha256, (member,))


def _folder(path: Path) -> Contents:
    members = []
    for folder, folders, names in os.walk(path):
        folders.sort()
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in sorted((*names, *links)):
            place = Path(folder, name)
            inside = place.relative_to(path).as_posix()
            if place.is_symlink():
                target = str(place.readlink())
                members.append(Member(inside, 0, False, lambda: b"", target))
            elif place.is_file():
                status = place.stat()
                executable = bool(status.st_mode & stat.S_IXUSR)
                members.append(
                    Member(inside, status.st_size, executable, _reader(place))
                )
    size = sum(member.size for member in members)
    return Contents(path.name, "folder", size, None, tuple(members))


def _reader(path: Path) -> Callable[[], bytes]:
    return lambda: _limited(path)


def _limited(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(READ_LIMIT)


def _zip(
    name: str, file: io.BufferedIOBase, size: int, sha256: str | None, held: ExitStack
) -> Contents:
    archive = held.enter_context(zipfile.ZipFile(file))
    members = []
    infos = archive.infolist()
    _check_limits(len(infos), sum(info.file_size for info in infos))
    for info in infos:
        mode = info.external_attr >> 16
        fields = {
            "time": "{}-{:02}-{:02} {:02}:{:02}:{:02}".format(*info.date_time),
            "mode": f"{mode:o}",
            "method": str(info.compress_type),
            "system": str(info.create_system),
            "version": f"{info.create_version}/{info.extract_version}",
            "flags": f"{info.flag_bits:#x}",
            "extra": info.extra.hex(),
            "comment": info.comment.hex(),
            "packed size": str(info.compress_size),
        }
        members.append(
            Member(
                info.filename,
                info.file_size,
                bool(mode & 0o111) and not info.is_dir(),
                _zip_reader(archive, info),
                fields=tuple(sorted(fields.items())),
            )
        )
    own = (("comment", archive.comment.hex()),)
    kind = "wheel" if name.endswith(".whl") else "zip"
    return Contents(name, kind, size, sha256, tuple(members), own)


def _zip_reader(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            with archive.open(info) as stream:
                return stream.read(READ_LIMIT)
        except _UNREADABLE as error:
            what = f"{info.filename} in {archive.filename or 'an archive'}"
            raise InputError(f"{what} cannot be read: {error}") from error

    return read


def _tar(name: str, file: io.BufferedIOBase, size: int, sha256: str | None) -> Contents:
    head = file.read(10)
    file.seek(0)
    members: list[Member] = []
    total = 0
    # Members are read in one pass: to go back in a compressed file costs a pass each.
    with tarfile.open(fileobj=file) as archive:
        for info in archive:
            total += info.size
            _check_limits(len(members), total)
            if info.isdir():
                continue
            stream = archive.extractfile(info) if info.isfile() else None
            content = b"" if stream is None else stream.read(READ_LIMIT)
            fields = {
                "time": str(int(info.mtime)),
                "mode": f"{info.mode:o}",
                "owner": f"{info.uid}:{info.gid} {info.uname}:{info.gname}",
                "extra": repr(sorted(info.pax_headers.items())),
            }
            members.append(
                Member(
                    info.name.removeprefix("./"),
                    info.size,
                    bool(info.mode & 0o100) and info.isfile(),
                    _held(content),
                    info.linkname if info.issym() or info.islnk() else None,
                    tuple(sorted(fields.items())),
                )
            )
    return Contents(name, "tar", size, sha256, tuple(members), _gzip_fields(head))


def _check_limits(members: int, total: int) -> None:
    if members > MEMBERS_LIMIT:
        raise ValueError(f"it has more than {MEMBERS_LIMIT} members")
    if total > TOTAL_LIMIT:
        raise ValueError(f"it unpacks to more than {TOTAL_LIMIT} bytes")


def _held(content: bytes) -> Callable[[], bytes]:
    return lambda: content


def _gzip_fields(head: bytes) -> tuple[tuple[str, str], ...]:
    """What the header of a gzip stream says (RFC 1952)."""
    if head[:2] != b"\x1f\x8b" or len(head) < 10:
        return ()
    _, method, flags, time, extra, system = struct.unpack("<2sBBLBB", head)
    level = f"{method}/{extra}"
    return (
        ("gzip flags", f"{flags:#x}"),
        ("gzip level", level),
        ("gzip system", str(system)),
        ("gzip time", str(time)),
    )
