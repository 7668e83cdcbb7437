"""A folder of patches: which of them belong to a package, and in which order.

The folder holds `<name>-<version>/` for one version and `<name>/` for all, with the
name written with underscores or dashes; in each a folder named like a variant holds
what is for that variant only. Patches are applied in the order of their file names;
of equal names the one for all versions comes first, and that of a variant last.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Iterator

SUFFIX: Final = ".patch"


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch file."""

    name: str
    """Its file name."""
    path: Path

    def read(self) -> bytes:
        """Its content."""
        return self.path.read_bytes()


@dataclass(frozen=True, slots=True)
class PatchPlace:
    """A folder of patches for a package, for all of its versions or for one."""

    name: str
    """Of the package, normalised."""
    version: Version | None
    """None for all versions."""
    path: Path

    def patches(self, variant: str = "") -> tuple[Patch, ...]:
        """The patches right in it, or in its folder of a variant; unsorted."""
        folder = self.path / variant
        try:
            with os.scandir(folder) as entries:
                names = [e.name for e in entries if e.name.endswith(SUFFIX)]
        except (FileNotFoundError, NotADirectoryError):
            return ()
        files = [Path(folder, name) for name in names]
        return tuple(Patch(file.name, file) for file in files if file.is_file())

    def variants(self) -> tuple[str, ...]:
        """The variants that have patches of their own, sorted."""
        with os.scandir(self.path) as entries:
            return tuple(sorted(entry.name for entry in entries if entry.is_dir()))


@dataclass(frozen=True)
class PatchFolder:
    """Patches of many packages, found by name; nothing is read before it is asked for."""

    folders: tuple[tuple[str, Path], ...] = ()
    """Folder names and where they lie, sorted."""

    @classmethod
    def scan(cls, folder: Path) -> PatchFolder:
        """The patches in a folder; one listing, no file is opened."""
        with os.scandir(folder) as entries:
            found = sorted(entry.name for entry in entries if entry.is_dir())
        return cls(tuple((name, folder / name) for name in found))

    def find(self, name: str, version: Version, variant: str = "") -> tuple[Patch, ...]:
        """The patches for one version of a package, in order.

        A local version (`1.0+cpu`) is patched like the public one.
        """
        found = []
        for place in self.places(name):
            if place.version in (None, Version(version.public)):
                rank = place.version is not None
                found += [(p.name, rank, False, p) for p in place.patches()]
                if variant:
                    found += [(p.name, rank, True, p) for p in place.patches(variant)]
        return tuple(row[-1] for row in sorted(found, key=lambda row: row[:3]))

    def places(self, name: str) -> tuple[PatchPlace, ...]:
        """All folders of a package, that for all versions first, then by version."""
        found = self._by_name.get(canonicalize_name(name), [])
        return tuple(
            sorted(found, key=lambda p: (p.version is not None, p.version, p.path.name))
        )

    def names(self) -> tuple[str, ...]:
        """What may be packages that have patches, normalised, sorted.

        `a-1` may be the package `a` in version 1, or a package of that name: both
        are given.
        """
        return tuple(sorted(self._by_name))

    def signature(self) -> tuple[tuple[str, int, int], ...]:
        """Names, sizes and times of all patches: equal as long as none was touched."""
        rows: list[tuple[str, int, int]] = []
        for folder, path in self.folders:
            rows += _states(os.fspath(path), folder)
        return tuple(sorted(rows))

    @cached_property
    def _by_name(self) -> dict[str, list[PatchPlace]]:
        found: dict[str, list[PatchPlace]] = {}
        for folder, path in self.folders:
            place = PatchPlace(canonicalize_name(folder), None, path)
            found.setdefault(place.name, []).append(place)
            package, dash, text = folder.rpartition("-")
            if not dash or not package:
                continue
            try:
                version = Version(text)
            except InvalidVersion:
                continue
            place = PatchPlace(canonicalize_name(package), version, path)
            found.setdefault(place.name, []).append(place)
        return found


def _states(folder: str, name: str, depth: int = 1) -> Iterator[tuple[str, int, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                if depth:
                    yield from _states(entry.path, f"{name}/{entry.name}", depth - 1)
                continue
            try:
                state = entry.stat()
            except FileNotFoundError:
                continue
            yield f"{name}/{entry.name}", state.st_size, state.st_mtime_ns
