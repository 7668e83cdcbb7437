"""Locks: made, kept, checked, built from, and read by installers."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.index import local_index
from support.projects import sdist
from support.wheels import WheelMaker

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.command_line import Outcome, Place
    from support.index import LocalIndex

    Offer = Callable[..., None]


def locked(place: Place) -> str:
    return (place.folder / "pylock.toml").read_text(encoding="utf-8")


def lock(place: Place, *words: str) -> Outcome:
    outcome = place.run("lock", *words)
    assert outcome.code == 0, outcome.err
    return outcome


def names(outcome: Outcome) -> list[str]:
    return [f"{row['name']}=={row['version']}" for row in outcome.json["wheels"]]


def keys(outcome: Outcome) -> dict[str, str]:
    return {row["name"]: row["key"] for row in outcome.json["wheels"]}


@pytest.fixture
def chain(offer: Offer) -> None:
    """What is installed, what builds it, and what builds that."""
    offer("lktop", dependencies=["lkbase"], requires=["lktool"], imports=["lktool"])
    offer("lkbase", asks=["lkhelper"], imports=["lkhelper"])
    offer("lktool", requires=["lkhelper"], imports=["lkhelper"])
    offer("lkhelper", "1.0")


def test_what_is_installed_is_not_built_by_locking_but_what_builds_it_is(
    place: Place, offer: Offer
) -> None:
    offer("lkshown", dependencies=["lkneeded"], requires=["lkmeans"])
    offer("lkneeded", asks=["lkasked"])
    offer("lkmeans", requires=["lkasked"])
    offer("lkasked")

    outcome = lock(place, "lkshown==1.0")

    assert outcome.built == ["lkasked==1.0", "lkmeans==1.0"]
    assert "pylock.toml: 2 packages, 2 more to build them" in outcome.err
    assert outcome.out == ""


@pytest.mark.usefixtures("chain")
def test_a_lock_gives_the_same_keys_in_another_store_and_asks_no_index(
    place: Place, fresh: Place, index: LocalIndex, offer: Offer
) -> None:
    lock(place, "lktop")
    here = place.realise("lktop")
    offer("lkhelper", "2.0")
    offer("lkbase", "2.0")
    index.requests.clear()

    there = fresh.realise("--lock", "pylock.toml", "--refresh")

    assert keys(there) == keys(here)
    assert index.count("/simple/") == 0
    assert index.count("/files/") == 4
    requested = [row["name"] for row in there.json["wheels"] if row["requested"]]
    assert requested == ["lktop"]


def test_nothing_is_asked_twice(fresh: Place, index: LocalIndex, offer: Offer) -> None:
    """Neither while versions are tried, nor for what builds them."""
    for number in range(12):
        below = [f"lkonce-{number + 1}<2"] if number < 11 else []
        for version in ("1.0", "1.1", "2.0"):
            offer(
                f"lkonce-{number}",
                version,
                dependencies=below,
                requires=["lkonce-tool"],
                static=number % 2 == 0,
            )
    offer("lkonce-tool")

    lock(fresh, "lkonce-0", "lkonce-5>1")

    asked = [each.path for each in index.requests]
    assert len(asked) > 12
    assert sorted(asked) == sorted(set(asked))


@pytest.mark.usefixtures("chain")
def test_building_from_a_lock_again_starts_nothing_and_asks_nobody(
    place: Place,
) -> None:
    lock(place, "lktop")
    place.realise("--lock", "pylock.toml")

    again = place.realise("--lock", "pylock.toml", "--offline")

    assert (again.processes, again.connections) == ((), 0)
    assert names(again) == ["lkbase==1.0", "lktop==1.0"]


def test_a_name_that_no_installer_takes_is_told(place: Place, offer: Offer) -> None:
    offer("lknamed")

    for name, told in (("pylock.dev.toml", False), ("lock.toml", True)):
        outcome = lock(place, "lknamed", "-o", name)
        assert ("pylock.NAME.toml" in outcome.err) is told

    assert "pylock" not in lock(place, "lknamed", "-o", "-").err


def test_extras_of_build_requirements_are_locked(place: Place, offer: Offer) -> None:
    """Also one that needs nothing, as setuptools-scm[toml] does nowadays."""
    needs = ["lkxfast ; extra == 'fast'"]
    offer("lkxtool", extras=["fast", "idle"], dependencies=needs)
    offer("lkxfast")
    offer("lkxuser", requires=["lkxtool[fast,idle]>=1"], imports=["lkxfast"])
    offer("lkxplain", requires=["lkxtool[Idle]"])
    lock(place, "lkxuser", "lkxplain")
    here = place.realise("lkxuser", "lkxplain")

    there = place.realise("--lock", "pylock.toml")

    assert keys(there) == keys(here)
    assert place.run("lock", "--check").code == 0


@pytest.mark.usefixtures("chain")
def test_a_part_of_a_lock_can_be_built(place: Place) -> None:
    lock(place, "lktop")

    assert names(place.realise("lkbase", "--lock", "pylock.toml")) == ["lkbase==1.0"]


@pytest.mark.usefixtures("chain")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("lktop>=2",), "the request requires lktop>=2, and 1.0 is locked"),
        (("elsewhere",), "the request requires elsewhere, which is not locked for it"),
        (("lktop[fast]",), "which is locked without that extra"),
        (("--variant", "rocm"), "the lock is for the variant cpu, not for rocm"),
    ],
)
def test_a_lock_that_does_not_fit_is_refused(
    place: Place, words: tuple[str, ...], message: str
) -> None:
    lock(place, "lktop")

    outcome = place.run("realise", *words, "--lock", "pylock.toml")

    assert outcome.code == 4
    assert message in outcome.error
    assert "hint: " in outcome.error


def test_a_lock_for_another_interpreter_is_refused(place: Place, offer: Offer) -> None:
    offer("lkpython")
    lock(place, "lkpython")
    path = place.folder / "pylock.toml"
    text = path.read_text(encoding="utf-8")
    here = f"cpython-{sys.version_info[0]}{sys.version_info[1]}"
    assert here in text
    path.write_text(text.replace(here, "cpython-399"), encoding="utf-8")

    outcome = place.run("realise", "--lock", "pylock.toml")

    assert outcome.code == 4
    assert "the lock is for cpython-399-linux-" in outcome.error
    assert "Lock for this interpreter too" in outcome.error


def test_sources_that_are_patched_otherwise_are_refused(
    place: Place, offer: Offer
) -> None:
    offer("lkpatched")
    lock(place, "lkpatched")
    patches = place.folder / "patches" / "lkpatched-1.0"
    patches.mkdir(parents=True)
    (patches / "001.patch").write_text(
        "--- a/lkpatched/__init__.py\n+++ b/lkpatched/__init__.py\n"
        "@@ -1 +1 @@\n-VALUE = '1.0'\n+VALUE = 'patched'\n"
    )

    outcome = place.run("realise", "--lock", "pylock.toml", "--patches", "patches")

    assert outcome.code == 4
    assert "patches or settings are others" in outcome.error


def test_a_file_that_was_replaced_is_refused(
    place: Place, index: LocalIndex, offer: Offer
) -> None:
    offer("lkreplaced")
    lock(place, "lkreplaced")
    text = locked(place).replace(index.sha256("lkreplaced-1.0.tar.gz"), "ab" * 32)
    (place.folder / "pylock.toml").write_text(text)

    outcome = place.run("realise", "--lock", "pylock.toml")

    assert outcome.code == 1
    assert "expected sha256" in outcome.error


def test_what_is_locked_is_kept_until_it_is_given_up(
    place: Place, offer: Offer
) -> None:
    for name in ("lkfirst", "lksecond"):
        offer(name, "1.0", requires=["lkwith"], imports=["lkwith"])
    offer("lkwith", "1.0")
    lock(place, "lkfirst", "lksecond")
    before = locked(place)
    for name in ("lkfirst", "lksecond"):
        offer(name, "2.0", requires=["lkwith"], imports=["lkwith"])
    offer("lkwith", "2.0")

    assert lock(place, "lkfirst", "lksecond", "--refresh")
    assert locked(place) == before
    one = lock(place, "-P", "lkfirst")
    assert "lkfirst is 2.0, it was 1.0" in one.err
    assert "lksecond" not in one.err
    assert '"lkwith==1.0"' in locked(place)
    everything = lock(place, "--upgrade")
    assert "lksecond is 2.0, it was 1.0" in everything.err
    assert '"lkwith==1.0"' not in locked(place)


def test_upgrading_one_project_changes_that_alone(place: Place, offer: Offer) -> None:
    for version in ("1.0", "2.0"):
        for name in ("lkone", "lkother"):
            offer(name, version)
        if version == "1.0":
            lock(place, "lkone", "lkother")

    outcome = lock(place, "--upgrade", "LKone", "--refresh")

    assert "lkone is 2.0, it was 1.0" in outcome.err
    assert "lkother" not in outcome.err


@pytest.mark.parametrize("words", [("--upgrade", "lkmeant"), ("-P", "lkmeant")])
def test_what_is_not_locked_cannot_be_upgraded(
    place: Place, offer: Offer, words: tuple[str, ...]
) -> None:
    offer("lkheld")
    offer("lkmeant")
    lock(place, "lkheld")
    before = locked(place)

    outcome = place.run("lock", *words)

    assert outcome.code == 2
    assert "lkmeant cannot be upgraded: it is not in pylock.toml" in outcome.error
    assert locked(place) == before


def test_a_check_fails_when_the_lock_would_change_and_writes_nothing(
    place: Place, offer: Offer
) -> None:
    offer("lkchecked", "1.0")
    missing = place.run("lock", "lkchecked", "--check")
    lock(place, "lkchecked")

    good = place.run("lock", "--check")
    (place.folder / "r.txt").write_text("lkchecked>=1\n")
    before = locked(place)
    stale = place.run("lock", "-r", "r.txt", "--check")

    assert (missing.code, good.code, stale.code) == (1, 0, 1)
    assert "the requirement lkchecked>=1 is new" in stale.err
    assert "error: pylock.toml is out of date" in stale.err
    assert locked(place) == before


def test_the_request_that_a_lock_was_made_for_is_its_own(
    place: Place, offer: Offer
) -> None:
    offer("lkown", "1.0")
    offer("lkown", "2.0rc1")
    (place.folder / "c.txt").write_text("lkown<2\n")
    lock(place, "lkown", "-c", "c.txt", "--pre")
    first = locked(place)

    lock(place, "--upgrade")

    assert locked(place) == first
    assert '"lkown<2"' in first


def test_a_lock_may_be_for_several_interpreters(place: Place, offer: Offer) -> None:
    minor = 13 if sys.version_info[1] != 13 else 12
    pyenv = Path(os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv")))
    found = [
        *pyenv.glob(f"versions/3.{minor}.*/bin/python"),
        Path(shutil.which(f"python3.{minor}") or "/shims"),
    ]
    others = [path for path in found if "shims" not in path.parts]
    if not others:
        pytest.skip(f"there is no Python 3.{minor}")
    offer(
        "lkboth", dependencies=[f"lkold; python_version != '3.{sys.version_info[1]}'"]
    )
    offer("lkold")

    lock(place, "lkboth", "--python", sys.executable, "--python", str(others[0]))

    before = locked(place)
    alone = place.run("lock", "lkboth", "--python", sys.executable)
    assert alone.code == 2
    assert "which would be lost" in alone.error
    assert locked(place) == before
    here = place.realise("--lock", "pylock.toml")
    there = place.realise("--lock", "pylock.toml", "--python", str(others[0]))
    assert names(here) == ["lkboth==1.0"]
    assert names(there) == ["lkboth==1.0", "lkold==1.0"]
    pythons = ("--python", sys.executable, "--python", str(others[0]))
    missing = f"lknot; python_version == '3.{minor}'"
    failed = place.run("lock", "lkboth", missing, *pythons)
    assert failed.code == 4
    assert f"This is about --python {others[0]}\n" in failed.err


def test_a_wheel_that_needs_more_than_is_locked_is_refused(
    place: Place, offer: Offer
) -> None:
    offer("lkliar", dependencies=["lktruth"])
    offer("lktruth")
    lock(place, "lkliar")
    text = locked(place)
    start, end = text.index('[[packages]]\nname = "lktruth"'), text.index("[tool.")
    (place.folder / "pylock.toml").write_text(text[:start] + text[end:])

    outcome = place.run("realise", "--lock", "pylock.toml")

    assert outcome.code == 4
    assert "the wheel of lkliar==1.0 requires lktruth" in outcome.error


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_installers_read_it(
    place: Place, offer: Offer, tmp_path: Path, installer: str
) -> None:
    offer("lkread", dependencies=["lkalso"])
    offer("lkalso")
    lock(place, "lkread")
    words = {
        "pip": ["pip", "install", "--dry-run", "--no-build-isolation", "--target", "t"],
        "uv": ["uv", "pip", "install", "--no-build-isolation", "--target", "t", "-q"],
    }

    done = subprocess.run(
        [sys.executable, "-m", *words[installer], "-r", "pylock.toml"],
        cwd=place.folder,
        env={**replace(place).environ, "UV_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    if installer == "pip":
        assert "Would install lkalso-1.0 lkread-1.0" in done.stdout
    else:
        assert (place.folder / "t" / "lkalso" / "__init__.py").exists()


def test_standard_output_is_a_place_too(place: Place, offer: Offer) -> None:
    offer(*("lkout", "1.0"))

    outcome = lock(place, "lkout", "-o", "-")

    assert outcome.out.startswith("# Made by fromager")
    assert not (place.folder / "pylock.toml").exists()


def test_what_is_no_lock_is_one_clear_error(place: Place, index: LocalIndex) -> None:
    index.add(*sdist("lkbroken", "1.0"))
    (place.folder / "pylock.toml").write_text("<<<<<<< ours\n")

    made = place.run("lock", "lkbroken")
    used = place.run("realise", "--lock", "pylock.toml")
    absent = place.run("realise", "--lock", "nothing.toml")

    assert (made.code, used.code, absent.code) == (2, 2, 2)
    assert "the lock cannot be used: it is no TOML" in used.error
    assert "there is no lock" in absent.error


def test_a_place_beside_a_lock_is_refused(place: Place, offer: Offer) -> None:
    offer("lkbeside")
    lock(place, "lkbeside")
    (place.folder / "mine").mkdir()

    outcome = place.run("realise", "./mine", "--lock", "pylock.toml")

    assert outcome.code == 2
    assert "says where its source is, and so does the lock" in outcome.error


def test_credentials_of_an_index_never_reach_a_lock(place: Place) -> None:
    files = dict([sdist("lksecret", "1.0")])
    with local_index(files, credentials=("me", "kanarie")) as private:
        there = replace(place, index=private.url_with_credentials)

        outcome = lock(there, "lksecret")

    assert private.url in locked(place)
    assert "kanarie" not in locked(place) + outcome.err + outcome.out


def test_what_was_found_in_a_folder_has_no_index(place: Place) -> None:
    folder = place.folder / "wheelhouse"
    folder.mkdir()
    filename, content = sdist("lkfound", "1.0")
    (folder / filename).write_bytes(content)

    lock(place, "lkfound", "--find-links", str(folder), "--no-index")

    assert "\nindex = " not in locked(place)
    assert f'url = "file://{folder}/{filename}"' in locked(place)


def test_a_prebuilt_wheel_is_pinned_by_its_hash_and_refused_among_sources(
    place: Place, offer: Offer, index: LocalIndex
) -> None:
    wheel = WheelMaker("lkpre")
    index.add(wheel.filename, wheel.build())
    offer("lkpre")
    offer("lkprewith", requires=["lkpre"])
    (place.folder / "fromager.toml").write_text(
        "[package.lkpre.variants.quick]\nprebuilt = true\n"
    )
    lock(place, "--variant", "quick", "lkpre", "lkprewith")

    words = ("--lock", "pylock.toml", "--variant", "quick")
    outcome = place.realise(*words)
    refused = place.run("realise", *words, "--only-from-source")

    sha256 = hashlib.sha256(wheel.build()).hexdigest()
    assert locked(place).count(sha256) == 1
    assert outcome.wheel("lkpre")["sha256"] == sha256
    assert refused.code == 1
    assert "lkpre==1.0" in refused.error
    (place.folder / "fromager.toml").unlink()
    plain = place.realise("lkpre", "lkprewith")
    assert plain.wheel("lkpre")["prebuilt"] is None


def test_another_file_under_the_name_of_a_locked_wheel_is_refused(
    place: Place, fresh: Place, index: LocalIndex
) -> None:
    wheel = WheelMaker("lkswapped")
    index.add(wheel.filename, wheel.build())
    (place.folder / "fromager.toml").write_text(
        "[package.lkswapped]\nprebuilt = true\n"
    )
    lock(place, "lkswapped")
    index.add(wheel.filename, bytes(len(wheel.build())))

    refused = fresh.run("realise", "--lock", "pylock.toml")

    assert refused.code == 1
    assert "expected sha256" in refused.error
