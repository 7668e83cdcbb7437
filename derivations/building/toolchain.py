"""What of this machine a sandbox lets in: the interpreter, programs, libraries.

Nothing here is about one package. Programs come from a fixed list, so that no other
program of the machine, such as a `cmake` that happens to be there, can be found
from inside. Folders are let in whole, each at its own path.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase, translate
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fromager.derivations.building.programs import ASIDE, PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fromager.derivations.interpreter import Interpreter

BIN: Final = "/usr/bin"
_BIN_FOLDERS: Final = (BIN, "/bin", "/usr/sbin", "/sbin")
_LIBRARY_ROOTS: Final = ("/usr/lib", "/lib")
_LIBRARY_ROOTS_64: Final = ("/usr/lib64", "/lib64")
_BESIDE_LIBRARIES: Final = (
    "bfd-plugins",
    "compat-ld",
    "gold-ld",
    "file",
    "pkgconfig",
    "cmake",
    "locale/C.utf8",
    "locale/C.UTF-8",
    # The specs files that Fedora's interpreter names in its compiler flags.
    "rpm/redhat",
)
_FOLDERS: Final = ("/usr/lib/gcc", "/usr/libexec/gcc", "/usr/include")
_SHARED_DATA: Final = (
    "perl",
    "perl5",
    "aclocal*",
    "autoconf*",
    "automake*",
    "libtool",
    "pkgconfig",
    "file",
)
_FILES: Final = ("/usr/share/misc/magic.mgc", "/usr/share/misc/magic")
_FOREIGN: Final = (
    "python2*",
    "python3*",
    "pypy*",
    "node_modules",
    "modules",
    "firmware",
    "jvm",
    "ruby",
    "go",
    "rustlib",
)
"""Folders in a folder of libraries that belong to something else altogether."""
_IS_FOREIGN: Final = re.compile("|".join(map(translate, _FOREIGN))).match


@dataclass(frozen=True, slots=True)
class Program:
    """A name below `/usr/bin`: a copy of a file, or a link."""

    name: str
    source: str | None
    """The file that is copied; None for a link."""
    target: str | None
    """What the link points to."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """All that is let in, by path. Paths are those of the machine, and inside."""

    homes: tuple[str, ...]
    """Folders made for the sandbox, of copies: `/usr`, the interpreter's prefix."""
    programs: tuple[Program, ...]
    copies: tuple[str, ...]
    """Small files and folders that are copied into those, to save mounts."""
    folders: tuple[str, ...]
    """Folders that are let in as they are."""
    files: tuple[str, ...]
    """Single files that are let in as they are."""
    hidden: tuple[str, ...]
    """Folders within those that are covered by an empty one."""
    links: tuple[tuple[str, str], ...]
    """Symbolic links: where, and what they point to."""
    watched: tuple[str, ...]
    """Folders that decide what is found, but are not let in."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The file system that is looked at; its root is `/` except in tests."""

    root: str = "/"

    @property
    def prefix(self) -> str:
        """What stands before each path: empty for this machine."""
        return self.root.rstrip("/")

    def real(self, path: str) -> str | None:
        """The path with all links followed; None if nothing is there."""
        if self.root == "/":
            resolved = os.path.realpath(path)
            return resolved if Path(resolved).exists() else None
        for _ in range(40):
            link = self._first_link(path)
            if link is None:
                return path if self.at(path).exists() else None
            target = self.target(link)
            parent = link.rpartition("/")[0]
            start = target if target.startswith("/") else f"{parent}/{target}"
            path = os.path.normpath(start + path[len(link) :])
        return None

    def at(self, path: str) -> Path:
        """Where a path of the machine really is."""
        return Path(self.root, path.lstrip("/"))

    def names(self, folder: str) -> list[str]:
        """What is in a folder, sorted; nothing if it cannot be read."""
        try:
            return sorted(entry.name for entry in self.at(folder).iterdir())
        except OSError:
            return []

    def target(self, link: str) -> str:
        """What a symbolic link says."""
        return str(self.at(link).readlink())

    def links_into(self, folder: str, prefix: str) -> list[str]:
        """What the links in a folder say that begin with this, sorted."""
        found = set()
        with contextlib.suppress(OSError), os.scandir(self.at(folder)) as entries:
            for entry in entries:
                if entry.is_symlink():
                    found.add(self.target(f"{folder}/{entry.name}"))
        return sorted(target for target in found if target.startswith(prefix))

    def is_real_folder(self, path: str) -> bool:
        """Whether it is a folder, and no link to one."""
        return self.at(path).is_dir() and not self.at(path).is_symlink()

    def _first_link(self, path: str) -> str | None:
        parts = path.split("/")
        for count in range(2, len(parts) + 1):
            prefix = "/".join(parts[:count])
            if self.at(prefix).is_symlink():
                return prefix
        return None


