"""The interpreter that wheels are built for, as a value.

`fromager.derivations.building.probe` asks a real interpreter for it. Nothing here
depends on the interpreter that fromager itself runs on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python interpreter: where it lies, what it is, what it calls itself."""

    executable: str
    """The real executable, symbolic links followed: `/usr/bin/python3.12`."""
    prefix: str
    """Its base prefix: the folder that holds `lib/python3.12`, never a venv's."""
    version: str
    """`3.12.1`."""
    implementation: str
    """`cpython`, `pypy`: PEP 421's name."""
    stdlib: str
    """The folder of its standard library."""
    platstdlib: str
    """The folder of its compiled standard library; mostly the same."""
    include: tuple[str, ...]
    """The folders of its C headers."""
    libraries: tuple[str, ...]
    """Its shared library, where it has one, and what else of it is loaded."""
    purelib_name: str
    """Below an environment's root: `lib/python3.12/site-packages`."""
    platlib_name: str
    """Below an environment's root; mostly the same."""
    ext_suffix: str
    """`.cpython-312-x86_64-linux-gnu.so`."""
    soabi: str
    """`cpython-312-x86_64-linux-gnu`; empty where unknown."""
    platform_tag: str
    """`linux_x86_64`, as in the file name of a wheel built here."""
    cache_tag: str
    """`cpython-312`, PEP 3147."""
    tags: tuple[str, ...]
    """Compatible wheel tags (PEP 425), most specific first: `cp312-cp312-linux_x86_64`."""
    markers: tuple[tuple[str, str], ...]
    """The marker environment (PEP 508), sorted by name."""

    @property
    def python_version(self) -> str:
        """`3.12`."""
        return ".".join(self.version.split(".")[:2])

    @property
    def marker_environment(self) -> Mapping[str, str]:
        """The marker environment as a mapping."""
        return dict(self.markers)
