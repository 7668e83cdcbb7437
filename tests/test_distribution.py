"""The project's own sdist and wheel: exactly the files of the source tree."""

import ast
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Final

import pytest

pytest.importorskip("hatchling", reason="the build backend is not installed")

ROOT: Final = Path(__file__).parents[1]
FOLDERS: Final = ("store", "derivations", "cli")
BUILD: Final = """
import sys
import hatchling.build
hook = getattr(hatchling.build, sys.argv[1])
print(hook(sys.argv[2]))
"""


def build(hook: str, source: Path, out: Path) -> Path:
    done = subprocess.run(
        [sys.executable, "-c", BUILD, f"build_{hook}", str(out)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out / done.stdout.splitlines()[-1]


def files_of(root: Path, folder: str) -> set[str]:
    return {
        path.relative_to(root).as_posix()
        for path in (root / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def unpacked_sdist(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (root,) = folder.iterdir()
    return root


def members(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_sdist_holds_the_source_and_what_tests_need(unpacked_sdist: Path) -> None:
    for folder in FOLDERS:
        assert files_of(unpacked_sdist, folder) == files_of(ROOT, folder)
    for name in ("README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml"):
        assert (unpacked_sdist / name).is_file()
    assert (unpacked_sdist / "tests" / "conftest.py").is_file()
    assert (unpacked_sdist / "docs" / "index.md").is_file()


def test_the_sdist_holds_no_links(unpacked_sdist: Path) -> None:
    assert not (unpacked_sdist / "tests" / ".path").exists()
    assert [p for p in unpacked_sdist.rglob("*") if p.is_symlink()] == []


def test_the_wheel_holds_the_three_folders_below_fromager(wheel: Path) -> None:
    installed = {n for n in members(wheel) if ".dist-info/" not in n}

    source = {f"fromager/{n}" for folder in FOLDERS for n in files_of(ROOT, folder)}
    assert installed == source
    for folder in FOLDERS:
        assert f"fromager/{folder}/py.typed" in installed


def test_a_wheel_from_the_sdist_is_the_wheel_from_the_tree(
    wheel: Path, unpacked_sdist: Path, tmp_path: Path
) -> None:
    other = build("wheel", unpacked_sdist, tmp_path)

    assert other.name == wheel.name
    assert members(other) == members(wheel)


def test_the_command_starts_at_a_function_that_exists(wheel: Path) -> None:
    files = members(wheel)
    (name,) = (name for name in files if name.endswith("/entry_points.txt"))

    head, command, _, target = files[name].decode().split()

    assert (head, command) == ("[console_scripts]", "fromager")
    module, _, function = target.partition(":")
    tree = ast.parse(files[module.replace(".", "/") + ".py"])
    assert function in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}


def test_the_wheel_carries_the_licence(wheel: Path) -> None:
    assert [n for n in members(wheel) if n.endswith("/licenses/LICENSE")]
