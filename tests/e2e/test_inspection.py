"""The commands that look at a store: on what was built, and where nothing is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.store_check import check_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.command_line import Outcome, Place

    Offer = Callable[..., None]


@pytest.fixture
def built(place: Place, offer: Offer) -> Outcome:
    """`seen_top`, built with `seen_tool`."""
    offer("seen_top", requires=["seen-tool"], imports=["seen_tool"])
    offer("seen_tool")
    return place.realise("seen-top")


def ok(outcome: Outcome) -> Outcome:
    assert outcome.code == 0, outcome.err
    return outcome


def test_the_log_is_found_by_requirement_path_and_key(
    place: Place, offer: Offer
) -> None:
    offer("noisy", quirk="cores")
    row = place.realise("noisy").wheel("noisy")

    for target in (
        "noisy",
        "noisy==1.0",
        row["path"],
        row["store_path"],
        row["key"],
        row["derivation"],
    ):
        assert ok(place.run("log", target)).out.startswith("cores "), target


def test_objects_are_listed(place: Place, built: Outcome) -> None:
    row = built.wheel("seen-top")

    paths = ok(place.run("store", "ls")).out.splitlines()
    value = ok(place.run("store", "ls", "--json")).json

    assert row["store_path"] in paths
    assert row["derivation"] in paths
    assert [each["path"].rpartition("/")[2] for each in value["objects"]] == paths


def test_the_files_of_an_object_are_listed(place: Place, built: Outcome) -> None:
    listed = ok(place.run("store", "ls", built.wheel("seen-top")["store_path"]))

    assert listed.out == "f seen_top-1.0-py3-none-any.whl\n"


def test_info_says_what_an_object_is(place: Place, built: Outcome) -> None:
    row = built.wheel("seen-top")

    for target in (row["path"], row["store_path"], row["digest"], "seen-top==1.0"):
        value = ok(place.run("store", "info", "--json", target)).json["object"]
        assert value["digest"] == row["digest"]
        assert value["built"][0]["key"] == row["key"]
        assert value["built"][0]["sha256"] == row["sha256"]
    assert row["digest"] in ok(place.run("store", "info", row["path"])).out


def test_a_file_is_printed(place: Place, built: Outcome) -> None:
    row = built.wheel("seen-top")
    source = [
        path
        for path in place.run("store", "ls").out.splitlines()
        if path.endswith("seen-top-1.0-source")
    ]

    whole = ok(place.run("store", "cat", f"{source[0]}/seen_top/__init__.py"))
    split = ok(place.run("store", "cat", source[0], "seen_top/__init__.py"))

    assert whole.out == split.out == "VALUE = '1.0'\n"
    assert ok(place.run("store", "cat", row["derivation"])).out.startswith("{")


def test_a_closure_reaches_down_to_the_sources(place: Place, built: Outcome) -> None:
    lines = ok(place.run("store", "closure", "--build", "seen-top")).out.splitlines()

    for name in ("seen_top-1.0.tar.gz", "seen_tool-1.0.tar.gz", "seen-tool-1.0-wheel"):
        assert any(line.endswith(name) for line in lines), lines
    plain = ok(place.run("store", "closure", "seen-top", "--json")).json["closure"]
    assert plain == [built.wheel("seen-top")["store_path"]]


def test_a_derivation_is_shown(place: Place, built: Outcome) -> None:
    row = built.wheel("seen-top")

    value = ok(place.run("derivation", "show", "seen-top")).json
    canonical = ok(place.run("derivation", "show", "--canonical", row["derivation"]))

    assert value["key"] == row["key"]
    assert value["realisations"][0]["digest"] == row["digest"]
    assert canonical.out == ok(place.run("store", "cat", row["derivation"])).out


def test_derivations_are_compared(place: Place, built: Outcome) -> None:
    top = built.wheel("seen-top")["derivation"]
    same = place.run("derivation", "diff", top, "seen-top")
    other = place.run("derivation", "diff", "seen-top", "seen-tool")
    as_json = place.run("derivation", "diff", "--json", "seen-top", "seen-tool")

    assert (same.code, same.out) == (0, "")
    assert other.code == 1
    assert "source" in other.out
    assert as_json.json["differences"]


def test_what_was_built_once_has_no_reason(place: Place, built: Outcome) -> None:
    outcome = ok(place.run("why-rebuilt", "seen-tool"))

    assert outcome.out == "seen-tool==1.0 was built once only\n"
    assert ok(place.run("why-rebuilt", "--json", "seen-tool")).json["first"] is True


def test_settings_tell_where_they_come_from(place: Place) -> None:
    (place.folder / "fromager.toml").write_text("jobs = 3\n")
    place.variables["FROMAGER_CORES"] = "2"

    value = ok(place.run("--offline", "config", "show", "--json")).json

    settings = value["settings"]
    assert settings["jobs"] == {
        "value": 3,
        "origin": f"{place.folder}/fromager.toml:1",
    }
    assert settings["cores"]["origin"] == "environment variable FROMAGER_CORES"
    assert settings["offline"] == {"value": True, "origin": "command line"}
    assert settings["store"]["value"] == str(place.store)
    assert value["indexes"][0]["name"].startswith("http://127.0.0.1")
    parts = {part["name"]: part for part in value["platform"]["parts"]}
    assert {"interpreter", "C library", "compiler", "assembler", "linker"} <= set(parts)
    assert value["platform"]["digest"].startswith("blake3:")


def test_settings_show_the_same_platform_with_and_without_a_store(
    place: Place, fresh: Place
) -> None:
    with_store = ok(place.run("config", "show", "--json")).json["platform"]

    outcome = ok(fresh.run("config", "show", "--json"))

    assert outcome.json["platform"] == with_store
    assert not fresh.store.exists()
    assert "platform C library" in ok(place.run("config", "show")).out


@pytest.mark.parametrize(
    "words",
    [
        ("log", "demo"),
        ("why-rebuilt", "demo"),
        ("store", "ls"),
        ("store", "info", "demo"),
        ("store", "cat", "demo"),
        ("store", "closure", "demo"),
        ("derivation", "show", "demo"),
        ("derivation", "diff", "demo", "other"),
    ],
)
def test_looking_where_no_store_is_is_an_error_and_makes_none(
    fresh: Place, words: tuple[str, ...]
) -> None:
    outcome = fresh.run(*words)

    check_error(outcome, 1, "there is no store")
    assert not fresh.store.exists()


@pytest.mark.parametrize(
    "words",
    [
        ("log", "unheard-of"),
        ("log", "unheard-of==1.0"),
        ("why-rebuilt", "unheard-of"),
        ("store", "info", "unheard-of"),
        ("store", "cat", "unheard-of"),
        ("store", "closure", "unheard-of"),
        ("store", "closure", "--build", "unheard-of"),
        ("derivation", "show", "unheard-of"),
    ],
)
def test_what_is_not_in_the_store_is_named(
    place: Place, words: tuple[str, ...]
) -> None:
    check_error(place.run(*words), 1, "unheard-of.* not in the store")


def test_a_mistyped_name_is_answered_by_a_guess(
    place: Place, built: Outcome, tmp_path: Path
) -> None:
    place.realise("seen-top", "--root", "production")

    guesses = {"seentop==1.0": "seen-top", "producton": "production"}
    for text, meant in guesses.items():
        for words in (("store", "info"), ("log",), ("check",), ("sbom",)):
            assert f"Did you mean {meant}" in place.run(*words, text).error
        # It begins the names of many objects, and none of them is meant.
        assert "Did you mean seen-top" in place.run("log", "seen-to").error
        there = str(tmp_path / "exported")
        assert f"Did you mean {meant}" in place.run("export", text, there).error


def test_a_version_that_is_not_there_is_no_slip(place: Place, built: Outcome) -> None:
    outcome = place.run("store", "info", "seen-top>9")

    check_error(outcome, 1, "not in the store", "Of seen-top there are other versions")


def test_one_thing_is_meant_by_all_its_names(place: Place, offer: Offer) -> None:
    for name in ("named_one", "named_two"):
        offer(name)
    words = ("named-one", "named-two", "--root", "named", "--out-link", "link")
    collection = place.realise(*words).json["collection"]
    path = Path(collection["path"])
    row = ok(place.run("store", "info", "--json", "link")).json["object"]

    for text in (
        str(path),
        path.name,
        "link",
        str(path / "pylock.toml"),
        "link/pylock.toml",
        path.name[:12],
        row["digest"],
        row["digest"].removeprefix("blake3:")[:12],
        row["built"][0]["key"],
        row["built"][0]["key"][:20],
        "named",
        "root:named",
        "root:named@1",
    ):
        told = ok(place.run("store", "info", "--json", text)).json["object"]
        assert told["path"] == str(path), text
        shown = ok(place.run("derivation", "show", text)).json
        assert shown["key"] == row["built"][0]["key"], text
    exported = ok(place.run("export", "named", "exported")).paths[0]
    assert (exported / "pylock.toml").is_file()
    whole = ok(place.run("store", "cat", "link/constraints.txt")).out
    assert whole == (path / "constraints.txt").read_text()


def test_a_root_stands_for_all_that_it_holds(place: Place, offer: Offer) -> None:
    offer("held_top", dependencies=["held-base"])
    offer("held_base")
    paths = {
        each["store_path"]
        for each in place.realise("held-top", "--root", "held").json["wheels"]
    }

    listed = ok(place.run("store", "closure", "held")).out.split()
    checked = ok(place.run("check", "held", "--json")).json["verdicts"]

    assert set(listed) == paths
    assert {row["subject"] for row in checked} == {"held-top==1.0", "held-base==1.0"}
    check_error(place.run("store", "info", "held"), 2, "may be any of")
    check_error(place.run("store", "info", "held@7"), 1, "no generation 7 of root held")
    check_error(place.run("store", "info", "root:hold"), 1, "no root hold")


def test_a_project_is_meant_before_a_root_of_its_name(
    place: Place, offer: Offer
) -> None:
    offer("ours")
    offer("theirs")
    ours = place.realise("ours").wheel("ours")["store_path"]
    theirs = place.realise("theirs", "--root", "ours").wheel("theirs")["store_path"]

    named = ok(place.run("store", "info", "--json", "ours")).json["object"]["path"]
    rooted = ok(place.run("store", "info", "--json", "root:ours")).json["object"]

    assert named.endswith(ours)
    assert rooted["path"].endswith(theirs)


def test_the_newest_build_that_is_there_is_meant(fresh: Place, offer: Offer) -> None:
    offer("renewed", "1.0")
    kept = fresh.realise("renewed", "--root", "kept").wheel("renewed")["store_path"]
    offer("renewed", "2.0")
    gone = fresh.realise("renewed", "--refresh").wheel("renewed")["store_path"]
    ok(fresh.run("gc"))
    assert gone not in ok(fresh.run("store", "ls")).out

    found = ok(fresh.run("store", "info", "--json", "renewed")).json["object"]["path"]

    assert found.endswith(kept)


def test_a_path_outside_of_the_store_is_an_error(place: Place, tmp_path: Path) -> None:
    check_error(
        place.run("store", "info", str(tmp_path)), 2, "does not lie in the store"
    )


def test_a_file_that_an_object_does_not_have_is_an_error(
    place: Place, built: Outcome
) -> None:
    path = built.wheel("seen-top")["store_path"]

    check_error(place.run("store", "cat", path, "no/such"), 1, "no/such")
    check_error(place.run("store", "cat", path), 1)


def test_a_damaged_file_is_not_printed(fresh: Place, offer: Offer) -> None:
    offer("rotten")
    row = fresh.realise("rotten").wheel("rotten")
    wheel = Path(row["path"])
    wheel.chmod(0o644)
    wheel.write_bytes(b"something else")

    check_error(fresh.run("store", "cat", row["path"]), 6, "damaged")
