"""Patches made and tried with the command."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from support.store_check import check_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.command_line import Place

    Offer = Callable[..., None]

FILES = {"a.txt": "one\ntwo\n", "gone.txt": "x\n"}


def made(place: Place, *words: str) -> Path:
    outcome = place.run("patch", *words)
    assert outcome.code == 0, outcome.err
    (path,) = outcome.paths
    return path


def test_a_patch_is_made_of_what_was_changed_and_is_applied(
    place: Place, offer: Offer
) -> None:
    offer("pm_demo", value="old", more=FILES)
    place.realise("pm-demo")

    folder = made(place, "new", "pm-demo", "--name", "fix the value")
    (folder / "pm_demo/__init__.py").write_text("VALUE = 'new'\n")
    (folder / "gone.txt").unlink()
    patch = made(place, "write", str(folder))
    outcome = place.realise("pm-demo")

    assert (
        patch == place.folder / "overrides/patches/pm-demo-1.0/0001-fix-the-value.patch"
    )
    assert b"deleted file mode" in patch.read_bytes()
    assert b"fromager-patch" not in patch.read_bytes()
    assert not folder.exists()
    assert outcome.built == ["pm-demo==1.0"]
    with zipfile.ZipFile(outcome.wheel("pm-demo")["path"]) as wheel:
        assert b"new" in wheel.read("pm_demo/__init__.py")


def test_a_second_patch_lies_upon_the_first_and_both_can_be_edited(
    place: Place, offer: Offer
) -> None:
    offer("pm_two", more=FILES)
    for number, text in enumerate(["ONE\ntwo\n", "ONE\nTWO\n"], start=1):
        folder = made(place, "new", "pm-two", "--all-versions", "--name", str(number))
        (folder / "a.txt").write_text(text)
        made(place, "write", str(folder))
    patches = place.folder / "overrides/patches/pm-two"

    folder = made(place, "edit", str(patches / "0001-1.patch"), "--into", "w")
    assert (folder / "a.txt").read_text() == "ONE\ntwo\n"
    (folder / "b.txt").write_text("more\n")
    made(place, "write", "w", "--keep")

    assert sorted(path.name for path in patches.iterdir()) == [
        "0001-1.patch",
        "0002-2.patch",
    ]
    assert b"b.txt" in (patches / "0001-1.patch").read_bytes()
    assert folder.exists()
    assert place.run("patch", "check", "pm-two").code == 0


def test_patches_are_tried_on_another_version(place: Place, offer: Offer) -> None:
    offer("pm_try", "1.0", more=FILES)
    offer("pm_try", "2.0", more={**FILES, "gone.txt": "y\n"})
    folder = made(place, "new", "pm-try==1.0", "--name", "fits")
    (folder / "a.txt").write_text("one\n")
    made(place, "write", str(folder))
    folder = made(place, "new", "pm-try==1.0", "--name", "fails")
    (folder / "gone.txt").unlink()
    made(place, "write", str(folder))

    outcome = place.run("patch", "check", "pm-try==2.0")
    rows = place.run("patch", "check", "pm-try==2.0", "--json").json["patches"]
    old = place.run("patch", "check", "pm-try==1.0")

    assert outcome.code == 1
    assert "0001-fits.patch: fits pm-try==2.0" in outcome.out
    assert "0002-fails.patch: does not fit" in outcome.out
    assert "gone.txt" in outcome.err
    assert [row["applies"] for row in rows] == [True, False]
    assert old.code == 0
    assert outcome.builds == 0


def test_a_work_tree_is_not_written_over(place: Place, offer: Offer) -> None:
    offer("pm_over")
    (place.folder / "mine").mkdir()
    (place.folder / "mine/precious").write_text("x")

    outcome = place.run("patch", "new", "pm-over", "--into", "mine")

    check_error(outcome, 2, "mine is there already")
    assert (place.folder / "mine/precious").read_text() == "x"


def test_what_cannot_be_a_patch_is_refused_and_the_work_is_kept(
    place: Place, offer: Offer
) -> None:
    offer("pm_bad")
    folder = made(place, "new", "pm-bad")

    nothing = place.run("patch", "write", str(folder))
    (folder / "x.bin").write_bytes(b"\0")
    binary = place.run("patch", "write", str(folder))

    check_error(nothing, 2, "nothing was changed")
    check_error(binary, 1, r"x\.bin", "binary")
    assert folder.exists()
    assert not (place.folder / "overrides").exists()
    check_error(place.run("patch", "write", "."), 2, "no work tree")
