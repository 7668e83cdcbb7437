"""Edits of a source tree that are said, not shown: for what a patch is too brittle.

Each is part of the derivation of the source, in full and in order. An edit that
finds nothing to do is an error, unless it is told otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from fromager.derivations.errors import SourceError
from fromager.store import blob_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fromager.derivations.derivation import Value

Change: TypeAlias = "Callable[[bytes | None], bytes]"
"""Gives a file's new content for its old one, or for None where there is no file."""

PYPROJECT: Final = "pyproject.toml"


class EditFailed(SourceError):
    """An edit that does not fit a source tree."""

    def __init__(self, edit: str, origin: str, reason: str) -> None:
        super().__init__(
            f"{origin}: {edit}: {reason}" if origin else f"{edit}: {reason}",
            hint="Adapt the edit to this version of the source, or limit it to others",
        )
        self.edit, self.origin, self.reason = edit, origin, reason


@dataclass(frozen=True, slots=True)
class EditLines:
    """Lines that match are replaced, or dropped."""

    files: tuple[str, ...]
    """Names or patterns, relative to the source's root."""
    search: str
    """A regular expression that is looked for in each line, its end left out."""
    replace: str | None = None
    """What stands for each match, with `\\1` for groups; None: the line is dropped."""
    ignore_missing: bool = False
    """Whether it may match nothing."""
    origin: str = field(default="", compare=False)

    @property
    def value(self) -> Mapping[str, Value]:
        """As it stands in a derivation."""
        return {
            "action": "delete-line" if self.replace is None else "replace-line",
            "files": self.files,
            "search": self.search,
            "replace": self.replace,
            "ignore_missing": self.ignore_missing,
        }

    def apply(self, tree: EditedTree) -> None:
        """Edit the files of a tree."""
        pattern = re.compile(self.search)
        found = 0
        for path in tree.matching(self.files):
            text = path.read_bytes().decode("utf-8", "surrogateescape")
            lines = []
            for line in text.split("\n"):
                bare, end = (line[:-1], "\r") if line.endswith("\r") else (line, "")
                if not pattern.search(bare):
                    lines.append(line)
                    continue
                found += 1
                if self.replace is not None:
                    try:
                        lines.append(pattern.sub(self.replace, bare) + end)
                    except (re.error, IndexError) as error:
                        raise self._failed(f"{self.replace!r}: {error}") from error
            tree.write(path, "\n".join(lines).encode("utf-8", "surrogateescape"))
        if not found and not self.ignore_missing:
            names = ", ".join(self.files)
            raise self._failed(f"no line of {names} matches {self.search!r}")

    def _failed(self, reason: str) -> EditFailed:
        return EditFailed(str(self.value["action"]), self.origin, reason)


@dataclass(frozen=True, slots=True)
class EditBuildRequires:
    """Build requirements of pyproject.toml: added, replaced by name, or removed."""

    update: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    """Normalised names; one that is not there is no error."""
    origin: str = field(default="", compare=False)

    @property
    def value(self) -> Mapping[str, Value]:
        """As it stands in a derivation."""
        return {
            "action": "build-requires",
            "update": self.update,
            "remove": self.remove,
        }

    def apply(self, tree: EditedTree) -> None:
        """Edit the pyproject.toml of a tree; one that is missing is made."""
        from fromager.derivations.sources.pyproject_edits import edit_build_requires

        tree.edit(PYPROJECT, self.origin, lambda content: edit_build_requires(content, self.update, self.remove))  # fmt: skip


@dataclass(frozen=True, slots=True)
class SetVersion:
    """The version in pyproject.toml's project table and in PKG-INFO."""

    version: str
    origin: str = field(default="", compare=False)

    @property
    def value(self) -> Mapping[str, Value]:
        """As it stands in a derivation."""
        return {"action": "version", "version": self.version}

    def apply(self, tree: EditedTree) -> None:
        """Set the version wherever the tree has one."""
        from fromager.derivations.sources.pyproject_edits import set_version

        if (tree.project / PYPROJECT).is_file():
            tree.edit(PYPROJECT, self.origin, lambda c: set_version(c, self.version))
        pkg_info = tree.project / "PKG-INFO"
        if pkg_info.is_file():
            fields = {"Version": self.version}
            tree.write(pkg_info, with_fields(pkg_info.read_bytes(), fields))


@dataclass(frozen=True, slots=True)
class SetPkgInfo:
    """A PKG-INFO that has these fields; it is made if it is missing."""

    fields: tuple[tuple[str, str], ...]
    origin: str = field(default="", compare=False)

    @property
    def value(self) -> Mapping[str, Value]:
        """As it stands in a derivation."""
        return {"action": "pkg-info", "fields": dict(self.fields)}

    def apply(self, tree: EditedTree) -> None:
        """Write the file."""
        place = tree.place("PKG-INFO", self.origin)
        # A version that commits to nothing: the backend is asked for all else.
        content = place.read_bytes() if place.is_file() else b"Metadata-Version: 2.1\n"
        tree.write(place, with_fields(content, dict(self.fields)))


