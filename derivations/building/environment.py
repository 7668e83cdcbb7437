"""Build environments: layouts merged into one tree, over what every environment has.

Nothing is copied: a merged tree names the same files as its parts do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fromager.derivations.errors import DerivationError
from fromager.store import Directory, File, Link

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fromager.derivations.interpreter import Interpreter
    from fromager.store import Node

BASE: Final = "the environment's own files"
"""What stands for the base in messages."""
CLASHES_SHOWN: Final = 10

_HOOK_NAME: Final = "_fromager_temporary_names"
# Run at every start of the interpreter, twice in a virtual environment: what it leads
# to waits in a module of its own.
_HOOK_LINE: Final = (
    "import sys; sys.meta_path.insert(0, type('TemporaryNames', (), {'find_spec': "
    "staticmethod(lambda name, path=None, target=None: __import__"
    f"('{_HOOK_NAME}').find(path, target) if name == 'tempfile' else None)}}))\n"
)
_HOOK: Final = '''\
"""Makes the names of temporary files a counter, so that no build sees chance."""

import sys
from itertools import count


def find(path, target):
    """The real tempfile, its names replaced once it is loaded."""
    sys.meta_path[:] = [
        finder
        for finder in sys.meta_path
        if getattr(finder, "__name__", "") != "TemporaryNames"
    ]
    for finder in sys.meta_path:
        find_spec = getattr(finder, "find_spec", None)
        spec = find_spec and find_spec("tempfile", path, target)
        if spec is not None:
            break
    else:
        return None
    execute = spec.loader.exec_module

    def exec_module(module):
        execute(module)
        module._name_sequence = map("{:08d}".format, count())

    spec.loader.exec_module = exec_module
    return spec
'''


class EnvironmentClash(DerivationError):
    """Packages that install different things at the same place."""

    def __init__(self, clashes: Sequence[tuple[str, str, str]]) -> None:
        shown = [
            f"{path} ({first}, {second})"
            for path, first, second in clashes[:CLASHES_SHOWN]
        ]
        if len(clashes) > CLASHES_SHOWN:
            shown.append(f"and {len(clashes) - CLASHES_SHOWN} more")
        super().__init__(
            f"packages differ in files of the same name: {', '.join(shown)}",
            hint="Constrain one of the packages to a version that does not have the "
            "files, or drop it from the build requirements with a patch",
        )
        self.clashes = tuple(clashes)
        """(path, one package, the other), sorted by path."""


def compose(layouts: Sequence[tuple[str, Directory]], base: Directory) -> Directory:
    """The tree that holds all of `base` and of each layout, given with its subject.

    Does not depend on the order of the layouts. Files that are equal may be in several.

    Raises:
        EnvironmentClash: different things at one path; all of them are named.
    """
    clashes: list[tuple[str, str, str]] = []
    parts: list[tuple[str, Node]] = [(BASE, base), *sorted(layouts, key=lambda x: x[0])]
    merged = _merge(parts, "", clashes)
    if clashes or not isinstance(merged, Directory):
        raise EnvironmentClash(sorted(clashes))
    return merged


def base_files(interpreter: Interpreter) -> dict[str, bytes | str]:
    """What every environment of an interpreter has: bytes of files, targets of links.

    By path relative to the environment's root: `pyvenv.cfg` (PEP 405), links to the
    interpreter, and the hook that makes names of temporary files deterministic.
    """
    home = interpreter.executable.rpartition("/")[0] or "/"
    configuration = (
        f"home = {home}\n"
        "include-system-site-packages = false\n"
        f"version = {interpreter.version}\n"
    )
    names = {"python", "python3", f"python{interpreter.python_version}"}
    site = interpreter.purelib_name
    return {
        **{f"bin/{name}": interpreter.executable for name in sorted(names)},
        "pyvenv.cfg": configuration.encode(),
        f"{site}/{_HOOK_NAME}.pth": _HOOK_LINE.encode(),
        f"{site}/{_HOOK_NAME}.py": _HOOK.encode(),
    }


def _merge(
    parts: Sequence[tuple[str, Node]], path: str, clashes: list[tuple[str, str, str]]
) -> Node:
    """What lies at `path` in the merged tree: one node, or several folders as one."""
    owner, first = parts[0]
    folders: list[tuple[str, Directory]] = []
    for subject, node in parts:
        if isinstance(node, Directory):
            folders.append((subject, node))
        if isinstance(first, Directory) != isinstance(node, Directory) or (
            isinstance(first, (File, Link)) and node != first
        ):
            clashes.append((path, owner, subject))
            return first
    if len(folders) <= 1:
        # Most folders belong to one package: they are taken as they are.
        return first
    names: dict[str, list[tuple[str, Node]]] = {}
    for subject, folder in folders:
        for name, node in folder.entries:
            names.setdefault(name, []).append((subject, node))
    prefix = f"{path}/" if path else ""
    return Directory.of(
        {
            name: found[0][1]
            if len(found) == 1
            else _merge(found, f"{prefix}{name}", clashes)
            for name, found in names.items()
        }
    )
