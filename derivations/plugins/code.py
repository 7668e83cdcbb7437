"""The code of a plugin: its module and what that imports, found by reading alone.

What runs in the sandbox sees these files and no others, so what is not found here
cannot take part in a build unseen: it is missing there.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from dataclasses import dataclass, field
from functools import cached_property
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fromager.derivations.plugins.broken import PluginBroken
from fromager.store import File, blob_digest, from_paths

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from importlib.machinery import ModuleSpec

    from fromager.store import Directory

ALWAYS: Final = ("packaging",)
"""What every plugin is given: the types of its arguments are in there."""
OFFERED: Final = "fromager"
"""The package whose modules are stood in for."""
MOST_FILES: Final = 5000
MOST_BYTES: Final = 64 << 20
_LEFT_OUT: Final = ("__pycache__", ".pyc", ".pyo")


@dataclass(frozen=True)
class PluginCode:
    """Files that a plugin consists of."""

    files: Mapping[str, bytes] = field(repr=False)
    """By path, as modules are found there."""
    functions: frozenset[str]
    """Names that its module binds."""
    places: frozenset[str]
    """Where the files lie."""

    @cached_property
    def tree(self) -> Directory:
        """All of them as a tree."""
        return from_paths(
            (path, File(blob_digest(content), size=len(content)))
            for path, content in sorted(self.files.items())
        )


def collect(module: str, paths: Sequence[str]) -> PluginCode:
    """The code of a module, with what it imports in so many words.

    Of its own top-level package that is the modules which are imported; of a module
    that is a package itself, and of other packages, all. The standard library is not
    among it.

    Raises:
        PluginBroken: it is not there, cannot be parsed, or is too much.
    """
    return _Collector(module, paths).collect()


class _Collector:
    def __init__(self, module: str, paths: Sequence[str]) -> None:
        self._module, self._paths = module, list(paths)
        self._top = module.partition(".")[0]
        self._files: dict[str, Path] = {}
        self._seen: set[str] = set()
        self._bytes = 0

    def collect(self) -> PluginCode:
        spec = self._find(self._module)
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            raise PluginBroken(self._module, "there is no such module")
        functions = frozenset(_bound(self._parse(Path(spec.origin))))
        queue = [self._module, *ALWAYS]
        for name in queue:
            queue += [each for each in self._add(name) if each not in self._seen]
        contents = {path: place.read_bytes() for path, place in self._files.items()}
        places = frozenset(map(str, self._files.values()))
        return PluginCode(contents, functions, places)

    def _add(self, name: str) -> list[str]:
        """Take a module in; the modules that it imports, as far as they are known."""
        top = name.partition(".")[0]
        if name in self._seen or top in sys.stdlib_module_names or top == OFFERED:
            return []
        self._seen.add(name)
        if top != self._top:
            self._seen.add(top)
            return self._take(top, whole=True)
        spec = self._find(name)
        if spec is None:
            return []
        parents = name.split(".")[:-1]
        found = [".".join(parents[: end + 1]) for end in range(len(parents))]
        return [*found, *self._take(name, whole=name == self._module)]

    def _take(self, name: str, *, whole: bool) -> list[str]:
        """Add a module's file; of a package all files if it is taken `whole`."""
        spec = self._find(name)
        if spec is None:
            return []
        base = name.replace(".", "/")
        imports: list[str] = []
        if spec.submodule_search_locations is None:
            if spec.origin is None or not Path(spec.origin).is_file():
                return []
            path = Path(spec.origin)
            self._keep(f"{base}{''.join(path.suffixes)}", path)
            return self._imports(path, name, is_package=False)
        for folder in spec.submodule_search_locations:
            pattern = "**/*" if whole else "__init__.py"
            for path in sorted(Path(folder).glob(pattern)):
                relative = path.relative_to(folder).as_posix()
                if not path.is_file() or any(p in relative for p in _LEFT_OUT):
                    continue
                self._keep(f"{base}/{relative}", path)
                if path.suffix == ".py":
                    parts = relative.removesuffix(".py").split("/")
                    inner = [part for part in parts if part != "__init__"]
                    imports += self._imports(
                        path,
                        ".".join((name, *inner)),
                        is_package=parts[-1] == "__init__",
                    )
        return imports

    def _keep(self, relative: str, path: Path) -> None:
        if relative not in self._files:
            self._bytes += path.stat().st_size
            self._files[relative] = path
        if len(self._files) > MOST_FILES or self._bytes > MOST_BYTES:
            raise PluginBroken(
                self._module,
                f"what it imports is more than {MOST_FILES} files or "
                f"{MOST_BYTES >> 20} MiB",
                hint="Import less in it: the sandbox gets all of it",
            )

    def _imports(self, path: Path, name: str, *, is_package: bool) -> list[str]:
        package = name if is_package else name.rpartition(".")[0]
        if name.partition(".")[0] in ALWAYS:
            return []
        return list(_imported(self._parse(path), package))

    def _parse(self, path: Path) -> ast.Module:
        try:
            return ast.parse(path.read_bytes(), str(path))
        except (SyntaxError, ValueError, OSError) as error:
            raise PluginBroken(self._module, f"{path}: {error}") from error

    def _find(self, name: str) -> ModuleSpec | None:
        """The module's spec; nothing is imported for it."""
        where: Sequence[str] = self._paths
        spec: ModuleSpec | None = None
        for depth, part in enumerate(name.split(".")):
            # By its own name alone: for a dotted one Python looks for its parents
            # among the modules that are loaded.
            spec = PathFinder.find_spec(part, list(where))
            if spec is None and depth == 0 and part != "__main__":
                # Editable installs may have finders of their own.
                spec = importlib.util.find_spec(part)
            if spec is None:
                return None
            where = list(spec.submodule_search_locations or ())
        return spec


def _bound(tree: ast.Module) -> Iterator[str]:
    """Names that a module binds at its top level."""
    for node in _statements(tree.body):
        match node:
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name):
                yield name
            case ast.Assign(targets):
                yield from (each.id for each in targets if isinstance(each, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.ImportFrom(names=names):
                yield from (each.asname or each.name for each in names)


def _imported(tree: ast.Module, package: str) -> Iterator[str]:
    """Modules that may be imported, and names of which some may be modules."""
    for node in _walk(tree.body):
        match node:
            case ast.Import(names):
                yield from (each.name for each in names)
            case ast.ImportFrom(module, names, level):
                base = module or ""
                if level:
                    parts = package.split(".")
                    above = parts[: len(parts) - level + 1]
                    base = ".".join((*above, base)).rstrip(".")
                yield base
                yield from (f"{base}.{each.name}" for each in names)


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a body, those under conditions and in `try` as well."""
    for node in body:
        yield node
        for inner in ("body", "orelse", "finalbody"):
            if isinstance(node, (ast.If, ast.Try, ast.With)):
                yield from _statements(getattr(node, inner, ()))


def _walk(body: Sequence[ast.stmt]) -> Iterator[ast.AST]:
    """All that is in a body, but what is for type checkers only."""
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            yield from _walk(node.orelse)
            continue
        if isinstance(node, (ast.If, ast.Try, ast.With, ast.FunctionDef, ast.ClassDef)):
            yield from _walk(node.body)
            yield from _walk(getattr(node, "orelse", ()))
            yield from _walk(getattr(node, "finalbody", ()))
            for handler in getattr(node, "handlers", ()):
                yield from _walk(handler.body)
            continue
        yield from ast.walk(node)
