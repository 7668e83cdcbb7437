"""Cargo.lock, and where in a source it is found."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fromager.derivations.rust.lock import (
    Crate,
    InvalidCargoLock,
    RegistrySource,
    RepositorySource,
    crate_of,
    parse_cargo_lock,
)
from fromager.derivations.rust.project import (
    MissingCargoLock,
    RustProject,
    locked_crates,
    rust_project,
)
from fromager.derivations.rust.vendoring import crate_value

SHA = "a" * 64
COMMIT = "b" * 40
REGISTRY = RegistrySource("https://git.example.test/index")
LINUX = {"sys_platform": "linux"}


def entry(name: str, *more: str, version: str = "1.0.0") -> str:
    head = f'[[package]]\nname = "{name}"\nversion = "{version}"\n'
    return head + "".join(f"{line}\n" for line in more)


def from_registry(name: str, version: str = "1.0.0") -> str:
    return entry(name, f'source = "{REGISTRY}"', f'checksum = "{SHA}"', version=version)


def parsed(text: str) -> tuple[Crate, ...]:
    return parse_cargo_lock(text.encode(), "Cargo.lock")


@dataclass
class Files:
    """A source tree that is only said."""

    held: dict[str, str]

    def read(self, path: str) -> bytes | None:
        return self.held[path].encode() if path in self.held else None


def test_crates_of_a_registry_have_their_checksums() -> None:
    found = parsed("version = 4\n" + entry("mine") + from_registry("leaf"))

    assert found == (Crate("leaf", "1.0.0", REGISTRY, SHA),)


def test_checksums_of_the_first_format_stand_apart() -> None:
    lock = entry("leaf", f'source = "{REGISTRY}"')
    lock += f'[metadata]\n"checksum leaf 1.0.0 ({REGISTRY})" = "{SHA}"\n'

    assert parsed(lock) == (Crate("leaf", "1.0.0", REGISTRY, SHA),)


@pytest.mark.parametrize(
    ("url", "source"),
    [
        (
            f"git+https://git.example.test/r.git?branch=main#{COMMIT}",
            RepositorySource(
                "https://git.example.test/r.git", COMMIT, ("branch", "main")
            ),
        ),
        (
            f"git+file:///srv/r#{COMMIT}",
            RepositorySource("file:///srv/r", COMMIT),
        ),
    ],
)
def test_crates_of_a_repository_are_named_by_its_commit(
    url: str, source: RepositorySource
) -> None:
    found = parsed(entry("leaf", f'source = "{url}"'))

    assert found == (Crate("leaf", "1.0.0", source),)
    assert str(source) == url


def test_a_sparse_registry_keeps_its_kind() -> None:
    lock = entry(
        "leaf", 'source = "sparse+https://c.example.test/"', f'checksum = "{SHA}"'
    )

    assert str(parsed(lock)[0].source) == "sparse+https://c.example.test/"


@pytest.mark.parametrize(
    ("lock", "reason"),
    [
        ("[[package", "it is no TOML"),
        ("package = 3", "no list of packages"),
        ("package = [3]", "no table"),
        (entry("leaf", f'source = "{REGISTRY}"'), "no checksum for leaf 1.0.0"),
        (entry("leaf", 'source = "else+https://a.test"'), "no source"),
        (entry("leaf", 'source = "git+https://a.test/r#abc"'), "no source"),
        (
            entry("../leaf", f'source = "{REGISTRY}"', f'checksum = "{SHA}"'),
            "no name of a crate",
        ),
        (
            entry("leaf", f'source = "{REGISTRY}"', version="../1"),
            "no version of a crate",
        ),
    ],
)
def test_a_lock_that_says_something_else_is_refused(lock: str, reason: str) -> None:
    with pytest.raises(InvalidCargoLock, match=reason):
        parsed(lock)


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True),
            st.integers(0, 9),
            st.booleans(),
        ),
        max_size=8,
    )
)
@settings(max_examples=60, deadline=None)
def test_what_a_derivation_tells_of_a_crate_is_the_crate(
    rows: list[tuple[str, int, bool]],
) -> None:
    for name, number, is_registered in rows:
        source = (
            REGISTRY if is_registered else RepositorySource("https://a.test", COMMIT)
        )
        crate = Crate(name, f"{number}.0.0", source, SHA if is_registered else None)

        assert crate_of(crate_value(crate), "derivation") == crate


@pytest.mark.parametrize(
    ("requires", "expected"),
    [
        (["maturin>=1.9"], RustProject()),
        (["Setuptools_Rust"], RustProject()),
        (["setuptools-rust; sys_platform == 'win32'"], None),
        (["setuptools"], None),
    ],
)
def test_build_requirements_tell_whether_rust_is_compiled(
    requires: list[str], expected: RustProject | None
) -> None:
    assert rust_project(bytes, requires, LINUX, None) == expected


def test_settings_are_right_about_rust() -> None:
    assert rust_project(bytes, ["maturin"], LINUX, False) is None
    assert rust_project(bytes, [], LINUX, True) == RustProject()
    assert rust_project(bytes, [], LINUX, ("a/Cargo.toml",)) == RustProject(
        ("a/Cargo.toml",)
    )


@pytest.mark.parametrize(
    ("pyproject", "manifests"),
    [
        ("[tool.maturin]\nmanifest-path = './src/rust/Cargo.toml'", ["src/rust"]),
        (
            (
                "[[tool.setuptools-rust.ext-modules]]\npath = 'a/Cargo.toml'\n"
                "[[tool.setuptools-rust.bins]]\npath = 'b/Cargo.toml'\n"
            ),
            ["a", "b"],
        ),
        ("[[tool.setuptools-rust.ext-modules]]\ntarget = 'x'", [""]),
    ],
)
def test_manifests_are_those_that_the_project_names(
    pyproject: str, manifests: list[str]
) -> None:
    found = rust_project(pyproject.encode, ["maturin"], LINUX, None)

    assert found == RustProject(
        tuple(f"{folder}/Cargo.toml".lstrip("/") for folder in manifests)
    )


@pytest.mark.parametrize(
    ("manifest", "place"),
    [
        ("Cargo.toml", "Cargo.lock"),
        ("src/rust/Cargo.toml", "Cargo.lock"),
        ("src/rust/Cargo.toml", "src/Cargo.lock"),
        ("src/rust/Cargo.toml", "src/rust/Cargo.lock"),
    ],
)
def test_the_lock_of_a_manifest_lies_beside_it_or_around_it(
    manifest: str, place: str
) -> None:
    files = Files({place: from_registry("leaf"), "tests/Cargo.lock": "broken"})

    found = locked_crates("demo==1.0", RustProject((manifest,)), "", files.read)

    assert [crate.name for crate in found] == ["leaf"]


def test_the_locks_of_all_manifests_count() -> None:
    files = Files(
        {
            "a/Cargo.lock": from_registry("leaf") + from_registry("one"),
            "b/Cargo.lock": from_registry("leaf") + from_registry("two"),
        }
    )
    project = RustProject(("a/Cargo.toml", "b/Cargo.toml"))

    found = locked_crates("demo==1.0", project, "", files.read)

    assert [crate.name for crate in found] == ["leaf", "one", "two"]


def test_a_manifest_that_nothing_names_is_looked_for() -> None:
    files = Files({"rust/Cargo.toml": "", "rust/Cargo.lock": from_registry("leaf")})

    assert len(locked_crates("demo==1.0", RustProject(), "", files.read)) == 1


def test_a_project_in_a_folder_may_be_part_of_a_workspace_around_it() -> None:
    files = Files({"py/Cargo.toml": "", "Cargo.lock": from_registry("leaf")})

    assert len(locked_crates("demo==1.0", RustProject(), "py", files.read)) == 1


@pytest.mark.parametrize(
    "project", [RustProject(), RustProject(("Cargo.toml", "other/Cargo.toml"))]
)
def test_without_a_lock_nothing_is_built(project: RustProject) -> None:
    files = Files({"Cargo.toml": "", "tests/Cargo.lock": from_registry("leaf")})

    with pytest.raises(MissingCargoLock, match=r"demo==1\.0") as error:
        locked_crates("demo==1.0", project, "", files.read)

    assert error.value.manifests == (project.manifests or ("Cargo.toml",))
    assert "edit `file`" in str(error.value.hint)
