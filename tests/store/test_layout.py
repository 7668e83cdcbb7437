"""Finding files in a store that other processes change."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from fromager.store.layout import present

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_that_vanishes_meanwhile_is_passed_over(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file.json").touch()

    found = present(tmp_path, "*/*.json")
    first = next(found)
    for name in {"a", "b", "c"} - {first.parent.name}:
        shutil.rmtree(tmp_path / name)

    assert first.name == "file.json"
    assert list(found) == []


def test_nothing_is_found_where_there_is_no_folder(tmp_path: Path) -> None:
    assert list(present(tmp_path / "none", "*")) == []
