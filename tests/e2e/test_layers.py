"""Commands on a store above others that are only read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from support.store_check import check_error, check_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.command_line import Place

    Offer = Callable[..., None]


def snapshot(root: Path) -> list[tuple[str, int, int]]:
    """All below a folder, with the times at which names or contents changed."""
    return sorted(
        (str(path), path.lstat().st_mtime_ns, path.lstat().st_ctime_ns)
        for path in (root, *root.rglob("*"))
    )


@pytest.fixture
def lower(fresh: Place, offer: Offer) -> Place:
    """A store with `low_top`, which was built with `low_tool`."""
    offer("low_tool")
    offer("low_top", requires=["low-tool"], imports=["low_tool"])
    fresh.realise("low-top")
    return fresh


@pytest.fixture
def upper(lower: Place) -> Place:
    """A store that is not there yet, above that one."""
    return replace(
        lower,
        store=lower.store.with_name(f"{lower.store.name}-upper"),
        variables={"FROMAGER_LOWER": str(lower.store)},
    )


def test_what_was_built_below_is_reused_and_nothing_is_written_there(
    lower: Place, upper: Place
) -> None:
    below = lower.realise("low-top").wheel("low-top")
    before = snapshot(lower.store)

    outcome = upper.realise("low-top")
    again = upper.realise("low-top")

    assert outcome.builds == 0
    assert outcome.wheel("low-top")["path"] == below["path"]
    assert outcome.json["store"] == str(upper.store)
    assert again.wheel("low-top")["path"] == below["path"]
    assert (again.processes, again.connections) == ((), 0)
    assert snapshot(lower.store) == before
    assert upper.run("store", "cat", below["path"]).code == 0


def test_what_is_new_is_built_above_with_tools_from_below(
    lower: Place, upper: Place, offer: Offer
) -> None:
    offer("low_tool")
    offer("newly", requires=["low-tool"], imports=["low_tool"], quirk="")
    before = snapshot(lower.store)

    outcome = upper.realise("newly")
    row = outcome.wheel("newly")

    assert outcome.builds == 1
    assert row["path"].startswith(f"{upper.store}/")
    assert snapshot(lower.store) == before
    closure = upper.run("store", "closure", "--build", "--json", "newly")
    assert closure.code == 0, closure.err
    places = {
        upper.run("store", "info", "--json", path).json["object"]["path"]
        for path in closure.json["closure"]
    }
    assert {place.rpartition("/")[0] for place in places} == {
        str(upper.store),
        str(lower.store),
    }
    check_store(replace(upper, variables={}))


def test_a_store_below_that_went_is_said_and_its_part_built_again(
    lower: Place, upper: Place, offer: Offer
) -> None:
    offer("newly", requires=["low-tool"], imports=["low_tool"])
    upper.realise("newly")
    lower.store.rename(lower.store.with_name("gone"))

    check_error(upper.run("store", "ls"), 1, str(lower.store), "Mount it")

    alone = replace(upper, variables={})
    assert alone.realise("newly").builds == 0
    outcome = alone.realise("low-top")
    assert outcome.builds == 2
    check_store(alone)


def test_commands_that_read_need_no_store_to_write_to(lower: Place) -> None:
    row = lower.realise("low-top").wheel("low-top")
    commands = (
        ("store", "ls"),
        ("store", "ls", "low-top"),
        ("store", "info", "low-top"),
        ("store", "cat", row["path"], "low_top-1.0-py3-none-any.whl"),
        ("store", "closure", "--build", "low-top"),
        ("log", "low-top"),
        ("why-rebuilt", "low-top"),
        ("derivation", "show", "low-top"),
    )
    by_owner = [lower.run(*words) for words in commands]
    before = snapshot(lower.store)
    only = replace(lower, variables={"FROMAGER_STORE": f"ro:{lower.store}"})

    for words, outcome in zip(commands, by_owner, strict=True):
        assert outcome.code == 0, (words, outcome.err)
        assert only.run(*words).out == outcome.out, words
    check_error(only.run("realise", "low-top"), 1, "read-only", "of your own")
    assert snapshot(lower.store) == before


def test_stores_are_named_on_the_command_line(lower: Place, upper: Place) -> None:
    named = replace(lower, variables={"FROMAGER_STORE": "/nowhere"})
    stores = ("--store", str(upper.store), "--store", f"ro:{lower.store}")

    outcome = named.run(*stores, "realise", "low-top")
    behind = named.run("realise", "low-top", *stores)

    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith(f"{lower.store}/")
    assert behind.out == outcome.out
    check_error(
        named.run("--store", "a", "--store", "b", "store", "ls"), 2, "both", "ro:"
    )
    check_error(
        named.run(*stores, "--store", f"ro:{upper.store}", "store", "ls"), 1, "both"
    )


def test_stores_are_named_in_a_file(lower: Place, upper: Place) -> None:
    folder = lower.folder / "project"
    folder.mkdir()
    (folder / "low").symlink_to(lower.store)
    (folder / "fromager.toml").write_text('store = "mine"\nlower = ["low"]\n')
    place = replace(lower, folder=folder)
    place.variables["FROMAGER_STORE"] = str(folder / "mine")

    outcome = place.realise("low-top")
    shown = place.run("config", "show", "--json").json["settings"]

    assert outcome.builds == 0
    assert shown["lower"]["value"] == [str(folder / "low")]
    assert shown["lower"]["origin"] == f"{folder}/fromager.toml:2"


def test_what_lies_elsewhere_is_no_target(lower: Place, upper: Place) -> None:
    upper.realise("low-top")
    check_error(
        upper.run("store", "info", str(upper.folder)),
        2,
        str(upper.store),
        str(lower.store),
    )


def test_a_root_may_hold_what_lies_below(lower: Place, upper: Place) -> None:
    path = upper.realise("--root", "mine", "low-top").wheel("low-top")["path"]
    folder = path.rpartition("/")[0]

    assert upper.run("root", "show", "mine", "1").out == f"{folder}\n"
    assert upper.run("gc").code == 0
    assert upper.realise("low-top").builds == 0
    # The owner of the lower store does not know of that root.
    assert lower.run("gc").code == 0
    assert upper.realise("low-top").builds == 2


def test_a_link_may_lead_below_and_keeps_nothing_there(
    lower: Place, upper: Place
) -> None:
    outcome = upper.run("realise", "--out-link", "result", "low-top")

    assert outcome.code == 0, outcome.err
    assert str((upper.folder / "result").resolve()).startswith(f"{lower.store}/")
    assert lower.run("gc").code == 0
    assert not (upper.folder / "result").exists()
