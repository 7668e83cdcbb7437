"""Rust in a source tree: whether its build compiles any, and which crates it names."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from fromager.derivations.errors import SourceError
from fromager.derivations.rust.lock import FILENAME, in_order, parse_cargo_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fromager.derivations.rust.lock import Crate

MANIFEST: Final = "Cargo.toml"
_BUILDERS: Final = frozenset({"maturin", "setuptools-rust"})
_PLACES: Final = (MANIFEST, f"rust/{MANIFEST}", f"native/{MANIFEST}")
"""Where a manifest is looked for that nothing names, in the order of maturin."""


class MissingCargoLock(SourceError):
    """A project that compiles Rust, and does not say which crates with."""

    def __init__(self, subject: str, manifests: Iterable[str]) -> None:
        self.manifests = tuple(manifests)
        beside = f" for {', '.join(self.manifests)}" if self.manifests else ""
        super().__init__(
            f"{subject}: it compiles Rust and has no {FILENAME}{beside}, so nothing "
            "says which crates it is built with",
            hint=f"Put a {FILENAME} in with an edit `file`, name the manifest in the "
            "setting `rust`, or set that to false if its build needs no crates",
        )
        self.subject = subject


@dataclass(frozen=True, slots=True)
class RustProject:
    """A project whose build compiles Rust."""

    manifests: tuple[str, ...] = ()
    """Paths of Cargo.toml relative to the project; none if nothing names them."""


def rust_project(
    pyproject: Callable[[], bytes | None],
    requires: Iterable[str],
    markers: Mapping[str, str],
    setting: bool | tuple[str, ...] | None,
) -> RustProject | None:
    """What a project tells of its Rust; None if its build compiles none.

    `pyproject` reads its pyproject.toml, if it has one. `requires` are its build requirements, of which maturin and setuptools-rust tell
    it; `setting` is what the user says, who is right.
    """
    if setting is False:
        return None
    if isinstance(setting, tuple):
        return RustProject(setting)
    if setting is None and not any(_is_builder(text, markers) for text in requires):
        return None
    tool = _table(_parsed(pyproject()).get("tool"))
    manifest = _table(tool.get("maturin")).get("manifest-path")
    if isinstance(manifest, str):
        return RustProject((_plain(manifest),))
    extensions = _table(tool.get("setuptools-rust"))
    found = dict.fromkeys(_declared(extensions))
    return RustProject(tuple(found))


def locked_crates(
    subject: str,
    project: RustProject,
    folder: str,
    read: Callable[[str], bytes | None],
) -> tuple[Crate, ...]:
    """The crates of the locks that hold for a project in a folder of its source.

    `read` gives a file of the source, or None where there is none. The lock of a manifest lies beside it, or in a folder around: that of its
    workspace.

    Raises:
        MissingCargoLock: a manifest has none.
        InvalidCargoLock: one does not say what it must.
    """
    wanted = [_joined(folder, path) for path in project.manifests]
    if not wanted:
        there = (_joined(folder, place) for place in _PLACES)
        wanted = [path for path in there if read(path) is not None][:1]
    locks: dict[str, bytes] = {}
    lacking = []
    for manifest in wanted:
        for place in _around(manifest):
            content = read(place)
            if content is not None:
                locks[place] = content
                break
        else:
            lacking.append(manifest)
    if lacking or not locks:
        raise MissingCargoLock(subject, lacking)
    return in_order(
        crate
        for path, content in locks.items()
        for crate in parse_cargo_lock(content, f"{subject}: {path}")
    )


def _is_builder(text: str, markers: Mapping[str, str]) -> bool:
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return False
    if canonicalize_name(requirement.name) not in _BUILDERS:
        return False
    marker = requirement.marker
    return marker is None or marker.evaluate({**markers, "extra": ""})


def _declared(extensions: Mapping[str, object]) -> Iterator[str]:
    """The manifests that setuptools-rust is told in pyproject.toml."""
    for kind in ("ext-modules", "bins"):
        rows = extensions.get(kind)
        for row in rows if isinstance(rows, list) else ():
            path = _table(row).get("path", MANIFEST)
            if isinstance(path, str):
                yield _plain(path)


def _around(manifest: str) -> Iterator[str]:
    """Where the lock of a manifest may lie, nearest first."""
    folder = manifest.rpartition("/")[0]
    while folder:
        yield f"{folder}/{FILENAME}"
        folder = folder.rpartition("/")[0]
    yield FILENAME


def _joined(folder: str, path: str) -> str:
    return f"{folder}/{path}" if folder else path


def _plain(path: str) -> str:
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _table(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _parsed(pyproject: bytes | None) -> Mapping[str, object]:
    if pyproject is None:
        return {}
    # That it is TOML was found out before: its build system was read from it.
    return tomllib.loads(pyproject.decode())
