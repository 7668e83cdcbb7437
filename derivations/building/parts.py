"""The parts of a platform's fingerprint, and which file belongs to which."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fromager.derivations.building import programs
from fromager.derivations.building.toolchain import BIN, THIS_MACHINE
from fromager.store import Digest, derived_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fromager.derivations.building.scan import Item
    from fromager.derivations.building.toolchain import Machine, Toolchain
    from fromager.derivations.interpreter import Interpreter

INTERPRETER: Final = "interpreter"
STANDARD_LIBRARY: Final = "standard library"
PYTHON_HEADERS: Final = "python headers"
C_LIBRARY: Final = "C library"
COMPILER: Final = "compiler"
ASSEMBLER: Final = "assembler"
LINKER: Final = "linker"
TOOLS: Final = "tools"
HEADERS: Final = "headers"
LIBRARIES: Final = "libraries"
DATA: Final = "tool data"

NAMES: Final = (
    INTERPRETER,
    STANDARD_LIBRARY,
    PYTHON_HEADERS,
    C_LIBRARY,
    COMPILER,
    ASSEMBLER,
    LINKER,
    TOOLS,
    HEADERS,
    LIBRARIES,
    DATA,
)

_CONTEXT: Final = "fromager derivations 2026-11 platform part v1"
_VERSIONED: Final = {COMPILER: "cc", ASSEMBLER: "as", LINKER: "ld"}
_C_LIBRARY: Final = re.compile(
    r"(ld-|ld64|libc[-.]|libm[-.]|libmvec|libpthread|libdl[-.]|librt[-.]|libutil[-.]"
    r"|libanl|libresolv|libnss_|libcrypt[-.]|libBrokenLocale|libthread_db"
    r"|[gr]?crt[1in]\.o|[Mg]crt1\.o|Scrt1\.o|rcrt1\.o)"
)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the machine: what it is to people, and its digest."""

    name: str
    digest: Digest | None
    """None if the machine has nothing of it."""
    detail: str
    """A version where one is known; for people only, no part of the fingerprint."""


def identify(
    interpreter: Interpreter,
    machine: Machine,
    toolchain: Toolchain,
    items: Iterable[Item],
    digests: Mapping[str, Digest],
) -> tuple[Part, ...]:
    """The parts, in the order of `NAMES`, each with the digest of all its files."""
    lines: dict[str, list[bytes]] = {name: [] for name in NAMES}
    sources = {program.source for program in toolchain.programs}
    places = _Places(interpreter)
    for item in items:
        if item.path in digests and item.path not in sources:
            part, name = places.of(item.path)
            kind = "l" if item.is_link else "x" if item.is_executable else "f"
            lines[part].append(_line(kind, name, digests[item.path].hex))
    for program in toolchain.programs:
        part = _part_of_program(program.name, interpreter)
        place = f"{BIN}/{program.name}"
        if program.source is None:
            lines[part].append(_line("l", place, program.target or ""))
        elif program.source in digests:
            lines[part].append(_line("x", place, digests[program.source].hex))
    own = (interpreter.prefix, interpreter.version, interpreter.implementation)
    lines[INTERPRETER].append(_line("i", *own))
    return tuple(
        Part(
            name,
            derived_digest(_CONTEXT, b"".join(sorted(lines[name])))
            if lines[name]
            else None,
            _detail(name, interpreter, machine, toolchain),
        )
        for name in NAMES
    )


class _Places:
    """Which part a file belongs to, and its name in it."""

    def __init__(self, interpreter: Interpreter) -> None:
        own = [(path, PYTHON_HEADERS, "include") for path in interpreter.include]
        own.append((interpreter.stdlib, STANDARD_LIBRARY, "stdlib"))
        own.append((interpreter.platstdlib, STANDARD_LIBRARY, "platstdlib"))
        self._own = [(f"{path}/", part, name) for path, part, name in own]
        self._files = {interpreter.executable, *interpreter.libraries}

    def of(self, path: str) -> tuple[str, str]:
        if path in self._files:
            return INTERPRETER, path.rpartition("/")[2]
        for prefix, part, name in self._own:
            if path.startswith(prefix):
                return part, f"{name}/{path[len(prefix) :]}"
        if path.startswith("/usr/include/"):
            return HEADERS, path
        if path.startswith("/usr/share/"):
            return DATA, path
        if "/gcc/" in path or "/llvm" in path or "/clang/" in path:
            return COMPILER, path
        if _C_LIBRARY.match(path.rpartition("/")[2]):
            return C_LIBRARY, path
        return LIBRARIES, path


def _part_of_program(name: str, interpreter: Interpreter) -> str:
    if f"{BIN}/{name}" == interpreter.executable:
        return INTERPRETER
    # `x86_64-linux-gnu-gcc-12` is a `gcc`.
    plain = re.sub(r"^\w+-linux-\w+-|-[\d.]+$", "", name)
    if plain in programs.COMPILER.split() or plain in programs.ASIDE:
        return COMPILER
    if plain in programs.ASSEMBLER.split():
        return ASSEMBLER
    if plain in programs.LINKER.split():
        return LINKER
    return TOOLS


def _line(*fields: str) -> bytes:
    return b"\0".join(os.fsencode(field) for field in fields) + b"\n"


def _detail(
    name: str, interpreter: Interpreter, machine: Machine, toolchain: Toolchain
) -> str:
    if name == INTERPRETER:
        what = f"{interpreter.implementation} {interpreter.version}"
        return f"{what} at {interpreter.prefix}"
    if machine != THIS_MACHINE:
        # Its programs cannot be run here.
        return ""
    if name == C_LIBRARY:
        return _c_library()
    if name in _VERSIONED:
        wanted = _VERSIONED[name]
        if any(program.name == wanted for program in toolchain.programs):
            return _version(f"{BIN}/{wanted}")
        return "absent"
    return ""


def _c_library() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        return ""


def _version(program: str) -> str:
    import subprocess

    try:
        done = subprocess.run(
            [program, "--version"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
            env={"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.partition("\n")[0].strip()
