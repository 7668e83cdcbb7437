"""Wheels made in memory, right by default and wrong where a test wants it."""

from __future__ import annotations

import io
import zipfile
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

WHEEL_TEXT = (
    b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
)


def record_row(name: str, content: bytes) -> str:
    """One line of RECORD."""
    digest = urlsafe_b64encode(sha256(content).digest()).rstrip(b"=").decode()
    if "," in name or '"' in name:
        name = '"' + name.replace('"', '""') + '"'
    return f"{name},sha256={digest},{len(content)}\n"


@dataclass
class WheelMaker:
    """A wheel that is written with any order, times, modes and compression."""

    name: str = "demo"
    version: str = "1.0"
    tag: str = "py3-none-any"
    files: dict[str, bytes] = field(
        default_factory=lambda: {"demo/__init__.py": b"x = 1\n"}
    )
    executable: frozenset[str] = frozenset()
    metadata: bytes | None = None
    wheel: bytes = WHEEL_TEXT
    record: bytes | None = None

    @property
    def filename(self) -> str:
        return f"{self.name}-{self.version}-{self.tag}.whl"

    @property
    def dist_info(self) -> str:
        return f"{self.name}-{self.version}.dist-info"

    def members(self) -> dict[str, bytes]:
        """All members by name, RECORD last."""
        metadata = self.metadata
        if metadata is None:
            metadata = (
                f"Metadata-Version: 2.4\nName: {self.name}\nVersion: {self.version}\n"
            ).encode()
        members = {
            **self.files,
            f"{self.dist_info}/METADATA": metadata,
            f"{self.dist_info}/WHEEL": self.wheel,
        }
        record = self.record
        if record is None:
            own = f"{self.dist_info}/RECORD"
            rows = "".join(record_row(*item) for item in members.items())
            record = f"{rows}{own},,\n".encode()
        return {**members, f"{self.dist_info}/RECORD": record}

    def build(
        self,
        *,
        order: list[str] | None = None,
        date: tuple[int, int, int, int, int, int] = (2020, 2, 2, 3, 4, 6),
        mode: int = 0o644,
        compression: int = zipfile.ZIP_DEFLATED,
    ) -> bytes:
        """The bytes of the wheel."""
        members = self.members()
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name in order or list(members):
                info = zipfile.ZipInfo(name, date)
                info.compress_type, info.create_system = compression, 3
                bits = mode | 0o111 if name in self.executable else mode & ~0o111
                info.external_attr = (0o100000 | bits) << 16
                archive.writestr(info, members[name])
        return buffer.getvalue()

    def write(self, folder: Path) -> Path:
        """Write the wheel into a folder."""
        path = folder / self.filename
        path.write_bytes(self.build())
        return path
