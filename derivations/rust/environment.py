"""Rust inside a build: variables, and what cargo reads, and where it all is seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fromager.derivations.building.sandbox import BUILD, Mount
from fromager.derivations.building.unsandboxed import NO_SANDBOX
from fromager.derivations.rust import toolchain, vendoring

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fromager.derivations.rust.toolchain import RustToolchain
    from fromager.store import LocalStore, StorePath

CARGO_HOME: Final = ".cargo"
"""The folder of a build that holds cargo's configuration."""

_CONFIGURATION: Final = f"""\
[build]
rustflags = [
  "--remap-path-prefix={BUILD}/src=.",
  "--remap-path-prefix={vendoring.FOLDER}=crates",
]

"""


@dataclass(frozen=True, slots=True)
class BuildRust:
    """What the Rust in a build is compiled with."""

    crates: StorePath
    """All crates that it may need."""
    toolchain: RustToolchain

    def mounts(self, store: LocalStore, level: str) -> tuple[Mount, ...]:
        """What the build sees in a sandbox of this level."""
        crates = Mount(str(store.place(self.crates)), vendoring.FOLDER)
        if level == NO_SANDBOX:
            # Nothing is put together there: the installation is used as it lies.
            return (Mount(self.toolchain.root, toolchain.FOLDER), crates)
        return (*self.toolchain.mounts, crates)

    def configure(self, store: LocalStore, folder: Path, level: str) -> None:
        """Write cargo's configuration into a build's private folder.

        It is not in the source: a project may have a configuration of its own, which
        then counts more, and nothing of this gets into what is built.
        """
        text = _CONFIGURATION
        text += store.read_file(self.crates, vendoring.CONFIGURATION).decode()
        if level == NO_SANDBOX:
            text = text.replace(vendoring.FOLDER, str(store.place(self.crates)))
            text = text.replace(f"{BUILD}/", f"{folder}/")
        home = folder / CARGO_HOME
        home.mkdir(mode=0o755)
        (home / "config.toml").write_text(text)


def rust_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables of a build, as Rust needs them.

    RUSTFLAGS would take the place of a project's own flags, which those of cargo's
    configuration are added to. ARFLAGS would be given to `ar` in front of what build
    scripts that compile C call it with, and be taken for all of it.
    """
    found = {n: v for n, v in variables.items() if n not in ("RUSTFLAGS", "ARFLAGS")}
    return {**found, "PATH": f"{toolchain.BIN}:{variables['PATH']}"}
