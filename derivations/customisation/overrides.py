"""A folder of overrides, found by names; a file is read when its package is asked for.

overrides/settings.yaml           upstream's general settings
overrides/settings/<name>.yaml    a package's settings, in upstream's form
overrides/settings/<name>.toml    the same in this program's own
overrides/patches/                see `PatchFolder`

Beside them stand the default rules, which count less than all of these: a few packages
cannot be built from what they publish without help.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packaging.utils import canonicalize_name

from fromager.derivations.customisation.document import Node, Origin, SettingsError
from fromager.derivations.customisation.rules import DEFAULT_LAYER

if TYPE_CHECKING:
    from collections.abc import Callable

    from fromager.derivations.customisation.rules import Assignment, Rule

DEFAULTS: Final = Path(__file__).with_name("defaults")
"""The folder with the default rules: `<name>.toml`, each with its reason."""
SUFFIXES: Final = (".yaml", ".toml")
"""In the order in which they are read: what is read later counts more."""


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A file with a package's settings."""

    name: str
    """Of the package, normalised."""
    path: Path

    @property
    def is_upstream(self) -> bool:
        """Whether it is in upstream's form."""
        return self.path.suffix == ".yaml"


@dataclass(frozen=True)
class SettingsTables:
    """The tables of a `fromager.toml` that are about packages."""

    path: Path
    text: str
    tables: dict[str, object] = field(repr=False)
    """`package` and `variants`, where they are there."""

    @cached_property
    def node(self) -> Node:
        """The tables with their lines."""
        from fromager.derivations.customisation.toml_document import located

        return located(self.tables, self.text, str(self.path))


