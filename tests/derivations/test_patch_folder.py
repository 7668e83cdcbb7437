"""Which patches belong to a version, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

from fromager.derivations.sources.patch_folder import PatchFolder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "my_pkg/2-b.patch",
        "my_pkg/1-a.patch",
        "my_pkg/readme.txt",
        "my_pkg/cuda/1-a.patch",
        "my-pkg-1.0/1-a.patch",
        "my_pkg-1.0/cuda/0.patch",
        "my_pkg-1.0.post1/9.patch",
        "my_pkg_more/8.patch",
        "other-2024.1/7.patch",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return tmp_path


def found(folder: Path, name: str, version: str, variant: str = "") -> list[str]:
    patches = PatchFolder.scan(folder).find(name, Version(version), variant)
    return [patch.path.relative_to(folder).as_posix() for patch in patches]


def test_patches_are_sorted_by_their_file_names(folder: Path) -> None:
    assert found(folder, "my-pkg", "1.0") == [
        *("my_pkg/1-a.patch", "my-pkg-1.0/1-a.patch", "my_pkg/2-b.patch"),
    ]


def test_a_variant_adds_its_own(folder: Path) -> None:
    assert found(folder, "My.Pkg", "1.0", "cuda") == [
        *("my_pkg-1.0/cuda/0.patch", "my_pkg/1-a.patch", "my_pkg/cuda/1-a.patch"),
        *("my-pkg-1.0/1-a.patch", "my_pkg/2-b.patch"),
    ]


@pytest.mark.parametrize(
    ("version", "last"),
    [
        ("1", "my-pkg-1.0/1-a.patch"),
        ("1.0+local", "my-pkg-1.0/1-a.patch"),
        ("1.0.post1", "my_pkg-1.0.post1/9.patch"),
        ("2.0", "my_pkg/2-b.patch"),
    ],
)
def test_versions_are_compared_as_versions(
    folder: Path, version: str, last: str
) -> None:
    assert last in found(folder, "my-pkg", version)


def test_names_are_whole(folder: Path) -> None:
    assert found(folder, "my", "1.0") == []
    assert found(folder, "my-pkg-more", "1.0") == ["my_pkg_more/8.patch"]
    assert found(folder, "other", "2024.1") == ["other-2024.1/7.patch"]


def test_a_touched_patch_is_noticed(folder: Path) -> None:
    before = PatchFolder.scan(folder).signature()

    (folder / "my_pkg/cuda/1-a.patch").write_text("longer")

    assert PatchFolder.scan(folder).signature() != before
    assert len(before) == 9
