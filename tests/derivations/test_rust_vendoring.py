"""Crates unpacked where cargo finds them, and crates that leave a workspace."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

import pytest

from fromager.derivations.errors import SourceError, UnsafeArchive
from fromager.derivations.rust.lock import Crate, RegistrySource, RepositorySource
from fromager.derivations.rust.vendoring import TOP, configuration, vendor
from fromager.derivations.rust.workspace import find_crate, stand_alone
from fromager.derivations.sources.archive import DEFAULT_LIMITS
from fromager.derivations.sources.sink import FolderSink
from support.golden import check_golden
from support.rust import DEFAULT_INDEX, crate

if TYPE_CHECKING:
    from pathlib import Path

REGISTRY = RegistrySource(DEFAULT_INDEX)
OTHER = RegistrySource("sparse+https://c.example.test/")
COMMIT = "b" * 40
REPOSITORY = RepositorySource("https://git.example.test/r", COMMIT, ("tag", "v1"))
SHA = "a" * 64


def held(folder: Path, *files: tuple[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in files:
        (folder / name).write_bytes(content)
    return folder


def vendored(tmp_path: Path, *crates: tuple[Crate, Path]) -> Path:
    out = tmp_path / "out"
    out.mkdir()
    vendor(crates, FolderSink(out), DEFAULT_LIMITS)
    return out / TOP


def test_each_source_is_replaced_by_its_folder() -> None:
    found = tomllib.loads(configuration((REPOSITORY, REGISTRY, OTHER)))["source"]

    check_golden("rust/configuration.json", found)


def test_crates_lie_below_their_source_with_the_checksum_of_the_lock(
    tmp_path: Path,
) -> None:
    folder = held(tmp_path / "held", crate("leaf", "1.0.0", "pub fn one() {}"))

    found = vendored(tmp_path, (Crate("leaf", "1.0.0", REGISTRY, SHA), folder))

    place = found / "0" / "leaf-1.0.0"
    assert (place / "src" / "lib.rs").read_text() == "pub fn one() {}"
    checksum = json.loads((place / ".cargo-checksum.json").read_text())
    assert checksum == {"files": {}, "package": SHA}


def test_a_checksum_file_that_a_crate_brings_does_not_count(tmp_path: Path) -> None:
    file = crate("leaf", "1.0.0", more={".cargo-checksum.json": "{}"})
    folder = held(tmp_path / "held", file)

    found = vendored(tmp_path, (Crate("leaf", "1.0.0", REGISTRY, SHA), folder))

    checksum = found / "0" / "leaf-1.0.0" / ".cargo-checksum.json"
    assert json.loads(checksum.read_text())["package"] == SHA


def test_a_crate_under_another_name_is_refused(tmp_path: Path) -> None:
    _, content = crate("other", "1.0.0")
    folder = held(tmp_path / "held", ("leaf-1.0.0.crate", content))

    with pytest.raises(UnsafeArchive, match="folder is called 'other"):
        vendored(tmp_path, (Crate("leaf", "1.0.0", REGISTRY, SHA), folder))


ROOT = """
[workspace]
members = ["leaf"]
[workspace.package]
version = "2.0.0"
edition = "2021"
license-file = "LICENSE"
[workspace.dependencies]
plain = "1"
rich = { version = "3", default-features = false, features = ["a"] }
near = { path = "near" }
"""
MEMBER = """
[package]
name = "leaf"
version.workspace = true
edition = { workspace = true }
license-file.workspace = true
[dependencies]
plain.workspace = true
rich = { workspace = true, features = ["b"], optional = true }
own = "4"
[target.'cfg(unix)'.build-dependencies]
near.workspace = true
[lints]
workspace = true
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    (root / "leaf" / "src").mkdir(parents=True)
    (root / "Cargo.toml").write_text(ROOT)
    (root / "LICENSE").write_text("free")
    (root / "leaf" / "Cargo.toml").write_text(MEMBER)
    (root / "leaf" / "src" / "lib.rs").write_text("")
    (root / "leaf" / "LICENSE").symlink_to("../LICENSE")
    (root / "broken").mkdir()
    (root / "broken" / "Cargo.toml").write_text("[package")
    return root


def test_a_crate_of_a_workspace_stands_alone(repository: Path, tmp_path: Path) -> None:
    wanted = Crate("leaf", "2.0.0", REPOSITORY)

    place = vendored(tmp_path, (wanted, repository)) / "0" / "leaf-2.0.0"

    manifest = tomllib.loads((place / "Cargo.toml").read_text())
    assert manifest == {
        "package": {"name": "leaf", "version": "2.0.0", "edition": "2021"},
        "dependencies": {
            "plain": {"version": "1"},
            "rich": {
                "version": "3",
                "default-features": False,
                "features": ["a", "b"],
                "optional": True,
            },
            "own": "4",
        },
        "target": {"cfg(unix)": {"build-dependencies": {"near": {"path": "near"}}}},
    }
    assert (place / "LICENSE").read_text() == "free"
    assert not (place / "LICENSE").is_symlink()
    assert (place / "src" / "lib.rs").exists()


def test_a_crate_that_inherits_nothing_stays_as_it_is() -> None:
    manifest = {"package": {"name": "a", "version": "1.0.0"}, "lib": {"path": "x.rs"}}

    assert stand_alone(manifest, {}) == manifest


def test_a_repository_without_the_crate_is_told(repository: Path) -> None:
    with pytest.raises(SourceError, match=r"has no crate leaf 3\.0\.0"):
        find_crate(repository, Crate("leaf", "3.0.0", REPOSITORY))


def test_links_do_not_lead_out_of_a_repository(
    repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    (repository / "leaf" / "out").symlink_to("../../secret")

    with pytest.raises(SourceError, match="leads out"):
        vendored(tmp_path, (Crate("leaf", "2.0.0", REPOSITORY), repository))
