"""The Rust toolchain of this machine: found by rustc itself, named by its content.

Only what compiling needs is let in, each at a place that is the same on every machine;
documentation, other targets and other tools of an installation name nothing.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from fromager.derivations.building.sandbox import Mount
from fromager.derivations.errors import BuildError
from fromager.store import blob_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.derivations.building.facts import Facts

FOLDER: Final = "/fromager/rust"
"""Where it is seen by a build."""
BIN: Final = f"{FOLDER}/bin"
_LIBRARIES: Final = ("librustc_driver-*.so", "libLLVM*", "libstd-*.so")
_SECONDS: Final = 30.0
_TOLD: Final = ("HOME", "PATH", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "CARGO_HOME")
"""Variables by which rustup decides which toolchain is meant."""


class RustMissing(BuildError):
    """A package compiles Rust, and this machine has no compiler for it."""

    def __init__(self, subject: str, reason: str) -> None:
        super().__init__(
            subject,
            f"it compiles Rust, and {reason}",
            hint="Install rustc and cargo so that both are found on PATH",
        )


@dataclass(frozen=True, slots=True)
class RustToolchain:
    """An installation of Rust for one kind of machine."""

    root: str
    """Its prefix, as rustc calls it: the sysroot."""
    target: str
    """What it compiles for: `x86_64-unknown-linux-gnu`."""
    cargo: str
    release: str = field(default="", compare=False)
    """For people: `1.91.0`."""

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """What of it a build sees, sorted by place."""
        root = Path(self.root)
        rustlib = f"lib/rustlib/{self.target}"
        found = {"bin/cargo": self.cargo}
        found |= {p: str(root / p) for p in ("bin/rustc", rustlib)}
        for pattern in _LIBRARIES:
            for path in root.glob(f"lib/{pattern}"):
                found[f"lib/{path.name}"] = str(path)
        return tuple(
            Mount(os.path.realpath(host), f"{FOLDER}/{inside}")
            for inside, host in sorted(found.items())
        )

    def digest(self, facts: Facts) -> str:
        """Names it by content; what did not change is not read again.

        Raises:
            BuildError: it is not whole.
        """
        from fromager.derivations.building.system_needs import content_digest

        parts = []
        for mount in self.mounts:
            if not Path(mount.host).exists():
                raise RustMissing("Rust", f"{mount.host} is not there")
            parts.append([mount.inside, str(content_digest(mount.host, facts))])
        return str(blob_digest(json.dumps([self.target, parts]).encode()))

    @property
    def fact(self) -> str:
        """Where it lies on this machine, to find it again; `of_fact` reads it."""
        return json.dumps([self.root, self.target, self.cargo, self.release])

    @classmethod
    def of_fact(cls, text: str) -> RustToolchain:
        """What `fact` gave.

        Raises:
            ValueError: it is anything else.
        """
        root, target, cargo, release = map(str, json.loads(text))
        return cls(root, target, cargo, release)


class RustFinder(Protocol):
    """Finds the Rust toolchain when it is needed, and not before."""

    def find(self, subject: str) -> RustToolchain:
        """The toolchain that a package is to be built with.

        Raises:
            RustMissing: there is none.
        """
        ...


class NoRust:
    """Where no Rust is to be found."""

    def find(self, subject: str) -> RustToolchain:
        """Nothing.

        Raises:
            RustMissing: always.
        """
        raise RustMissing(subject, "none is looked for here")


@dataclass(frozen=True)
class InstalledRust:
    """The Rust that the caller's own shell would use."""

    environment: Mapping[str, str]
    """The variables of the caller."""

    def find(self, subject: str) -> RustToolchain:
        """See `RustFinder`; asks rustc once."""
        if isinstance(self._found, str):
            raise RustMissing(subject, self._found)
        return self._found

    @property
    def watched(self) -> frozenset[str]:
        """Paths of the machine that what was found rests on; none if it was not used."""
        found = self.__dict__.get("_found")
        if not isinstance(found, RustToolchain):
            return frozenset()
        return frozenset(mount.host for mount in found.mounts)

    def signature(self) -> tuple[str, ...]:
        """Equal as long as the same toolchain is meant; no process is started."""
        told = self._told
        rustup = told.get("RUSTUP_HOME") or f"{told.get('HOME', '')}/.rustup"
        return (
            f"rustc={self._which('rustc')}",
            f"cargo={self._which('cargo')}",
            f"toolchain={told.get('RUSTUP_TOOLCHAIN')}",
            f"rustup={rustup} {_state(f'{rustup}/settings.toml')}",
        )

    @cached_property
    def _found(self) -> RustToolchain | str:
        """The toolchain, or why there is none."""
        rustc, cargo = self._which("rustc"), self._which("cargo")
        if rustc is None or cargo is None:
            return f"{'rustc' if rustc is None else 'cargo'} is not on PATH"
        root = self._ask(rustc, "--print", "sysroot").strip()
        about = dict(
            line.split(": ", 1)
            for line in self._ask(rustc, "-vV").splitlines()
            if ": " in line
        )
        target = about.get("host", "")
        if not root or not Path(root, "lib", "rustlib", target).is_dir() or not target:
            return f"{rustc} does not tell where its libraries are"
        # What is on PATH may be rustup, which would look for the toolchain again.
        own = Path(root, "bin", "cargo")
        place = str(own) if own.is_file() else os.path.realpath(cargo)
        return RustToolchain(root, target, place, about.get("release", ""))

    @property
    def _told(self) -> dict[str, str]:
        return {n: v for n, v in self.environment.items() if n in _TOLD}

    def _which(self, name: str) -> str | None:
        return shutil.which(name, path=self.environment.get("PATH", ""))

    def _ask(self, rustc: str, *arguments: str) -> str:
        import subprocess

        try:
            done = subprocess.run(
                [rustc, *arguments],
                env=self._told,
                # A project's own wishes lie in folders; here none is meant.
                cwd="/",
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.SubprocessError):
            return ""
        return done.stdout if done.returncode == 0 else ""


def _state(path: str) -> str:
    try:
        status = Path(path).stat()
    except OSError:
        return "absent"
    return f"{status.st_size} {status.st_mtime_ns}"
