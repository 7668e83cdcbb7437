"""Roots and the collection of garbage, as people use them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from fromager.cli.quantities import show_duration, show_size
from support.garbage import on_disk
from support.store_check import check_error, check_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.command_line import Outcome, Place

    Offer = Callable[..., None]


def run(place: Place, *words: str, code: int = 0) -> Outcome:
    outcome = place.run(*words)
    assert outcome.code == code, outcome.err
    return outcome


def test_a_kept_set_is_reused_after_a_collection(fresh: Place, offer: Offer) -> None:
    offer("top", requires=["tool"], asks=["asked"], dependencies=["part"])
    offer("tool", dependencies=["tool-part"])
    for name in ("tool_part", "asked", "part", "other"):
        offer(name)
    run(fresh, "realise", "--root", "mine", "top")
    run(fresh, "realise", "other")

    expected = json.loads(run(fresh, "gc", "--dry-run", "--json").out)
    done = json.loads(run(fresh, "gc", "--json").out)

    assert done == {**expected, "dry_run": False}
    assert done["objects"] > 0
    again = run(fresh, "realise", "--refresh", "top")
    assert again.builds == 0
    assert again.built == []
    assert run(fresh, "realise", "other").built == ["other==1.0"]
    check_store(fresh)


def test_without_its_build_closure_a_set_is_still_there(
    fresh: Place, offer: Offer
) -> None:
    offer("top", requires=["tool"])
    offer("tool")
    first = run(fresh, "realise", "--root", "mine", "top")

    run(fresh, "gc", "--no-keep-build-closure")

    again = run(fresh, "realise", "top")
    assert again.out == first.out
    assert again.processes == ()
    left = run(fresh, "store", "ls").out.splitlines()
    assert sorted(line[33:] for line in left) == ["top-1.0-wheel", "top==1.0-wheel.drv"]
    assert run(fresh, "derivation", "show", "top").code == 0
    # All that is missing is made again when it is needed.
    assert run(fresh, "realise", "--refresh", "top").built == ["tool==1.0"]


def test_each_new_set_is_a_generation(fresh: Place, offer: Offer) -> None:
    offer("part")
    offer("demo", "1.0", dependencies=["part"])
    one = run(fresh, "realise", "--root", "mine", "demo")
    assert "root mine: generation 1" in one.err
    before = on_disk(fresh.store)
    assert (
        "root mine: generation 1" in run(fresh, "realise", "--root", "mine", "demo").err
    )
    assert {n for n, s in on_disk(fresh.store).items() if before.get(n) != s} <= {
        *(".fromager/locks", ".fromager/leases", ".fromager/locks/collect"),
        *(".fromager/locks/roots", ".fromager/locks/writer", ".fromager/locks/sweep"),
    }
    offer("demo", "2.0", dependencies=["part"])
    run(fresh, "realise", "--refresh", "--root", "mine", "demo")

    shown = json.loads(run(fresh, "root", "show", "mine", "--json").out)
    assert [
        [row["number"], row["current"], [m["label"] for m in row["members"]]]
        for row in shown["generations"]
    ] == [
        [1, False, ["demo==1.0", "part==1.0"]],
        [2, True, ["demo==2.0", "part==1.0"]],
    ]
    back = run(fresh, "root", "rollback", "mine")
    assert back.out == run(fresh, "root", "show", "mine", "1").out
    assert len(back.paths) == 2
    run(fresh, "gc", "--keep-generations", "1", "--max-freed", "0")
    check_error(fresh.run("root", "rollback", "mine"), 1, "before generation 1")
    run(fresh, "root", "rollback", "mine", "--to", "2")
    run(fresh, "root", "delete", "mine", "1")
    check_error(fresh.run("root", "show", "mine", "1"), 1, "generation 1 of root mine")
    assert "2: " in run(fresh, "root", "show", "mine").out

    run(fresh, "root", "delete", "mine")
    run(fresh, "gc")

    assert run(fresh, "store", "ls").out == ""
    check_error(fresh.run("root", "show", "mine"), 1, "no root mine")


def test_a_set_that_failed_is_no_generation(place: Place, offer: Offer) -> None:
    offer("gen_good")
    offer("gen_bad", quirk="crash")

    outcome = place.run(
        "realise", "--keep-going", "--root", "failed", "gen-good", "gen-bad"
    )

    assert outcome.code == 5
    assert "no generation" in outcome.err
    check_error(place.run("root", "show", "failed"), 1, "no root failed")


def test_roots_are_listed_and_say_what_they_keep(fresh: Place, offer: Offer) -> None:
    offer("top", requires=["tool"])
    offer("tool")
    run(fresh, "realise", "--root", "mine", "--out-link", "result", "top")
    run(fresh, "realise", "--out-link", "tool", "tool")

    lines = run(fresh, "store", "roots").out.splitlines()
    names = [str(fresh.folder / name) for name in ("result", "tool")]
    assert sorted(line.split(": ")[0] for line in lines) == [
        *("generation mine", *(f"link {name}" for name in names))
    ]
    rows = json.loads(run(fresh, "store", "roots", "--json").out)["roots"]
    assert {row["name"]: row["exclusive_objects"] for row in rows} == {
        "mine": 0,
        str(fresh.folder / "result"): 0,
        str(fresh.folder / "tool"): 0,
    }
    (fresh.folder / "result").unlink()
    rows = json.loads(run(fresh, "store", "roots", "--json").out)["roots"]
    exclusive = {row["name"]: row["exclusive_bytes"] for row in rows}
    assert exclusive["mine"] > 0
    would = json.loads(run(fresh, "gc", "--dry-run", "--json").out)["bytes"]
    run(fresh, "root", "delete", "mine")
    freed = json.loads(run(fresh, "gc", "--json").out)["bytes"]
    assert freed == exclusive["mine"] + would


def test_why_something_is_alive_is_told_edge_by_edge(
    fresh: Place, offer: Offer
) -> None:
    offer("top", requires=["tool"])
    offer("tool")
    run(fresh, "realise", "--root", "mine", "top")
    run(fresh, "realise", "tool")

    assert run(fresh, "why-alive", "top").out.splitlines()[0] == (
        "root mine, generation 1"
    )
    steps = json.loads(run(fresh, "why-alive", "tool", "--json").out)["alive"]["steps"]
    assert [step["edge"] for step in steps] == ["input", "input", "input", "output"]
    assert steps[-1]["to"].endswith("-tool-1.0-wheel")

    run(fresh, "root", "delete", "mine")

    outcome = run(fresh, "why-alive", "top", code=1)
    assert (outcome.out, "nothing keeps" in outcome.err) == ("", True)
    check_error(fresh.run("why-alive", "unheard-of"), 1, "not in the store")


def test_builds_go_on_while_garbage_is_collected(fresh: Place, offer: Offer) -> None:
    for number in range(4):
        below = [f"part-{number - 1}"] if number else []
        offer(f"part_{number}", requires=below, dependencies=below)

    process = fresh.start("realise", "part-3")
    collections = 0
    while process.poll() is None:
        if (fresh.store / ".fromager" / "version").exists():
            run(fresh, "gc")
            collections += 1
    outcome = fresh.finish(process)

    assert outcome.code == 0, outcome.err
    assert collections > 1
    check_store(fresh)


@pytest.mark.parametrize(
    "words",
    [
        ("--max-size", "much"),
        ("--free-to", "-5G"),
        ("--keep-recent", "30"),
        ("--older-than", "d"),
        ("--keep-generations", "-1"),
        ("--failed-older-than", "1y"),
    ],
)
def test_nonsense_is_refused(place: Place, words: tuple[str, str]) -> None:
    outcome = place.run("gc", *words)

    assert outcome.code == 2
    assert words[0] in outcome.err


def test_a_root_that_cannot_be_named_so_is_refused_at_once(place: Place) -> None:
    outcome = place.run("realise", "--root", "a/b", "nothing")

    check_error(outcome, 2, "a/b")
    assert outcome.connections == 0


def test_sizes_and_durations_are_shown_in_the_unit_that_suits_them() -> None:
    assert [show_size(size) for size in (0, 1023, 1024, 1536, 5 << 30, 1 << 60)] == [
        *("0 B", "1023 B", "1.0 KiB", "1.5 KiB", "5.0 GiB", "1048576.0 TiB")
    ]
    assert [show_duration(s) for s in (-5, 59, 60, 3600, 86_400 * 3)] == [
        *("0s", "59s", "1m", "1h", "3d")
    ]


def test_a_store_that_is_only_read_is_left_alone(fresh: Place, offer: Offer) -> None:
    offer("demo")
    run(fresh, "realise", "--root", "mine", "demo")
    before = on_disk(fresh.store)
    only = ("--store", f"ro:{fresh.store}")

    check_error(fresh.run(*only, "gc"), 2, "no store to write to")
    for words in (("root", "delete", "mine"), ("root", "rollback", "mine")):
        assert fresh.run(*only, *words).code == 1
    assert run(fresh, *only, "gc", "--dry-run").code == 0
    assert run(fresh, *only, "store", "roots").out.startswith("generation mine")

    assert on_disk(fresh.store) == before


def test_a_size_that_roots_do_not_allow_is_told(fresh: Place, offer: Offer) -> None:
    offer("demo")
    run(fresh, "realise", "--root", "mine", "demo")

    outcome = run(fresh, "gc", "--max-size", "1")

    assert "more would have to go" in outcome.err
