"""Patches that are written lead from one tree to the other, and do so always."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fromager.derivations.sources.diff import FileState, NoDiff, diff_trees, read_tree
from fromager.derivations.sources.patch import apply_patch
from fromager.derivations.sources.unified_diff import parse_diff

LINES = st.lists(
    st.sampled_from(["a", "b", "", "\r", "é", "-- x", "+++ y"]), max_size=12
)
CONTENTS = st.builds(
    lambda lines, end: ("\n".join(lines) + end).encode(),
    LINES,
    st.sampled_from(["", "\n"]),
)
NAMES = st.sampled_from(["a", "b.txt", "c/d", "c/e f", 'q"uo\\te', "ümlaut", "z/y/x"])
TREES = st.dictionaries(
    NAMES, st.builds(FileState, CONTENTS, st.booleans()), max_size=5
)


@settings(max_examples=100)
@given(TREES, TREES)
def test_a_patch_leads_from_one_tree_to_the_other(
    before: dict[str, FileState], after: dict[str, FileState]
) -> None:
    patch = diff_trees(before, after)

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, state in before.items():
            place = root / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(state.content)
            place.chmod(0o755 if state.executable else 0o644)
        if patch:
            apply_patch(root, patch, "p")
        assert read_tree(root) == after
    assert bool(patch) == (before != after)


def test_a_patch_looks_as_git_writes_it() -> None:
    before = {
        "changed": FileState(b"1\n2\n3\n4\n5\n6"),
        "gone": FileState(b"x\n"),
        "mode": FileState(b"x\n"),
    }
    after = {
        "changed": FileState(b"1\n2\n3\n4\n5\nsix\n"),
        "mode": FileState(b"x\n", executable=True),
        "new folder/new": FileState(b"x\n", executable=True),
    }

    assert diff_trees(before, after).decode() == (
        "diff --git a/changed b/changed\n"
        "--- a/changed\n"
        "+++ b/changed\n"
        "@@ -3,4 +3,4 @@\n"
        " 3\n 4\n 5\n-6\n\\ No newline at end of file\n+six\n"
        "diff --git a/gone b/gone\n"
        "deleted file mode 100644\n"
        "--- a/gone\n"
        "+++ /dev/null\n"
        "@@ -1 +0,0 @@\n"
        "-x\n"
        "diff --git a/mode b/mode\n"
        "old mode 100644\n"
        "new mode 100755\n"
        "diff --git a/new folder/new b/new folder/new\n"
        "new file mode 100755\n"
        "--- /dev/null\n"
        "+++ b/new folder/new\n"
        "@@ -0,0 +1 @@\n"
        "+x\n"
    )


def test_a_binary_file_is_refused() -> None:
    with pytest.raises(NoDiff, match=r"a\.so"):
        diff_trees({}, {"a.so": FileState(b"\0")})


def test_links_and_the_named_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("x")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/note").write_text("y")
    (tmp_path / "link").symlink_to("note")

    assert read_tree(tmp_path, ["note"]) == {"sub/note": FileState(b"y")}


def test_what_is_written_can_be_parsed() -> None:
    patch = diff_trees({}, {"a": FileState(b"x")})

    (change,) = parse_diff(patch)

    assert change.creates
