"""The one wheel in a wheel derivation's output, and what it says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fromager.derivations.errors import SourceError
from fromager.store import Directory

if TYPE_CHECKING:
    from pathlib import Path
    from zipfile import ZipFile

    from fromager.store import LocalStore, StorePath


def wheel_file(store: LocalStore, output: StorePath) -> tuple[Path, str]:
    """Where the wheel of an output lies, and what it is called."""
    tree = store.tree(output)
    names = [name for name, _ in tree.entries] if isinstance(tree, Directory) else []
    if len(names) != 1 or not names[0].endswith(".whl"):
        raise SourceError(f"{output} does not hold one wheel")
    return store.place(output) / names[0], names[0]


def wheel_metadata(wheel: Path) -> str:
    """The METADATA file of a wheel that was checked before, as text."""
    return metadata_file(wheel).decode("utf-8", "replace")


def metadata_file(wheel: Path) -> bytes:
    """The METADATA file of a wheel that was checked before."""
    from zipfile import ZipFile

    with ZipFile(wheel) as archive:
        return metadata_of(archive)


def metadata_of(archive: ZipFile) -> bytes:
    """The same of a wheel that is open."""
    name = next(
        name
        for name in archive.namelist()
        if name.endswith(".dist-info/METADATA") and name.count("/") == 1
    )
    return archive.read(name)
