"""A folder that is read is what it would be in a store."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given

from fromager.store import UnsupportedFile, read_tree
from support.trees import Sketch, sketches, tree_of, write_sketch


@given(sketches())
def test_a_folder_is_read_as_the_tree_that_it_holds(sketch: dict[str, Sketch]) -> None:
    with TemporaryDirectory() as folder:
        place = write_sketch(Path(folder) / "tree", sketch)

        assert read_tree(place).digest == tree_of(sketch).digest


def test_what_no_tree_can_hold_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(UnsupportedFile, match="pipe"):
        read_tree(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFile, match="gone"):
        read_tree(tmp_path / "gone")