THIS_MACHINE: Final = Machine()


def discover(interpreter: Interpreter, machine: Machine) -> Toolchain:
    """What this machine has of all that may be let in."""
    architecture = interpreter.platform_tag.removeprefix("linux_")
    libraries = list(_library_folders(machine, architecture))
    library = dict.fromkeys((interpreter.stdlib, interpreter.platstdlib))
    hidden = [
        path
        for folder in libraries
        for path in _foreign(machine, folder)
        if path not in library
    ]
    mounted = [*libraries, *_compiler_homes(machine), *library]
    mounted += [path for path in _FOLDERS if machine.is_real_folder(path)]
    folders = _outermost(mounted, hidden)
    # A distribution's own modules are no part of the standard library.
    hidden += [
        f"{folder}/{name}"
        for folder in library
        for name in ("site-packages", "dist-packages")
        if machine.is_real_folder(f"{folder}/{name}")
    ]
    programs = tuple(_programs(machine, interpreter, folders))
    small = [*_beside_libraries(machine), *_shared_data(machine), *interpreter.include]
    small += [path for path in _FILES if machine.real(path) is not None]
    small += interpreter.libraries
    if not _in_bin(interpreter.executable):
        small.append(interpreter.executable)
    small = [p for p in _outermost(small, hidden) if not _is_below(p, folders)]
    homes = _homes(interpreter)
    return Toolchain(
        homes=homes,
        programs=programs,
        copies=tuple(path for path in small if _is_below(path, homes)),
        folders=tuple(folders),
        files=tuple(path for path in small if not _is_below(path, homes)),
        hidden=tuple(sorted(set(hidden))),
        links=(
            *_links(machine, folders),
            *_library_links(interpreter, folders),
        ),
        watched=tuple(
            path
            for path in (*_BIN_FOLDERS, *_LIBRARY_ROOTS, "/etc/alternatives")
            if machine.is_real_folder(path)
        ),
    )


def _homes(interpreter: Interpreter) -> tuple[str, ...]:
    prefix = interpreter.prefix
    return ("/usr",) if prefix in ("/", "/usr") else tuple(sorted(("/usr", prefix)))


def _library_folders(machine: Machine, architecture: str) -> Iterator[str]:
    roots = [root for root in _LIBRARY_ROOTS if machine.is_real_folder(root)]
    for root in roots:
        names = machine.names(root)
        if any(n == "libc.so.6" or n.startswith("libc.musl-") for n in names):
            yield root
            continue
        for name in names:
            if fnmatchcase(name, f"{architecture}-linux-*"):
                yield f"{root}/{name}"
    for root in _LIBRARY_ROOTS_64:
        if machine.is_real_folder(root) and not _is_small(machine, root):
            yield root


def _is_small(machine: Machine, folder: str) -> bool:
    # Debian has nothing there but the links to the loader.
    names = machine.names(folder)
    return folder.startswith("/usr/") and len(names) <= 8


def _foreign(machine: Machine, folder: str) -> Iterator[str]:
    for name in machine.names(folder):
        if _IS_FOREIGN(name):
            path = f"{folder}/{name}"
            if machine.is_real_folder(path):
                yield path


