"""File systems: on which of them locks hold between all who see the same files.

A store needs three things of its file system: locks of files (`flock` and `fcntl`)
that everybody sees who can open the file, memory that is shared by mapping a file,
and durable renames. Where files come over a network, other machines may see neither
the locks nor the memory: two writers would then destroy the database together.

What is mounted is read from `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOUNTINFO: Final = Path("/proc/self/mountinfo")
_ESCAPED: Final = re.compile(rb"\\([0-7]{3})")

_LOCAL: Final = re.compile(
    r"bcachefs|btrfs|erofs|exfat|ext[234]|f2fs|fuseblk|hfsplus|iso9660|jfs|nilfs2"
    r"|ntfs3|overlay|ramfs|reiserfs|rootfs|squashfs|tmpfs|vfat|xfs|zfs"
)
_NETWORK: Final = re.compile(
    r"9p|afs|beegfs|ceph|cifs|coda|davfs|gfs2?|gpfs|lustre|ncpfs|nfs4?|ocfs2|orangefs"
    r"|prl_fs|pvfs2|smb3|smbfs|vboxsf|vmhgfs"
)
_NETWORK_FUSE: Final = re.compile(
    r"afp|blobfuse|ceph|curlftp|dav|gcs|gluster|gvfs|hdfs|juice|moose|mfs|quobyte"
    r"|rclone|s3|sea|smb|ssh|vmhgfs"
)


_KEEP_CTIME: Final = frozenset(
    [
        "bcachefs",
        "btrfs",
        "ext2",
        "ext3",
        "ext4",
        "f2fs",
        "overlay",
        "tmpfs",
        "xfs",
        "zfs",
    ]
)


class Trust(Enum):
    """What is known of locks on a file system."""

    LOCAL = "local"
    """They hold: its files are seen by this machine only."""
    NETWORK = "network"
    """They do not hold, or nobody can tell whether they do."""
    UNKNOWN = "unknown"
    """They have to be tried."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A file system and where it is mounted."""

    point: str
    kind: str
    """As in `/proc/filesystems`: `ext4`, `nfs4`, `fuse.sshfs`."""
    source: str
    options: frozenset[str] = frozenset()

    @property
    def trust(self) -> Trust:
        """Whether locks of its files can be relied upon."""
        if self.kind == "lustre" and "flock" in self.options:
            return Trust.LOCAL
        if _LOCAL.fullmatch(self.kind):
            return Trust.LOCAL
        fuse, _, name = self.kind.partition(".")
        if _NETWORK.fullmatch(self.kind) or (
            fuse == "fuse" and _NETWORK_FUSE.search(name)
        ):
            return Trust.NETWORK
        return Trust.UNKNOWN

    def __str__(self) -> str:
        return f"{self.kind} ({self.source} at {self.point})"


def read_mounts() -> bytes:
    """What is mounted, as this process sees it; nothing where that cannot be read."""
    try:
        return _MOUNTINFO.read_bytes()
    except OSError:
        return b""


def parse_mounts(content: bytes) -> tuple[Mount, ...]:
    """The mounts that `mountinfo` lists, in its order; other lines are left out."""
    found = []
    for line in content.splitlines():
        before, dash, after = line.partition(b" - ")
        fields, rest = before.split(b" "), after.split(b" ")
        if not dash or len(fields) < 6 or len(rest) < 2:
            continue
        options = {*fields[5].split(b","), *b"".join(rest[2:3]).split(b",")}
        found.append(
            Mount(
                _text(fields[4]),
                _text(rest[0]),
                _text(rest[1]),
                frozenset(_text(option) for option in options),
            )
        )
    return tuple(found)


def mount_of(place: Path, mounts: Iterable[Mount]) -> Mount | None:
    """The mount on which an absolute path without links lies, there or not."""
    best: Mount | None = None
    for mount in mounts:
        if place.is_relative_to(mount.point) and (
            # Of several at one place the last one is seen.
            best is None or len(mount.point) >= len(best.point)
        ):
            best = mount
    return best


def file_system_of(place: Path) -> str | None:
    """The kind of file system that a folder lies on: `ext4`, `tmpfs`; None where that
    is not told."""
    mount = mount_of(place.resolve(), parse_mounts(read_mounts()))
    return None if mount is None else mount.kind


class ChangeTimes:
    """Of which file systems the change times (ctime) tell of every change."""

    def __init__(self) -> None:
        self._known: dict[int, bool] = {}

    def hold(self, place: str | bytes, device: int) -> bool:
        """Whether they do at a real path, which lies on the device with this number."""
        if device not in self._known:
            mount = mount_of(Path(os.fsdecode(place)), parse_mounts(read_mounts()))
            self._known[device] = mount is not None and mount.kind in _KEEP_CTIME
        return self._known[device]


def _text(field: bytes) -> str:
    plain = _ESCAPED.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), field)
    return plain.decode("utf-8", "surrogateescape")
