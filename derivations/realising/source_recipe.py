"""What a `source` derivation says, as a value, and doing it: once more if need be."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from fromager.derivations.errors import SourceError
from fromager.derivations.sources.archive import unpack
from fromager.derivations.sources.edits import Edit, EditedTree, recorded_edit
from fromager.derivations.sources.epoch import source_date_epoch
from fromager.derivations.sources.patch import apply_patch
from fromager.store import Directory, File

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.derivations.derivation import Value
    from fromager.derivations.sources.archive import Unpacked
    from fromager.derivations.sources.members import Limits
    from fromager.store import LocalStore, StorePath

DROPPED: Final = "files"
"""The folder of a patch set that holds what edits drop in, by the digests' digits."""


@dataclass(frozen=True, slots=True)
class ExtraFile:
    """Where a fetched file is put in a source."""

    path: str
    filename: str
    unpack: bool

    @property
    def value(self) -> Mapping[str, Value]:
        """As it stands in a derivation."""
        return {"path": self.path, "filename": self.filename, "unpack": self.unpack}

    @property
    def role(self) -> str:
        """The role of the input that it comes from."""
        return f"extra:{self.path}"


@dataclass(frozen=True, slots=True)
class SourceRecipe:
    """What is done to a source once it is unpacked: first extra files are put into it,
    then patches and then edits are applied.
    """

    patches: tuple[tuple[str, bytes], ...] = ()
    """Names and contents."""
    edits: tuple[Edit, ...] = ()
    extras: tuple[tuple[ExtraFile, Path], ...] = ()
    """With the folder that holds the file."""
    build_dir: str = ""


def prepare_source(
    archive: Path, folder: Path, recipe: SourceRecipe, limits: Limits
) -> Unpacked:
    """Do what a `source` derivation says: unpack an archive into a folder, prepare it.

    Raises:
        PatchFailed: a patch does not fit.
        EditFailed: an edit does not fit.
    """
    unpacked = unpack(archive, archive.name, folder, limits)
    _apply(recipe, unpacked.root, limits)
    return unpacked


def prepare_tree(
    store: LocalStore,
    tree: StorePath,
    folder: Path,
    recipe: SourceRecipe,
    epoch: int,
    limits: Limits,
) -> None:
    """The same for what was fetched as a tree; `epoch` is the time of its files.

    Raises:
        PatchFailed, EditFailed: as `prepare_source`.
    """
    content = store.tree(tree)
    if not isinstance(content, Directory):
        raise SourceError(f"{tree} is no source tree")
    store.materialise(content, folder, mtime=epoch)
    _apply(recipe, folder, limits)


def _apply(recipe: SourceRecipe, root: Path, limits: Limits) -> None:
    for extra, place in recipe.extras:
        _put(extra, place / extra.filename, root, limits)
    for name, content in recipe.patches:
        apply_patch(root, content, name)
    tree = EditedTree(root, recipe.build_dir)
    for edit in recipe.edits:
        edit.apply(tree)


def recorded_recipe(
    store: LocalStore, options: Mapping[str, Value], inputs: Mapping[str, StorePath]
) -> SourceRecipe:
    """The recipe that the options and inputs of a derivation tell.

    Raises:
        ValueError: they tell none.
    """
    patches = inputs.get("patches")

    def content(digest: str) -> bytes:
        if patches is None:
            raise ValueError("there is no patch set with the files to drop in")
        name = digest.partition(":")[2]
        return store.read_file(patches, f"{DROPPED}/{name}")

    edits = options.get("edits", ())
    extras = options.get("extra_sources", ())
    files = [_recorded_extra(each) for each in _items(extras)]
    return SourceRecipe(
        read_patches(store, patches) if patches is not None else (),
        tuple(recorded_edit(each, content) for each in _items(edits)),
        tuple((file, store.place(inputs[file.role])) for file in files),
        str(options.get("build_dir", "")),
    )


def source_facts(newest: int) -> tuple[tuple[str, str], ...]:
    """What is recorded of a source whose newest file has this time."""
    return (("epoch", str(source_date_epoch(newest, None))),)


def read_patches(
    store: LocalStore, patches: StorePath
) -> tuple[tuple[str, bytes], ...]:
    """The names and contents of a set of patches, in order."""
    tree = store.tree(patches)
    if not isinstance(tree, Directory):
        raise SourceError(f"{patches} is no set of patches")
    return tuple(
        (name, store.read_file(patches, name))
        for name, node in tree.entries
        if isinstance(node, File)
    )


def _items(value: Value) -> tuple[Value, ...]:
    return value if isinstance(value, tuple) else ()


def _recorded_extra(value: Value) -> ExtraFile:
    match value:
        case {"path": str(path), "filename": str(filename), "unpack": bool(unpacked)}:
            return ExtraFile(path, filename, unpacked)
    raise ValueError(f"{value!r} is no extra source")


def _put(extra: ExtraFile, packed: Path, root: Path, limits: Limits) -> None:
    """Put a file, or what it holds, where it is wanted."""
    place = EditedTree(root).place(extra.path, "")
    place.parent.mkdir(parents=True, exist_ok=True)
    if not extra.unpack:
        place.unlink(missing_ok=True)
        shutil.copyfile(packed, place)
        place.chmod(0o644)
        return
    with TemporaryDirectory(dir=root.parent) as folder:
        unpacked = unpack(packed, extra.filename, Path(folder, "out"), limits)
        shutil.move(unpacked.root, place)
