"""Packages that compile Rust: crates, toolchains, keys, and what can go wrong."""

from __future__ import annotations

import hashlib
import subprocess
import zipfile
from typing import TYPE_CHECKING, Final

import pytest

from fromager.derivations.rust.lock import Crate, RegistrySource
from fromager.derivations.rust.vendoring import TOP, vendor
from fromager.derivations.sources.archive import DEFAULT_LIMITS
from fromager.derivations.sources.sink import FolderSink
from support.projects import BACKEND
from support.repositories import Repository
from support.rust import (
    DEFAULT_INDEX,
    add_registry,
    cargo_config,
    crate,
    fake_rust,
    locked,
    real_rust,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.command_line import Place
    from support.index import LocalIndex

    Offer = Callable[..., None]

needs_rust = pytest.mark.skipif(real_rust() is None, reason="there is no Rust here")
SOURCE: Final = f"registry+{DEFAULT_INDEX}"
COMPILES: Final = (
    BACKEND
    + """
_plain = build_wheel


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    subprocess.run(["cargo", "build", "--release", "--locked"], check=True)
    ended = subprocess.run(["target/release/demo"], capture_output=True, check=True)
    ABOUT["files"][f"{NAME}/said.txt"] = ended.stdout.decode()
    return _plain(wheel_directory, config_settings, metadata_directory)
"""
)
MANIFEST: Final = '[package]\nname = "demo"\nversion = "0.1.0"\nedition = "2021"\n'
MAIN: Final = 'fn main() { println!("{} {}", leaf::said(), leaf::place()); }'
LEAF: Final = """
pub fn said() -> &'static str { env!("CARGO_PKG_VERSION") }
pub fn place() -> &'static str { file!() }
"""


@pytest.fixture
def rust(tmp_path: Path) -> Path:
    """The `bin` of a toolchain that compiles nothing."""
    return fake_rust(tmp_path / "rust")


@pytest.fixture
def tool(offer: Offer) -> None:
    """A tool by which a project tells that it compiles Rust."""
    offer("setuptools-rust")


def use(place: Place, index: LocalIndex, binaries: Path | None) -> None:
    """Have commands find a toolchain, and the registry of the index."""
    folder = place.folder / ".cargo"
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(cargo_config(index))
    path = "/usr/bin:/bin"
    place.variables["PATH"] = path if binaries is None else f"{binaries}:{path}"


def offer_locked(offer: Offer, name: str, lock: str | None, **more: object) -> None:
    files = {"Cargo.toml": MANIFEST}
    if lock is not None:
        files["Cargo.lock"] = lock
    offer(name, requires=["setuptools-rust"], more=files, **more)


def read_wheel(path: str, member: str) -> str:
    with zipfile.ZipFile(path) as wheel:
        return wheel.read(member).decode()


def cargo(folder: Path, *words: str) -> None:
    binaries = real_rust()
    assert binaries is not None
    subprocess.run(
        [binaries / "cargo", *words],
        cwd=folder,
        env={
            "PATH": f"{binaries}:/usr/bin:/bin",
            "CARGO_HOME": str(folder / "home"),
            "HOME": str(folder),
        },
        check=True,
        capture_output=True,
    )


def project(
    tmp_path: Path, dependencies: str, *crates: tuple[str, bytes]
) -> dict[str, str]:
    """A project that prints what its crate says, with the lock that cargo writes."""
    folder = tmp_path / "locking"
    (folder / "src").mkdir(parents=True)
    (folder / "held").mkdir()
    files = {
        "Cargo.toml": f"{MANIFEST}[dependencies]\n{dependencies}\n",
        "src/main.rs": MAIN,
    }
    for path, text in files.items():
        (folder / path).write_text(text)
    rows = []
    for filename, content in crates:
        (folder / "held" / filename).write_bytes(content)
        name, _, version = filename.removesuffix(".crate").partition("-")
        sha256 = hashlib.sha256(content).hexdigest()
        source = RegistrySource(DEFAULT_INDEX)
        rows.append((Crate(name, version, source, sha256), folder / "held"))
    vendor(rows, FolderSink(folder), DEFAULT_LIMITS)
    (folder / "home").mkdir()
    if rows:
        (folder / "home" / "config.toml").write_text(
            '[source.crates-io]\nreplace-with = "here"\n'
            f'[source.here]\ndirectory = "{folder / TOP / "0"}"\n'
        )
    cargo(folder, "generate-lockfile")
    return {
        **files,
        "Cargo.lock": (folder / "Cargo.lock").read_text(),
        "tiny_backend.py": COMPILES,
    }


@needs_rust
@pytest.mark.usefixtures("tool")
def test_a_project_with_crates_is_built_without_a_network_and_again(
    place: Place, offer: Offer, index: LocalIndex, tmp_path: Path
) -> None:
    leaf = crate("leaf", "1.2.3", LEAF)
    add_registry(index, [leaf])
    files = project(tmp_path, 'leaf = "1"', leaf)
    use(place, index, real_rust())
    offer("rusty", requires=["setuptools-rust"], more=files)

    outcome = place.realise("rusty")

    said = read_wheel(outcome.wheel("rusty")["path"], "rusty/said.txt")
    # Where the crate lies is the same on every machine, and nothing of it is left.
    assert said == "1.2.3 crates/0/leaf-1.2.3/src/lib.rs\n"
    assert place.realise("rusty").builds == 0
    checked = place.run("check", "rusty", "--rounds", "1")
    assert checked.code == 0, checked.err
    (component,) = place.run("sbom", "rusty").json["components"]
    found = [c for c in component["components"] if c["name"] == "leaf"]
    assert [(c["purl"], c["hashes"]) for c in found] == [
        (
            "pkg:cargo/leaf@1.2.3",
            [{"alg": "SHA-256", "content": hashlib.sha256(leaf[1]).hexdigest()}],
        )
    ]
    spdx = place.run("sbom", "rusty", "--format", "spdx").out
    assert '"pkg:cargo/leaf@1.2.3"' in spdx


@needs_rust
@pytest.mark.usefixtures("tool")
def test_rust_is_compiled_where_there_is_no_sandbox(
    place: Place, offer: Offer, index: LocalIndex, tmp_path: Path
) -> None:
    leaf = crate("leaf", "1.2.3", LEAF)
    add_registry(index, [leaf])
    files = project(tmp_path, 'leaf = "1"', leaf)
    use(place, index, real_rust())
    offer("rusty_bare", requires=["setuptools-rust"], more=files)

    outcome = place.realise("--sandbox", "none", "rusty-bare")

    said = read_wheel(outcome.wheel("rusty-bare")["path"], "rusty_bare/said.txt")
    assert said == "1.2.3 crates/0/leaf-1.2.3/src/lib.rs\n"


@needs_rust
@pytest.mark.usefixtures("tool")
def test_a_crate_of_a_repository_is_built_from_its_commit(
    place: Place, offer: Offer, index: LocalIndex, tmp_path: Path
) -> None:
    repository = Repository.make(tmp_path / "crates")
    repository.commit(
        {
            "Cargo.toml": '[workspace]\nmembers = ["leaf"]\n'
            '[workspace.package]\nversion = "3.0.0"\n',
            "leaf/Cargo.toml": '[package]\nname = "leaf"\nversion.workspace = true\n'
            'edition = "2021"\n',
            "leaf/src/lib.rs": LEAF,
        }
    )
    use(place, index, real_rust())
    offer(
        "rusty_git",
        requires=["setuptools-rust"],
        more=project(tmp_path, f'leaf = {{ git = "{repository.url}" }}'),
    )

    outcome = place.realise("rusty_git")

    said = read_wheel(outcome.wheel("rusty-git")["path"], "rusty_git/said.txt")
    assert said.startswith("3.0.0 ")


@needs_rust
@pytest.mark.usefixtures("tool")
def test_a_lock_that_does_not_fit_its_manifest_is_told(
    place: Place, offer: Offer, index: LocalIndex, tmp_path: Path
) -> None:
    leaf = crate("leaf", "1.2.3", LEAF)
    add_registry(index, [leaf])
    files = project(tmp_path, 'leaf = "1"', leaf)
    use(place, index, real_rust())
    files["Cargo.toml"] += 'missing = "2"\n'
    offer("rusty_unfit", requires=["setuptools-rust"], more=files)

    outcome = place.run("realise", "rusty-unfit")

    assert outcome.code == 5
    assert "its Cargo.lock does not fit its Cargo.toml" in outcome.error


@pytest.mark.usefixtures("tool")
def test_crates_are_fetched_once_for_all_projects(
    place: Place, offer: Offer, index: LocalIndex, rust: Path
) -> None:
    leaf, twig = crate("leafy", "1.0.0"), crate("twig", "1.0.0")
    add_registry(index, [leaf, twig])
    use(place, index, rust)
    offer_locked(offer, "first", locked(leaf, source=SOURCE))
    offer_locked(offer, "second", locked(leaf, twig, source=SOURCE))

    place.realise("first", "second")

    asked = [each.path for each in index.requests if each.path.endswith(".crate")]
    assert sorted(asked) == ["/files/leafy-1.0.0.crate", "/files/twig-1.0.0.crate"]
    assert place.run("--offline", "realise", "first", "second").code == 0


@pytest.mark.usefixtures("tool")
def test_a_crate_that_is_not_the_locked_one_is_refused(
    place: Place, offer: Offer, index: LocalIndex, rust: Path
) -> None:
    add_registry(index, [crate("forged", "1.0.0", "pub fn evil() {}")])
    use(place, index, rust)
    offer_locked(offer, "trusting", locked(crate("forged", "1.0.0"), source=SOURCE))

    outcome = place.run("realise", "trusting")

    assert outcome.code == 1
    assert "forged-1.0.0.crate: expected sha256" in outcome.error


@pytest.mark.usefixtures("tool")
def test_without_a_lock_the_remedy_is_told_and_works(
    place: Place, offer: Offer, index: LocalIndex, rust: Path
) -> None:
    use(place, index, rust)
    offer_locked(offer, "lockless", None)

    outcome = place.run("realise", "lockless")

    assert outcome.code == 1
    assert "lockless==1.0: it compiles Rust and has no Cargo.lock" in outcome.error
    (place.folder / "Cargo.lock").write_text(locked(source=SOURCE))
    (place.folder / "fromager.toml").write_text(
        "[package.lockless]\n"
        "edits = [{ action = 'file', path = 'Cargo.lock', from = 'Cargo.lock' }]\n"
    )
    place.realise("lockless")


@pytest.mark.usefixtures("tool")
def test_a_backend_may_tell_only_when_it_is_asked_that_it_compiles_rust(
    place: Place, offer: Offer, index: LocalIndex, rust: Path
) -> None:
    leaf = crate("late", "1.0.0")
    add_registry(index, [leaf])
    use(place, index, rust)
    files = {"Cargo.toml": MANIFEST, "Cargo.lock": locked(leaf, source=SOURCE)}
    offer("asking", asks=["setuptools-rust"], more=files)

    place.realise("asking")
    place.realise("--refresh", "asking")

    asked = [each.path for each in index.requests if each.path.endswith(".crate")]
    assert asked == ["/files/late-1.0.0.crate"]
    assert place.run("check", "asking", "--rounds", "1").code == 0


@pytest.mark.usefixtures("tool")
def test_a_machine_without_rust_is_told_before_anything_is_built(
    place: Place, offer: Offer, index: LocalIndex
) -> None:
    use(place, index, None)
    offer_locked(offer, "toolless", locked(source=SOURCE))

    outcome = place.run("realise", "toolless")

    assert outcome.code == 5
    assert "toolless==1.0: it compiles Rust, and rustc is not on PATH" in outcome.error
    (place.folder / "fromager.toml").write_text("[package.toolless]\nrust = false\n")
    place.realise("toolless")


@pytest.mark.usefixtures("tool")
def test_the_toolchain_is_in_the_keys_of_what_it_compiles_and_in_no_others(
    place: Place, offer: Offer, index: LocalIndex, tmp_path: Path
) -> None:
    offer_locked(offer, "compiled", locked(source=SOURCE))
    offer("plain", requires=["setuptools-rust"], more={"Cargo.toml": MANIFEST})
    (place.folder / "fromager.toml").write_text("[package.plain]\nrust = false\n")
    keys = []
    for number in range(3):
        release = "1.90.0" if number < 2 else "1.91.0"
        use(place, index, fake_rust(tmp_path / f"rust-{number}", release))
        if number == 1:
            # Another place, the same bytes.
            binaries = tmp_path / "rust-1" / "bin"
            (binaries / "rustc").write_text((tmp_path / "rust-0/bin/rustc").read_text())
            (tmp_path / "rust-0" / "sysroot").write_text(f"{tmp_path / 'rust-1'}\n")
        rows = place.realise("compiled", "plain").json["wheels"]
        keys.append({row["name"]: row["key"] for row in rows})

    first, moved, newer = keys
    assert first == moved
    assert newer["compiled"] != first["compiled"]
    assert newer["plain"] == first["plain"]
