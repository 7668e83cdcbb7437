"""Programs put before all others: compilers with other flags, programs of the machine.

A compiler is wrapped, not told by CFLAGS: many build tools take that variable in place
of their own flags, and what was to be added would then drop `-DNDEBUG` and `-O3`.
"""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fromager.derivations.building.scripts import INSIDE
from fromager.store import blob_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fromager.derivations.building.machine_view import MachineView
    from fromager.derivations.customisation.values import CompilerFlags

FOLDER: Final = f"{INSIDE}/bin"
"""Where they are seen inside."""

_COMPILER: Final = re.compile(
    r"(?:\w+-linux-\w+-)?(?:cc|gcc|c\+\+|g\+\+|clang|clang\+\+)(?:-\d+)?"
)
_NO_LINKING: Final = "-c | -E | -S | -M | -MM | -fsyntax-only"


def compilers(view: MachineView) -> tuple[str, ...]:
    """The names of the compilers that a build finds, sorted."""
    return tuple(name for name in view.programs() if _COMPILER.fullmatch(name))


def wrapper(program: str, flags: CompilerFlags) -> str:
    """The shell script that calls a compiler with other arguments.

    Flags for linking come last, and only where there is something to link.
    """
    own = flags.cxx if "++" in program else flags.c
    removed = " | ".join(map(shlex.quote, flags.remove))
    drop = f"    {removed}) continue ;;\n" if removed else ""
    return (
        "#!/bin/sh\n"
        "links=yes\n"
        "input=\n"
        "for argument; do\n"
        "  shift\n"
        '  case "$argument" in\n'
        f"{drop}"
        f"    {_NO_LINKING}) links= ;;\n"
        "    -*) ;;\n"
        "    *) input=yes ;;\n"
        "  esac\n"
        '  set -- "$@" "$argument"\n'
        "done\n"
        f'[ -z "$input" ] || set -- "$@" {shlex.join(own)}\n'
        f'[ -z "$links" ] || [ -z "$input" ] || set -- "$@" {shlex.join(flags.link)}\n'
        f'exec /usr/bin/{program} "$@"\n'
    )


def wrapper_recipe() -> str:
    """Names how wrappers are written; part of the key of builds that have them."""
    return blob_digest(Path(__file__).read_bytes()).hex[:16]


def write_tools(
    folder: Path,
    names: Iterable[str],
    flags: CompilerFlags,
    programs: Mapping[str, str],
) -> None:
    """Make the folder, with wrappers of these compilers and copies of programs."""
    folder.mkdir()
    for name, source in programs.items():
        shutil.copyfile(source, folder / name)
    for name in names:
        (folder / name).write_text(wrapper(name, flags))
    for path in folder.iterdir():
        path.chmod(0o555)
    folder.chmod(0o755)
