"""Rules of the source tree that no linter knows, each a function that lists breaches.

Every import counts: those for type checkers only and those inside functions, too.
A breach is one line of text that names the module and what it does.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

LAYERS: Final = ("store", "derivations", "cli")
"""The folders; each may import those before it."""


@dataclass(frozen=True)
class Import:
    """`from module import name`, or `import module` (no name)."""

    module: str
    name: str | None
    target: str
    """The module of the tree that is loaded, or the one outside of it."""


@dataclass(frozen=True)
class Module:
    """A file of the source tree."""

    path: str
    """Relative to the root, as in `store/digest.py`."""
    name: str
    """As installed: `fromager.store.digest`."""
    tree: ast.Module
    text: str
    imports: tuple[Import, ...]

    @property
    def folder(self) -> str:
        """`store`, `derivations` or `cli`."""
        return self.path.split("/")[0]


def read_tree(root: Path) -> tuple[Module, ...]:
    """All modules below the three folders, sorted by path."""
    files = {
        _module_name(path.relative_to(root)): path
        for layer in LAYERS
        for path in sorted((root / layer).rglob("*.py"))
    }
    return tuple(_read(root, path, name, files) for name, path in files.items())


def upward_imports(modules: Sequence[Module]) -> list[str]:
    """Imports from a folder that stands above, or of a root folder's short name."""
    found = []
    for module, item in _all_imports(modules):
        first, _, rest = item.target.partition(".")
        folder = rest.split(".")[0] if first == "fromager" else first
        if folder not in LAYERS:
            continue
        if first != "fromager" or _rank(folder) > _rank(module.folder):
            found.append(f"{module.path} imports {item.target}")
    return found


def private_imports(modules: Sequence[Module]) -> list[str]:
    """Imports across folders of anything but a name that the other does not list."""
    public = {
        f"fromager.{layer}": _public_names(module)
        for layer in LAYERS
        for module in modules
        if module.path == f"{layer}/__init__.py"
    }
    return [
        f"{module.path} imports {item.name or 'all'} from {item.module}"
        for module, item in _all_imports(modules)
        if item.module.startswith("fromager.")
        and item.module.split(".")[1] != module.folder
        and item.name not in public.get(item.module, set())
    ]


def import_cycles(modules: Sequence[Module]) -> list[str]:
    """A chain of modules that import each other, if there is one."""
    graph = {
        module.name: {item.target for item in module.imports} - {module.name}
        for module in modules
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [" imports ".join(reversed(error.args[1]))]
    return []


def impure_imports(
    modules: Sequence[Module], pure: Iterable[str], effects: Iterable[str]
) -> list[str]:
    """Imports of a module with effects where only values come in and go out."""
    patterns, forbidden = tuple(pure), frozenset(effects)
    return [
        f"{module.path} imports {item.target}"
        for module, item in _all_imports(modules)
        if any(fnmatch(module.path, pattern) for pattern in patterns)
        and item.target.split(".")[0] in forbidden
    ]


def unmatched(modules: Sequence[Module], patterns: Iterable[str]) -> list[str]:
    """Patterns for which there is no module."""
    paths = [module.path for module in modules]
    return [p for p in patterns if not any(fnmatch(path, p) for path in paths)]


def long_modules(modules: Sequence[Module], limit: int) -> list[str]:
    """Modules with more lines than the limit."""
    lengths = {module.path: len(module.text.splitlines()) for module in modules}
    return [f"{p} has {count} lines" for p, count in lengths.items() if count > limit]


def prints(modules: Sequence[Module], scripts: Iterable[str]) -> list[str]:
    """Calls of `print` outside of cli and of scripts that other programs run."""
    exempt = frozenset(scripts)
    return [
        f"{module.path}:{node.lineno} prints"
        for module in modules
        if module.folder != "cli" and module.path not in exempt
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]


def environment_reads(modules: Sequence[Module], scripts: Iterable[str]) -> list[str]:
    """Uses of this process's environment variables outside of cli and scripts."""
    names = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
    exempt = frozenset(scripts)
    found = []
    for module in modules:
        if module.folder == "cli" or module.path in exempt:
            continue
        for node in ast.walk(module.tree):
            match node:
                case ast.Attribute(value=ast.Name("os"), attr=name) if name in names:
                    found.append(f"{module.path}:{node.lineno} uses os.{name}")
                case ast.ImportFrom(module="os", names=aliases):
                    found += [
                        f"{module.path}:{node.lineno} uses os.{alias.name}"
                        for alias in aliases
                        if alias.name in names
                    ]
    return found


def unportable_scripts(
    modules: Sequence[Module],
    scripts: Iterable[str],
    oldest: tuple[int, int],
    standard_library: Iterable[str],
) -> list[str]:
    """Scripts for other interpreters that need more than the oldest one offers."""
    library = frozenset(standard_library)
    found = []
    for module in modules:
        if module.path not in frozenset(scripts):
            continue
        try:
            ast.parse(module.text, feature_version=oldest)
        except SyntaxError as error:
            found.append(f"{module.path}:{error.lineno} is newer than {oldest}")
        found += [
            f"{module.path} imports {item.target}"
            for item in module.imports
            if item.target.split(".")[0] not in library
        ]
    return found


def _read(root: Path, path: Path, name: str, files: Mapping[str, Path]) -> Module:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    relative = path.relative_to(root).as_posix()
    return Module(relative, name, tree, text, tuple(_imports(tree, name, files)))


def _imports(tree: ast.Module, own: str, files: Mapping[str, Path]) -> Iterator[Import]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, None, alias.name)
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node, own)
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                yield Import(module, alias.name, inner if inner in files else module)


def _absolute(node: ast.ImportFrom, own: str) -> str:
    if not node.level:
        return node.module or ""
    package = own.split(".")[: -node.level]
    return ".".join([*package, *([node.module] if node.module else [])])


def _module_name(relative: Path) -> str:
    parts = ["fromager", *relative.with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _public_names(package: Module) -> set[str]:
    for node in package.tree.body:
        match node:
            case ast.Assign(targets=[ast.Name("_HOME")], value=value):
                homes = ast.literal_eval(value)
                return {name for names in homes.values() for name in names.split()}
    return set()


def _all_imports(modules: Sequence[Module]) -> Iterator[tuple[Module, Import]]:
    return ((module, item) for module in modules for item in module.imports)


def _rank(folder: str) -> int:
    return LAYERS.index(folder)
