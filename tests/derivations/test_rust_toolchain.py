"""The Rust toolchain of a machine: found, named by content, watched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fromager.derivations.building.facts import NoFacts
from fromager.derivations.rust.toolchain import (
    InstalledRust,
    RustMissing,
    RustToolchain,
)
from support.rust import TARGET, fake_rust

if TYPE_CHECKING:
    from pathlib import Path


def installed(folder: Path) -> InstalledRust:
    return InstalledRust({"PATH": f"{folder}:/usr/bin:/bin"})


def named(folder: Path) -> str:
    return installed(folder).find("demo==1.0").digest(NoFacts())


def test_rustc_tells_where_its_toolchain_is(tmp_path: Path) -> None:
    binaries = fake_rust(tmp_path / "rust")

    found = installed(binaries).find("demo==1.0")

    assert found == RustToolchain(str(tmp_path / "rust"), TARGET, f"{binaries}/cargo")
    assert found.release == "1.90.0"
    assert RustToolchain.of_fact(found.fact) == found
    places = {mount.inside.removeprefix("/fromager/rust/") for mount in found.mounts}
    assert places == {
        "bin/cargo",
        "bin/rustc",
        "lib/librustc_driver-1.so",
        f"lib/rustlib/{TARGET}",
    }


def test_a_toolchain_is_named_by_what_compiles_and_not_by_its_place(
    tmp_path: Path,
) -> None:
    here, there = fake_rust(tmp_path / "a"), fake_rust(tmp_path / "b")
    (here / "rustc").write_text((there / "rustc").read_text())
    (here.parent / "share" / "manual").write_text("another edition")
    (here.parent / "lib" / "rustlib" / "other-target").mkdir()
    (here.parent / "lib" / "rustlib" / "components").write_text("more of them")
    same = RustToolchain(str(here.parent), TARGET, str(here / "cargo"))

    assert same.digest(NoFacts()) == named(there)


@pytest.mark.parametrize(
    "path",
    [
        "bin/rustc",
        "bin/cargo",
        "lib/librustc_driver-1.so",
        f"lib/rustlib/{TARGET}/lib/libcore.rlib",
    ],
)
def test_whatever_compiles_is_in_the_name(tmp_path: Path, path: str) -> None:
    binaries = fake_rust(tmp_path / "rust")
    before = named(binaries)
    place = tmp_path / "rust" / path
    place.write_bytes(place.read_bytes() + b"\n")

    assert named(binaries) != before


@pytest.mark.parametrize("lacking", ["rustc", "cargo"])
def test_what_is_missing_is_told(tmp_path: Path, lacking: str) -> None:
    binaries = fake_rust(tmp_path / "rust")
    (binaries / lacking).unlink()
    rust = InstalledRust({"PATH": str(binaries)})

    with pytest.raises(RustMissing, match=f"{lacking} is not on PATH"):
        rust.find("demo==1.0")

    assert rust.watched == frozenset()


def test_a_compiler_that_tells_nothing_is_refused(tmp_path: Path) -> None:
    binaries = fake_rust(tmp_path / "rust")
    (binaries / "rustc").write_text("#!/bin/sh\nexit 1\n")

    with pytest.raises(RustMissing, match="does not tell"):
        installed(binaries).find("demo==1.0")


def test_a_toolchain_is_watched_once_it_was_used(tmp_path: Path) -> None:
    rust = installed(fake_rust(tmp_path / "rust"))
    assert rust.watched == frozenset()

    found = rust.find("demo==1.0")

    assert rust.watched == {mount.host for mount in found.mounts}


def test_another_choice_of_rustup_is_another_toolchain(tmp_path: Path) -> None:
    binaries = fake_rust(tmp_path / "rust")
    home = tmp_path / "rustup"
    home.mkdir()
    told = {"PATH": str(binaries), "RUSTUP_HOME": str(home)}
    signatures = [InstalledRust(told).signature()]
    (home / "settings.toml").write_text("default_toolchain = 'beta'")
    signatures.append(InstalledRust(told).signature())
    signatures.append(InstalledRust({**told, "RUSTUP_TOOLCHAIN": "1.90"}).signature())

    assert len(set(signatures)) == 3
    assert InstalledRust({**told, "UNRELATED": "1"}).signature() == signatures[1]
