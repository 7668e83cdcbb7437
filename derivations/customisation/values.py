"""What settings come to: the values that effects are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable as it is declared, its template not expanded."""

    name: str
    template: str
    origin: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class ExtraSource:
    """A file that a build would download: fetched before, and put into the source."""

    url: str
    sha256: str
    path: str
    """Where it is put, relative to the source's root."""
    unpack: bool = False
    """Whether it is an archive whose content, without its one top-level folder, is
    put there instead."""
    origin: str = field(default="", compare=False)

    @property
    def filename(self) -> str:
        """The last part of the address."""
        return self.url.partition("#")[0].partition("?")[0].rstrip("/").rpartition("/")[2]  # fmt: skip


class Match(Enum):
    """Whether a tool has the version that is installed, if the project is."""

    REQUIRE = "require"
    """It has, or nothing is built."""
    PREFER = "prefer"
    """It has wherever requirements allow it."""
    NEVER = "never"
    """What is installed makes no difference."""


@dataclass(frozen=True, slots=True)
class MatchRule:
    """What a setting says of one tool, or of all."""

    match: Match
    origin: str = field(default="", compare=False)

    @property
    def value(self) -> str:
        """As it was written."""
        return self.match.value


PROGRAM_FOLDERS: Final = ("/usr/bin", "/usr/local/bin", "/bin", "/usr/sbin", "/sbin")
"""Where programs of a machine are looked for, in this order."""


class SystemKind(Enum):
    """What a machine may be asked to have."""

    PKG_CONFIG = "pkg-config"
    FILE = "files"
    COMMAND = "commands"


@dataclass(frozen=True, slots=True)
class SystemNeed:
    """Something of the machine that must be there before a build begins."""

    kind: SystemKind
    name: str
    """A package of pkg-config (`libffi >= 3.4`), a path, or a program's name."""
    origin: str = field(default="", compare=False)

    @property
    def value(self) -> str:
        """As it was written."""
        return self.name

    @property
    def places(self) -> tuple[str, ...]:
        """Where it may lie, if it is a file or a program."""
        match self.kind:
            case SystemKind.FILE:
                return (self.name,)
            case SystemKind.COMMAND:
                return tuple(f"{folder}/{self.name}" for folder in PROGRAM_FOLDERS)
        return ()


@dataclass(frozen=True, slots=True)
class Opening:
    """A device or path of the machine that one package's builds get to see."""

    path: str
    at: str
    """Where it is seen inside."""
    origin: str = field(default="", compare=False)

    @property
    def is_device(self) -> bool:
        """Whether it is taken for a device."""
        return self.path.startswith("/dev/")


@dataclass(frozen=True, slots=True)
class CompilerFlags:
    """Arguments that every call of a compiler gets in addition, or does not get."""

    c: tuple[str, ...] = ()
    cxx: tuple[str, ...] = ()
    link: tuple[str, ...] = ()
    """Only where something is linked."""
    remove: tuple[str, ...] = ()
    """Arguments, word for word, that are dropped."""

    def __bool__(self) -> bool:
        return bool(self.c or self.cxx or self.link or self.remove)


NO_FLAGS: Final = CompilerFlags()
