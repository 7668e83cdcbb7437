"""Patches: what fits is applied, what does not is said."""

from __future__ import annotations

import difflib
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fromager.derivations.sources.patch import PatchFailed, apply_patch
from fromager.derivations.sources.unified_diff import apply_hunks, parse_diff, reverse

TEXT = b"".join(b"line %d\n" % n for n in range(1, 21))


def diff(
    old: bytes,
    new: bytes,
    old_name: str = "a/src/x.py",
    new_name: str = "b/src/x.py",
    context: int = 3,
) -> bytes:
    """A diff by difflib, with git's mark where the last line has no line end."""
    rows = difflib.diff_bytes(
        difflib.unified_diff,
        old.splitlines(keepends=True) if b"\r" not in old else old.split(b"\n"),
        new.splitlines(keepends=True) if b"\r" not in new else new.split(b"\n"),
        old_name.encode(),
        new_name.encode(),
        n=context,
    )
    return b"".join(
        row if row.endswith(b"\n") else row + b"\n\\ No newline at end of file\n"
        for row in rows
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with `src/x.py`."""
    (tmp_path / "tree/src").mkdir(parents=True)
    (tmp_path / "tree/src/x.py").write_bytes(TEXT)
    return tmp_path / "tree"


CHANGED = TEXT.replace(b"line 7\n", b"line seven\n").replace(b"line 19\n", b"")


@pytest.mark.parametrize(
    ("old_name", "new_name"),
    [
        ("a/src/x.py", "b/src/x.py"),
        ("src/x.py", "src/x.py"),
        ("demo-1.0.orig/src/x.py", "demo-1.0/src/x.py"),
        ("src/x.py.orig", "src/x.py"),
        ("a/src/x.py\t2020-01-01 00:00:00", "b/src/x.py\t2020-01-02 00:00:00"),
        ('"a/src/x.py"', '"b/src/\\170.py"'),
    ],
)
def test_a_patch_is_applied_with_or_without_a_prefix(
    root: Path, old_name: str, new_name: str
) -> None:
    changed = apply_patch(root, diff(TEXT, CHANGED, old_name, new_name), "p.patch")

    assert changed == ("src/x.py",)
    assert (root / "src/x.py").read_bytes() == CHANGED


def test_text_around_the_changes_is_passed_over(root: Path) -> None:
    patch = (
        b"From 123 Mon Sep 17\nSubject: [PATCH] x\n---\n src/x.py | 2 +-\n\n"
        b"diff --git a/src/x.py b/src/x.py\nindex 111..222 100644\n"
        + diff(TEXT, CHANGED)
        + b"-- \n2.43.0\n\n"
    )

    apply_patch(root, patch, "p.patch")

    assert (root / "src/x.py").read_bytes() == CHANGED


def test_a_hunk_may_have_moved_if_it_fits_once(root: Path) -> None:
    (root / "src/x.py").write_bytes(b"new\nlines\n" + TEXT)

    apply_patch(root, diff(TEXT, CHANGED), "p.patch")

    assert (root / "src/x.py").read_bytes() == b"new\nlines\n" + CHANGED


def test_a_hunk_that_moved_and_fits_twice_fails(root: Path) -> None:
    (root / "src/x.py").write_bytes(b"new\n" + TEXT + TEXT)

    with pytest.raises(PatchFailed, match="several places, at the lines 5, 25"):
        apply_patch(root, diff(TEXT, CHANGED), "p.patch")


def test_a_hunk_that_does_not_fit_is_shown_with_what_is_there(root: Path) -> None:
    (root / "src/x.py").write_bytes(TEXT.replace(b"line 6\n", b"line six\n"))

    with pytest.raises(PatchFailed) as caught:
        apply_patch(root, diff(TEXT, CHANGED), "01-fix.patch")

    error = caught.value
    assert str(error).startswith("01-fix.patch: src/x.py: hunk 1: it does not fit at l")
    assert (error.patch, error.file) == ("01-fix.patch", "src/x.py")
    assert "-line 7\n+line seven\n" in error.hunk
    assert "line six\nline 7\n" in error.found
    assert (root / "src/x.py").read_bytes() != CHANGED


def test_a_patch_that_was_applied_before_says_so(root: Path) -> None:
    patch = diff(TEXT, CHANGED)
    apply_patch(root, patch, "p")

    with pytest.raises(PatchFailed, match="already applied"):
        apply_patch(root, patch, "p")


def test_line_ends_of_the_file_are_kept(root: Path) -> None:
    old, new = (text.replace(b"\n", b"\r\n") for text in (TEXT, CHANGED))
    (root / "src/x.py").write_bytes(old)
    patch = diff(TEXT, CHANGED).split(b"\n")
    body = [line + b"\r" if line[:1] in b" +-" else line for line in patch[2:-1]]

    apply_patch(root, b"\n".join([*patch[:2], *body, b""]), "p")

    assert (root / "src/x.py").read_bytes() == new


def test_other_line_ends_than_those_of_the_file_are_said(root: Path) -> None:
    (root / "src/x.py").write_bytes(TEXT.replace(b"\n", b"\r\n"))

    with pytest.raises(PatchFailed, match="line ends"):
        apply_patch(root, diff(TEXT, CHANGED), "p")


def test_the_executable_bit_is_kept(root: Path) -> None:
    (root / "src/x.py").chmod(0o755)
    apply_patch(root, diff(TEXT, CHANGED), "p")

    assert (root / "src/x.py").stat().st_mode & 0o777 == 0o755


def test_other_names_of_a_file_are_left_alone(root: Path) -> None:
    (root / "other").hardlink_to(root / "src/x.py")
    apply_patch(root, diff(TEXT, CHANGED), "p")

    assert (root / "other").read_bytes() == TEXT


GIT_NEW = (
    b"diff --git a/new/run.sh b/new/run.sh\nnew file mode 100755\nindex 000..111\n"
    b"--- /dev/null\n+++ b/new/run.sh\n@@ -0,0 +1,2 @@\n+#!/bin/sh\n+true\n"
)


def test_a_new_file_is_made_with_its_mode(root: Path) -> None:
    assert apply_patch(root, GIT_NEW, "p") == ("new/run.sh",)

    assert (root / "new/run.sh").read_bytes() == b"#!/bin/sh\ntrue\n"
    assert (root / "new/run.sh").stat().st_mode & 0o777 == 0o755


def test_a_new_file_that_is_there_is_an_error(root: Path) -> None:
    apply_patch(root, GIT_NEW, "p")
    with pytest.raises(PatchFailed, match=r"new/run\.sh: already applied"):
        apply_patch(root, GIT_NEW, "p")

    (root / "new/run.sh").write_bytes(b"other")
    with pytest.raises(PatchFailed, match="there already"):
        apply_patch(root, GIT_NEW, "p")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("b/y.py", "y.py"), ("y.py", "y.py"), ("src/y.py", "src/y.py"), ("d-1/y", "y")],
)
def test_the_prefix_of_a_new_file_is_found(
    root: Path, name: str, expected: str
) -> None:
    patch = f"--- /dev/null\n+++ {name}\n@@ -0,0 +1 @@\n+x\n"
    apply_patch(root, patch.encode(), "p")

    assert (root / expected).read_bytes() == b"x\n"


def test_an_empty_new_file_is_made(root: Path) -> None:
    patch = (
        b"diff --git a/src/__init__.py b/src/__init__.py\nnew file mode 100644\n"
        b"index 0000000..e69de29\n"
    )
    apply_patch(root, patch, "p")

    assert (root / "src/__init__.py").read_bytes() == b""


@pytest.mark.parametrize("git", [True, False])
def test_a_deleted_file_and_its_empty_folder_are_gone(root: Path, git: bool) -> None:
    if git:
        patch = b"diff --git a/src/x.py b/src/x.py\ndeleted file mode 100644\n" + diff(
            TEXT, b"", new_name="/dev/null"
        )
    else:
        patch = diff(TEXT, b"", new_name="b/src/x.py\t1970-01-01 00:00:00 +0000")
    apply_patch(root, patch, "p")

    assert list(root.iterdir()) == []


def test_a_file_to_be_deleted_must_hold_nothing_else(root: Path) -> None:
    patch = diff(TEXT, b"", new_name="/dev/null")
    (root / "src/x.py").write_bytes(TEXT + b"more\n")

    with pytest.raises(PatchFailed, match="holds more"):
        apply_patch(root, patch, "p")


GIT_LINK = (
    b"diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n"
    b"@@ -0,0 +1 @@\n+../..\n\\ No newline at end of file\n"
)
GIT_BINARY = (
    b"diff --git a/i.png b/i.png\nindex 1..2 100644\n"
    b"Binary files a/i.png and b/i.png differ\n"
)
GIT_ESCAPE = (
    b"diff --git a/src/x.py b/../../y\nsimilarity index 100%\n"
    b"rename from src/x.py\nrename to ../../y\n"
)


@pytest.mark.parametrize("verb", ["rename", "copy"])
def test_a_file_is_renamed_or_copied_and_changed(root: Path, verb: str) -> None:
    patch = (
        "diff --git a/src/x.py b/lib/y.py\nsimilarity index 90%\n"
        f"{verb} from src/x.py\n{verb} to lib/y.py\nindex 1..2 100644\n"
    ).encode() + diff(TEXT, CHANGED, "a/src/x.py", "b/lib/y.py")

    apply_patch(root, patch, "p")

    assert (root / "lib/y.py").read_bytes() == CHANGED
    assert (root / "src").exists() == (verb == "copy")


def test_only_the_mode_is_changed(root: Path) -> None:
    patch = b"diff --git a/src/x.py b/src/x.py\nold mode 100644\nnew mode 100755\n"
    apply_patch(root, patch, "p")

    assert (root / "src/x.py").stat().st_mode & 0o777 == 0o755
    assert (root / "src/x.py").read_bytes() == TEXT


@pytest.mark.parametrize(
    ("patch", "reason"),
    [
        (b"", "no changes"),
        (b"just text\n", "no changes"),
        (diff(TEXT, CHANGED)[:60], "cannot be read"),
        (diff(TEXT, CHANGED).replace(b"@@ -4,7", b"@@ -4,x"), "cannot be read"),
        (diff(TEXT, CHANGED).replace(b"@@ -16,5", b"@@ -16.5"), "malformed"),
        (diff(TEXT, CHANGED).replace(b"src/x.py", b"src/z.py"), "no such file"),
        (diff(b"", b"x\n", "/dev/null", "b/../../x"), "out of the tree"),
        (diff(b"", b"x\n", "/dev/null", "/etc/x"), "out of the tree"),
        (diff(b"", b"x\n", "/dev/null", "b/link/x"), "symbolic link"),
        (diff(b"x\n", b"y\n", "a/file-link", "b/file-link"), "symbolic link"),
        (diff(b"", b"x\n", "/dev/null", "b/src/x.py/y"), "a file and a folder"),
        (GIT_LINK, "symbolic link or submodule"),
        (GIT_BINARY, "a binary change"),
        (GIT_ESCAPE, "out of the tree"),
    ],
)
def test_a_patch_that_cannot_be_applied_is_one_clear_error(
    root: Path, patch: bytes, reason: str
) -> None:
    (root / "link").symlink_to("src")
    (root / "file-link").symlink_to("src/x.py")

    with pytest.raises(PatchFailed, match=reason) as caught:
        apply_patch(root, patch, "bad.patch")

    assert str(caught.value).startswith("bad.patch: ")
    assert (root / "src/x.py").read_bytes() == TEXT
    assert {path.name for path in root.parent.iterdir()} == {"tree"}


LINES = st.lists(
    st.sampled_from(
        [b"a\n", b"b\n", b"\n", b"-- x\n", b"+\n", b"@@ -1 +1 @@\n", b"\\\n"]
    ),
    max_size=14,
)
TEXTS = st.builds(
    lambda lines, end: b"".join(lines) + end, LINES, st.sampled_from([b"", b"end"])
)


@given(TEXTS, TEXTS, st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_applying_the_difference_gives_the_other(
    old: bytes, new: bytes, context: int
) -> None:
    patch = diff(old, new, context=context)
    if not patch:
        return
    (change,) = parse_diff(patch)

    assert apply_hunks(old, change.hunks) == new
    assert apply_hunks(new, reverse(change.hunks)) == old


@given(TEXTS.filter(bool), TEXTS.filter(bool))
@settings(max_examples=50, deadline=None)
def test_a_patched_tree_holds_the_other_file(old: bytes, new: bytes) -> None:
    patch = diff(old, new)
    if not patch:
        return
    with TemporaryDirectory() as folder:
        (Path(folder) / "src").mkdir()
        file = Path(folder) / "src/x.py"
        file.write_bytes(old)
        apply_patch(Path(folder), patch, "p")

        assert file.read_bytes() == new