@dataclass(frozen=True)
class Overrides:
    """Where settings of packages are, in the order in which they are read."""

    tables: tuple[SettingsTables, ...] = ()
    """Of the user's and the project's `fromager.toml`."""
    folder: Path | None = None
    defaults: Path | None = None
    """The folder with default rules; None for none."""

    @cached_property
    def files(self) -> dict[str, tuple[SettingsFile, ...]]:
        """The files of each package; one listing, nothing is opened."""
        found: dict[str, list[SettingsFile]] = {}
        for name in self._listing:
            stem, dot, suffix = name.rpartition(".")
            if f"{dot}{suffix}" in SUFFIXES and self.folder is not None:
                path = self.folder / "settings" / name
                package = canonicalize_name(stem)
                found.setdefault(package, []).append(SettingsFile(package, path))
        return {
            name: tuple(sorted(files, key=lambda file: _rank(file.path)))
            for name, files in found.items()
        }

    @property
    def strays(self) -> tuple[str, ...]:
        """Names of what lies among the settings and is not read."""
        return tuple(n for n in self._listing if not n.endswith(SUFFIXES))

    def names(self) -> tuple[str, ...]:
        """The packages that have settings, normalised, sorted."""
        named = {name for name, _ in self._tables_of_packages()}
        return tuple(sorted({*self.files, *named}))

    def rules(self, name: str) -> tuple[Rule, ...]:
        """The rules for one package, those for all packages left out.

        Raises:
            SettingsError: one of its files cannot be understood.
        """
        files = self.files.get(name, ())
        tables = [entry for each, entry in self._tables_of_packages() if each == name]
        default = self._defaults.get(f"{name}.toml")
        if not files and not tables and default is None:
            return ()
        from fromager.derivations.customisation import native, upstream

        found: list[Rule] = []
        if default is not None:
            found += native.package_rules(name, _read(default), DEFAULT_LAYER)
        for layer, node in tables:
            found += native.package_rules(name, node, layer)
        layers = len(self.tables)
        for number, file in enumerate(files):
            read = upstream.package_rules if file.is_upstream else native.package_rules
            found += read(name, _read(file.path), layers + number)
        return tuple(found)

    def general_rules(self) -> tuple[Rule, ...]:
        """The rules for all packages."""
        settings = self._general_file
        if not self.tables and settings is None:
            return ()
        from fromager.derivations.customisation import native

        found: list[Rule] = []
        if settings is not None:
            from fromager.derivations.customisation import upstream

            found += upstream.general_rules(_read(settings), len(self.tables))
        for layer, each in enumerate(self.tables):
            if "variants" in each.tables:
                found += native.variant_rules(_member(each.node, "variants"), layer)
        for package, (layer, node) in self._tables_of_packages():
            if package == "*":
                found += native.package_rules(package, node, layer)
        return tuple(found)

    def unused(self) -> tuple[Assignment, ...]:
        """What upstream's general settings say that has no effect here."""
        from fromager.derivations.customisation import upstream

        if self._general_file is None:
            return ()
        return upstream.general_settings(_read(self._general_file))

    def signature(self) -> tuple[str, ...]:
        """Equal as long as no file of settings was touched."""
        rows = [f"{each.path}\0{each.text}" for each in self.tables]
        if self.folder is not None:
            for folder in (self.folder / "settings", self.folder):
                try:
                    with os.scandir(folder) as entries:
                        rows += [_state(e) for e in entries if e.is_file()]
                except (FileNotFoundError, NotADirectoryError):
                    continue
        for path in self._defaults.values():
            state = path.stat()
            rows.append(f"{path.name}\0{state.st_size}\0{state.st_mtime_ns}")
        return tuple(sorted(rows))

    def beside(self, origin: str, name: str) -> tuple[Path, bytes]:
        """The path and the content of a file that a settings file names, relative to
        where that one lies.

        Raises:
            SettingsError: it is not there.
        """
        file, _, line = origin.rpartition(":")
        path = Path(file).parent / name
        try:
            return path, path.read_bytes()
        except OSError as error:
            reason = f"{name}: {error.strerror}"
            raise SettingsError(Origin(file, int(line)), reason) from error

    @cached_property
    def _defaults(self) -> dict[str, Path]:
        """The files of the default rules, by name."""
        if self.defaults is None:
            return {}
        with os.scandir(self.defaults) as entries:
            return {entry.name: Path(entry.path) for entry in entries}

    @cached_property
    def _general_file(self) -> Path | None:
        """Upstream's general settings, where there are any."""
        path = None if self.folder is None else self.folder / "settings.yaml"
        return path if path is not None and path.is_file() else None

    @cached_property
    def _listing(self) -> tuple[str, ...]:
        if self.folder is None:
            return ()
        try:
            with os.scandir(self.folder / "settings") as entries:
                return tuple(sorted(entry.name for entry in entries))
        except (FileNotFoundError, NotADirectoryError):
            return ()

    def _tables_of_packages(self) -> list[tuple[str, tuple[int, Node]]]:
        found = []
        for layer, each in enumerate(self.tables):
            if "package" in each.tables:
                from fromager.derivations.customisation import readers

                for name, node in readers.table(_member(each.node, "package")).items():
                    plain = name if name == "*" else canonicalize_name(name)
                    found.append((plain, (layer, node)))
        return found


def _member(node: Node, name: str) -> Node:
    from fromager.derivations.customisation import readers

    return readers.table(node)[name]


def _rank(path: Path) -> tuple[int, str]:
    return SUFFIXES.index(path.suffix), path.name


def _read(path: Path) -> Node:
    parse: Callable[[str, str], Node]
    if path.suffix == ".yaml":
        from fromager.derivations.customisation.yaml_document import parse_yaml as parse
    else:
        from fromager.derivations.customisation.toml_document import parse_toml as parse
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(Origin(str(path), 1), f"cannot be read: {error}") from error
    return parse(text, str(path))


def _state(entry: os.DirEntry[str]) -> str:
    state = entry.stat()
    return f"{entry.path}\0{state.st_size}\0{state.st_mtime_ns}"