@dataclass(frozen=True, slots=True)
class AddFile:
    """A file that is dropped in, in place of one that may be there."""

    path: str
    content: bytes = field(repr=False)
    executable: bool = False
    source: str = field(default="", compare=False)
    """The file that the content is read from, if it is not given in the settings."""
    origin: str = field(default="", compare=False)

    @property
    def value(self) -> Mapping[str, Value]:
        """As it stands in a derivation; before its content is read, as it was given."""
        content: dict[str, Value] = {"from": self.source}
        if self.content or not self.source:
            content = {"digest": str(blob_digest(self.content))}
        return {
            **content,
            "action": "file",
            "path": self.path,
            "executable": self.executable,
        }

    def apply(self, tree: EditedTree) -> None:
        """Write the file."""
        place = tree.place(self.path, self.origin)
        tree.write(place, self.content)
        place.chmod(0o755 if self.executable else 0o644)


@dataclass(frozen=True, slots=True)
class RemoveFiles:
    """Files and folders that are taken away."""

    files: tuple[str, ...]
    ignore_missing: bool = False
    origin: str = field(default="", compare=False)

    @property
    def value(self) -> Mapping[str, Value]:
        """As it stands in a derivation."""
        return {
            "action": "remove",
            "files": self.files,
            "ignore_missing": self.ignore_missing,
        }

    def apply(self, tree: EditedTree) -> None:
        """Remove them."""
        import shutil

        for name in self.files:
            found = list(tree.glob(name))
            if not found and not self.ignore_missing:
                raise EditFailed("remove", self.origin, f"there is no {name}")
            for path in found:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)


Edit: TypeAlias = (
    EditLines | EditBuildRequires | SetVersion | SetPkgInfo | AddFile | RemoveFiles
)


def recorded_edit(value: object, content: Callable[[str], bytes]) -> Edit:
    """The edit that stands in a derivation; the inverse of its `value`.

    `content` gives the bytes that a digest names.

    Raises:
        ValueError: no edit.
    """
    match value:
        case {
            "action": "delete-line" | "replace-line",
            "files": files,
            "search": str(search),
            "replace": str() | None as replacement,
            "ignore_missing": bool(ignore),
        }:
            return EditLines(_texts(files), search, replacement, ignore)
        case {"action": "build-requires", "update": update, "remove": remove}:
            return EditBuildRequires(_texts(update), _texts(remove))
        case {"action": "version", "version": str(version)}:
            return SetVersion(version)
        case {"action": "pkg-info", "fields": Mapping() as fields}:
            return SetPkgInfo(tuple((str(n), str(v)) for n, v in fields.items()))
        case {
            "action": "file",
            "path": str(path),
            "digest": str(digest),
            "executable": bool(executable),
        }:
            return AddFile(path, content(digest), executable)
        case {"action": "remove", "files": files, "ignore_missing": bool(ignore)}:
            return RemoveFiles(_texts(files), ignore)
    raise ValueError(f"{value!r} is no edit")


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, tuple) else ()


@dataclass(frozen=True, slots=True)
class EditedTree:
    """An unpacked source that may be written to."""

    root: Path
    build_dir: str = ""
    """The folder with the project in it, relative to the root."""

    @property
    def project(self) -> Path:
        """The folder with pyproject.toml."""
        return self.root / self.build_dir

    def place(self, name: str, origin: str) -> Path:
        """Where a file lies or is to lie; never outside, never through a link.

        `PKG-INFO` and `pyproject.toml` are those of the project.
        """
        start = self.project if name in ("PKG-INFO", PYPROJECT) else self.root
        place = start
        for part in name.split("/"):
            place = place / part
            if place.is_symlink():
                reason = "the way there is a symbolic link"
                raise EditFailed(name, origin, reason)
        if place.is_dir():
            raise EditFailed(name, origin, "there is a folder of that name")
        return place

    def matching(self, names: tuple[str, ...]) -> Iterator[Path]:
        """The plain files that some names or patterns mean, each once, sorted."""
        found = {path for name in names for path in self.glob(name)}
        yield from sorted(p for p in found if p.is_file() and not p.is_symlink())

    def glob(self, name: str) -> Iterator[Path]:
        """What lies inside of the tree and has this name or matches this pattern."""
        real = self.root.resolve()
        for path in sorted(self.root.glob(name)):
            if path.parent.resolve().is_relative_to(real):
                yield path

    def edit(self, name: str, origin: str, change: Change) -> None:
        """Replace a file of the project by what a function makes of it."""
        place = self.place(name, origin)
        before = place.read_bytes() if place.is_file() else None
        try:
            self.write(place, change(before))
        except ValueError as error:
            raise EditFailed(name, origin, str(error)) from error

    def write(self, place: Path, content: bytes) -> None:
        """Write a file; its executable bit stays."""
        mode = place.stat().st_mode & 0o777 if place.exists() else 0o644
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.write_bytes(content)
        place.chmod(mode)


def with_fields(content: bytes, fields: Mapping[str, str]) -> bytes:
    """Core metadata with these fields in place of those of the same names."""
    head, blank, body = content.partition(b"\n\n")
    wanted = dict(fields)
    lines = []
    for line in head.decode("utf-8", "surrogateescape").rstrip("\n").split("\n"):
        name = line.partition(":")[0]
        known = next((n for n in wanted if n.lower() == name.lower()), None)
        lines.append(line if known is None else f"{known}: {wanted.pop(known)}")
    lines += [f"{name}: {value}" for name, value in wanted.items()]
    text = "\n".join(line for line in lines if line).encode("utf-8", "surrogateescape")
    return text + (blank or b"\n") + body
