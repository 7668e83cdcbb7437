"""Crates in a repository: found by name, and made to stand alone.

A crate may inherit from the workspace around it (package fields, dependencies). Where
cargo finds it vendored there is no workspace, so its manifest is written out in full.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fromager.derivations.errors import SourceError
from fromager.derivations.rust.project import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fromager.derivations.rust.lock import Crate
    from fromager.derivations.sources.sink import Sink

_DEPENDENCIES: Final = (
    "dependencies",
    "dev-dependencies",
    "build-dependencies",
    "dev_dependencies",
    "build_dependencies",
)
_FILES: Final = ("readme", "license-file")
"""Fields that name files of the workspace, which are not beside the crate."""


@dataclass(frozen=True, slots=True)
class FoundCrate:
    """A crate in a repository."""

    folder: Path
    manifest: bytes
    """Its Cargo.toml, with nothing inherited."""


def find_crate(repository: Path, crate: Crate) -> FoundCrate:
    """The crate of that name and version, the outermost if there are several.

    Raises:
        SourceError: there is none.
    """
    for folder in _crate_folders(repository):
        manifest = _read(folder / MANIFEST)
        if _table(manifest.get("package")).get("name") != crate.name:
            continue
        alone = stand_alone(manifest, _workspace(folder, repository, manifest))
        if alone["package"].get("version", "0.0.0") == crate.version:
            import tomlkit

            return FoundCrate(folder, tomlkit.dumps(alone).encode())
    raise SourceError(
        f"{crate.source} has no crate {crate.name} {crate.version}",
        hint="Put the lock that cargo writes for this version in its place",
    )


def stand_alone(
    manifest: Mapping[str, Any], workspace: Mapping[str, Any]
) -> dict[str, Any]:
    """A manifest with everything written out that it has from its workspace."""
    shared = _table(workspace.get("package"))
    package = {}
    for key, value in _table(manifest.get("package")).items():
        if _is_inherited(value):
            if key in shared and key not in _FILES:
                package[key] = shared[key]
        elif key != "workspace":
            package[key] = value
    # Lints of what is no member of the project are not shown anyway.
    left_out = ("workspace", "lints", "package")
    rest = {k: v for k, v in manifest.items() if k not in left_out}
    known = _table(workspace.get("dependencies"))
    found = {"package": package, **_with_dependencies(rest, known)}
    if "target" in found:
        found["target"] = {
            name: _with_dependencies(_table(table), known)
            for name, table in _table(found["target"]).items()
        }
    return found


def put_folder(found: FoundCrate, repository: Path, place: str, sink: Sink) -> None:
    """Put a crate's files below a place of the sink; links become what they lead to.

    Raises:
        SourceError: a link leads out of the repository.
    """
    import io

    sink.folder(place)
    sink.file(f"{place}/{MANIFEST}", io.BytesIO(found.manifest), executable=False)
    pending = [(found.folder, place)]
    while pending:
        folder, at = pending.pop()
        for entry in sorted(folder.iterdir()):
            inside = f"{at}/{entry.name}"
            if inside == f"{place}/{MANIFEST}" or entry.name == ".git":
                continue
            real = entry.resolve()
            if not real.is_relative_to(repository.resolve()) or not real.exists():
                raise SourceError(f"{entry} is a link that leads out of its repository")
            if entry.is_symlink() and found.folder.is_relative_to(real):
                # A folder that holds itself.
                continue
            if real.is_dir():
                sink.folder(inside)
                pending.append((entry, inside))
                continue
            with real.open("rb") as content:
                executable = os.access(real, os.X_OK)
                sink.file(inside, content, executable=executable)


def _with_dependencies(
    table: Mapping[str, Any], known: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        key: {name: _dependency(name, d, known) for name, d in _table(value).items()}
        if key in _DEPENDENCIES
        else value
        for key, value in table.items()
    }


def _dependency(name: str, own: Any, known: Mapping[str, Any]) -> Any:
    if not _is_inherited(own):
        return own
    shared = known.get(name, "*")
    found = dict(shared) if isinstance(shared, Mapping) else {"version": shared}
    own = {key: value for key, value in own.items() if key != "workspace"}
    features = [*found.get("features", ()), *own.pop("features", ())]
    found |= own
    if features:
        found["features"] = list(dict.fromkeys(features))
    return found


def _workspace(
    folder: Path, repository: Path, manifest: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The `[workspace]` that a crate belongs to; empty if there is none."""
    named = _table(manifest.get("package")).get("workspace")
    if isinstance(named, str):
        return _table(_read(folder / named / MANIFEST).get("workspace"))
    while True:
        path = folder / MANIFEST
        found = _read(path).get("workspace") if path.is_file() else None
        if isinstance(found, Mapping):
            return found
        if folder == repository:
            return {}
        folder = folder.parent


def _crate_folders(repository: Path) -> Iterator[Path]:
    found = []
    for path, folders, names in os.walk(repository):
        folders[:] = [name for name in folders if name not in (".git", "target")]
        if MANIFEST in names:
            found.append(Path(path))
    return iter(sorted(found, key=lambda folder: (len(folder.parts), folder)))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        # Repositories hold manifests that are broken on purpose, to test with.
        return {}


def _is_inherited(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("workspace") is True


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
