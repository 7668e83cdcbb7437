"""A folder of patches: which of them belong to a package, and in which order.

The folder holds `<name>-<version>/` for one version and `<name>/` for all, with the
name written with underscores or dashes. Patches are applied in the order of their
file names; for equal names the one for all versions comes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.utils import InvalidName, canonicalize_name

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.version import Version


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch file."""

    name: str
    """Its file name."""
    path: Path

    def read(self) -> bytes:
        """Its content."""
        return self.path.read_bytes()


@dataclass(frozen=True)
class PatchFolder:
    """Patches of many packages, found by name; nothing is read before it is asked for."""

    folders: tuple[tuple[str, Path], ...] = ()
    """Folder names and where they lie, sorted."""

    @classmethod
    def scan(cls, folder: Path) -> PatchFolder:
        """The patches in a folder; one listing, no file is opened."""
        return cls(tuple(sorted((p.name, p) for p in folder.iterdir() if p.is_dir())))

    def find(self, name: str, version: Version) -> tuple[Patch, ...]:
        """The patches for one version of a package, in order."""
        wanted = canonicalize_name(name)
        found = []
        for folder, path in self.folders:
            rank = self._rank(folder, wanted, str(version))
            if rank is not None:
                found += [
                    (file.name, rank, Patch(file.name, file))
                    for file in path.iterdir()
                    if file.suffix == ".patch" and file.is_file()
                ]
        return tuple(patch for _, _, patch in sorted(found, key=lambda f: f[:2]))

    def signature(self) -> tuple[tuple[str, int, int], ...]:
        """Names, sizes and times of all patches: equal as long as none was touched."""
        rows = []
        for folder, path in self.folders:
            for file in sorted(path.iterdir()):
                state = file.stat()
                rows.append((f"{folder}/{file.name}", state.st_size, state.st_mtime_ns))
        return tuple(rows)

    @staticmethod
    def _rank(folder: str, name: str, version: str) -> int | None:
        """0 for a folder of all versions, 1 for that of this version, None for others."""
        try:
            if canonicalize_name(folder) == name:
                return 0
            package, dash, of_version = folder.rpartition("-")
            if dash and of_version == version and canonicalize_name(package) == name:
                return 1
        except InvalidName:
            pass
        return None
