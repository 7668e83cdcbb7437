"""Rust for tests: crates made on the spot, a registry of them, a toolchain that is none.

toolchain = fake_rust(tmp_path / "rust")     # its bin belongs on PATH
name, content = crate("leaf", "1.0.0")       # a .crate file
add_registry(index, [crate("leaf", "1.0.0")])
cargo_config(index)                          # for $CARGO_HOME/config.toml
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fromager.derivations.rust.registries import DEFAULT
from support.projects import archive

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from support.index import LocalIndex

TARGET: Final = "x86_64-unknown-linux-gnu"
DEFAULT_INDEX: Final = f"https://git.example.test/{DEFAULT.replace('-', '.')}-index"
"""Called as the index of the registry that cargo knows by itself is called."""

_RUSTC: Final = """\
#!/bin/sh
case "$1" in
  --print) cat {root}/sysroot ;;
  -vV) printf 'rustc {release}\\nhost: {target}\\nrelease: {release}\\n' ;;
esac
"""


def crate(
    name: str, version: str, source: str = "", more: Mapping[str, str] | None = None
) -> tuple[str, bytes]:
    """A crate's file: its name and its bytes."""
    manifest = f'[package]\nname = "{name}"\nversion = "{version}"\nedition = "2021"\n'
    members = {"Cargo.toml": manifest, "src/lib.rs": source, **(more or {})}
    return f"{name}-{version}.crate", archive(f"{name}-{version}", members)


def locked(*crates: tuple[str, bytes], source: str, mine: str = "demo") -> str:
    """A Cargo.lock that names crates of a registry."""
    lock = f'version = 4\n\n[[package]]\nname = "{mine}"\nversion = "0.1.0"\n'
    for filename, content in crates:
        name, _, version = filename.removesuffix(".crate").partition("-")
        lock += (
            f'\n[[package]]\nname = "{name}"\nversion = "{version}"\n'
            f'source = "{source}"\n'
            f'checksum = "{hashlib.sha256(content).hexdigest()}"\n'
        )
    return lock


def add_registry(index: LocalIndex, crates: Iterable[tuple[str, bytes]]) -> None:
    """Have a server offer a registry of crates below `/files/`."""
    template = f"{index.base}/files/{{crate}}-{{version}}.crate"
    index.add("config.json", json.dumps({"dl": template}).encode())
    for name, content in crates:
        index.add(name, content)


def cargo_config(index: LocalIndex) -> str:
    """Puts that registry in the place of the one that cargo knows by itself."""
    return (
        '[source.crates-io]\nreplace-with = "mirror"\n'
        f'[source.mirror]\nregistry = "sparse+{index.base}/files/"\n'
    )


def fake_rust(root: Path, release: str = "1.90.0") -> Path:
    """The `bin` of an installation that tells where it is, and compiles nothing."""
    library = root / "lib" / "rustlib" / TARGET / "lib"
    library.mkdir(parents=True)
    (library / "libcore.rlib").write_text(release)
    (root / "lib" / "librustc_driver-1.so").write_text(release)
    (root / "share").mkdir()
    (root / "share" / "manual").write_text("not needed to compile")
    (root / "sysroot").write_text(f"{root}\n")
    (root / "bin").mkdir()
    rustc = _RUSTC.format(root=root, release=release, target=TARGET)
    for name, text in (("rustc", rustc), ("cargo", "#!/bin/sh\n")):
        (root / "bin" / name).write_text(text)
        (root / "bin" / name).chmod(0o755)
    return root / "bin"


def real_rust() -> Path | None:
    """The `bin` of this machine's Rust itself, nothing in front of it."""
    rustc = shutil.which("rustc")
    if rustc is None:
        return None
    asked = subprocess.run(
        [rustc, "--print", "sysroot"], capture_output=True, text=True, check=False
    )
    found = Path(asked.stdout.strip(), "bin")
    return found if (found / "cargo").exists() else None