def _beside_libraries(machine: Machine) -> Iterator[str]:
    if machine.is_real_folder("/usr/lib64") and _is_small(machine, "/usr/lib64"):
        yield "/usr/lib64"
    for name in _BESIDE_LIBRARIES:
        if machine.is_real_folder(f"/usr/lib/{name}"):
            yield f"/usr/lib/{name}"


def _shared_data(machine: Machine) -> Iterator[str]:
    for name in machine.names("/usr/share"):
        if any(fnmatchcase(name, pattern) for pattern in _SHARED_DATA):
            path = f"/usr/share/{name}"
            if machine.is_real_folder(path):
                yield path


def _compiler_homes(machine: Machine) -> Iterator[str]:
    # clang finds its headers beside itself. It is let in only where there is no gcc.
    if machine.real(f"{BIN}/gcc") is None:
        clang = machine.real(f"{BIN}/clang")
        if clang is not None and clang.startswith("/usr/lib/llvm"):
            yield clang.rpartition("/bin/")[0]
        if machine.is_real_folder("/usr/lib/clang"):
            yield "/usr/lib/clang"


def _programs(
    machine: Machine, interpreter: Interpreter, folders: list[str]
) -> Iterator[Program]:
    found: dict[str, Program] = {}
    for name in _program_names(machine, interpreter):
        for folder in (BIN, "/bin"):
            real = machine.real(f"{folder}/{name}")
            if real is not None and machine.at(real).is_file():
                _add_program(found, name, real, folders)
                break
    for name in sorted(found):
        yield found[name]


def _program_names(machine: Machine, interpreter: Interpreter) -> list[str]:
    names = list(PROGRAMS)
    if machine.real(f"{BIN}/gcc") is None:
        names += ASIDE
    # The names with the compiler's target in front, as configure scripts want them.
    architecture = interpreter.platform_tag.removeprefix("linux_")
    targets = {
        name.removesuffix("-gcc")
        for name in machine.names(BIN)
        if name.startswith(f"{architecture}-") and name.endswith("-gcc")
    }
    names += [f"{target}-{name}" for target in sorted(targets) for name in PROGRAMS]
    if _in_bin(interpreter.executable):
        names.append(interpreter.executable.rpartition("/")[2])
    return names


def _add_program(
    found: dict[str, Program], name: str, real: str, folders: list[str]
) -> None:
    base = real.rpartition("/")[2]
    if _in_bin(real):
        found[base] = Program(base, real, None)
        if base != name:
            found[name] = Program(name, None, base)
    elif _is_below(real, folders):
        found[name] = Program(name, None, real)
    else:
        found[name] = Program(name, real, None)


def _links(machine: Machine, folders: list[str]) -> Iterator[tuple[str, str]]:
    yield "/bin", "usr/bin"
    for path in ("/lib", "/lib64", "/usr/lib64"):
        if machine.at(path).is_symlink():
            yield path, machine.target(path)
    # What a library folder's links lead to by way of the alternatives system.
    alternatives = {
        target
        for folder in folders
        for target in machine.links_into(folder, "/etc/alternatives/")
    }
    for place in sorted(alternatives):
        if machine.at(place).is_symlink():
            yield place, machine.target(place)


def _library_links(
    interpreter: Interpreter, folders: list[str]
) -> Iterator[tuple[str, str]]:
    # The loader finds a library in /usr/local/lib through a cache of all libraries of
    # the machine, which is hidden. In /usr/lib it looks by itself.
    if "/usr/lib" in folders:
        return
    for path in interpreter.libraries:
        name = path.rpartition("/")[2]
        if ".so." in name and not _is_below(path, [*folders, *_LIBRARY_ROOTS]):
            yield f"/usr/lib/{name}", path


def _outermost(paths: list[str], hidden: list[str]) -> list[str]:
    kept: list[str] = []
    for path in sorted(set(paths)):
        if not _is_below(path, kept) or _is_below(path, hidden):
            kept.append(path)
    return kept


def _is_below(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def _in_bin(path: str) -> bool:
    return path.rpartition("/")[0] in _BIN_FOLDERS
