"""Builds that go wrong: one error, its exit code, the whole log, a store that is valid."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.store_check import check_error, check_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.command_line import Place

    Offer = Callable[..., None]


FAILURES = {
    "crash": ("went wrong on purpose",),
    "exit": ("exit",),
    "kill": ("signal|SIGKILL|kill",),
    "none": ("did not write",),
    "network": ("network|resolution",),
    "outside": ("/usr/escaped",),
    "write-environment": ("escaped",),
    "other-name": ("somebody",),
    "other-version": ("9.9",),
    "two": ("one wheel",),
    "false-record": ("RECORD",),
    "truncated": (),
    "answer": ("PEP 517",),
    "requires-crash": ("does not know what it needs",),
    "requires-nonsense": ("42",),
}


@pytest.mark.parametrize("quirk", sorted(FAILURES))
def test_a_build_that_fails_is_one_error(
    place: Place, offer: Offer, quirk: str
) -> None:
    name = f"bad_{quirk.replace('-', '_')}"
    offer(name, quirk=quirk)

    outcome = place.run("realise", name)

    check_error(outcome, 5, rf"bad-{quirk}==1\.0", *FAILURES[quirk])
    check_store(place)


def test_the_end_of_the_log_is_shown_and_the_whole_of_it_is_kept(
    place: Place, offer: Offer
) -> None:
    offer("logged", quirk="crash")

    outcome = place.run("realise", "logged")
    log = place.run("log", "logged==1.0")

    assert "about to fail" in outcome.err
    assert "fromager log logged==1.0" in outcome.err
    assert log.code == 0, log.err
    assert "about to fail" in log.out
    assert "RuntimeError: the build went wrong on purpose" in log.out
    assert place.run("log", "logged").out == log.out


def test_a_build_that_prints_megabytes_is_built_and_its_log_is_kept(
    place: Place, offer: Offer
) -> None:
    offer("talker", quirk="chatter")

    outcome = place.run("realise", "talker")

    assert outcome.code == 0, outcome.err
    assert len(outcome.err) < 1000
    log = place.run("log", "talker")
    assert log.out.startswith("line 0 of very many")
    assert "line 199999 of very many" in log.out


def test_a_build_that_hangs_is_stopped_after_its_time(
    place: Place, offer: Offer
) -> None:
    offer("hanging", quirk="hang")

    outcome = place.run("realise", "--timeout", "2", "hanging")

    check_error(outcome, 5, "hanging==1.0", "2 seconds")
    assert "hanging" in place.run("log", "hanging").out
    check_store(place)


def test_a_daemon_ends_with_its_build(place: Place, offer: Offer) -> None:
    offer("forking", quirk="daemon")

    outcome = place.run("realise", "--timeout", "60", "forking")

    assert outcome.code == 0, outcome.err
    check_store(place)


def test_a_folder_that_nobody_may_enter_is_cleared_away(
    place: Place, offer: Offer
) -> None:
    offer("locking", quirk="locked-folder")

    outcome = place.run("realise", "locking")

    assert outcome.code == 0, outcome.err
    check_store(place)


def test_the_folder_of_a_failed_build_is_kept_if_that_is_wanted(
    place: Place, offer: Offer
) -> None:
    offer("keeper", quirk="crash")

    outcome = place.run("realise", "--keep-failed", "keeper")

    check_error(outcome, 5)
    [line] = [line for line in outcome.err.splitlines() if "kept" in line]
    folder = line.partition(": ")[2]
    assert folder.startswith(str(place.store))
    assert (Path(folder) / "build" / "src" / "about.json").is_file()


def test_what_fails_keeps_what_needs_it_from_being_built(
    place: Place, offer: Offer
) -> None:
    offer("upper", requires=["broken-tool"])
    offer("broken_tool", quirk="crash")

    outcome = place.run("realise", "upper")

    assert outcome.code == 5
    assert "broken-tool==1.0" in outcome.err
    assert "upper==1.0" in outcome.err
    assert "went wrong on purpose" in outcome.err


def test_all_that_can_be_built_is_built_if_that_is_wanted(
    place: Place, offer: Offer
) -> None:
    offer("good_one")
    offer("good_two", dependencies=["bad-one"])
    offer("bad_one", quirk="crash")
    offer("bad_two", requires=["bad-one"])

    outcome = place.run("realise", "--keep-going", "good-one", "good-two", "bad-two")

    assert outcome.code == 5
    assert [path.name.split("-")[0] for path in outcome.paths] == [
        "good_one",
        "good_two",
    ]
    assert len(outcome.errors) == 2
    assert "went wrong on purpose" in outcome.errors[0]
    assert "bad-two==1.0: not built, since bad-one==1.0 failed" in outcome.errors[1]
    assert "2 built or reused, 2 failed" in outcome.err
    check_store(place)


def test_a_build_requirement_that_is_nowhere_is_named(
    place: Place, offer: Offer
) -> None:
    offer("demanding", requires=["nowhere-to-be-found>=3"])

    outcome = place.run("realise", "demanding")

    check_error(outcome, 4, "nowhere-to-be-found", "demanding==1.0")


def test_a_build_requirement_that_cannot_be_read_is_shown(
    place: Place, offer: Offer
) -> None:
    offer("illegible", requires=["tool >>> 3"])

    outcome = place.run("realise", "illegible")

    check_error(outcome, 1, "illegible==1.0", "tool >>> 3")


def test_a_backend_that_is_not_there_is_named(place: Place, offer: Offer) -> None:
    offer("lacking", backend="no_such_module.backend")

    outcome = place.run("realise", "lacking")

    check_error(outcome, 5, "lacking==1.0", "no_such_module")


def test_the_same_command_works_once_the_source_is_repaired(
    place: Place, offer: Offer
) -> None:
    offer("mended", quirk="crash")
    assert place.run("realise", "mended").code == 5

    offer("mended")
    outcome = place.run("realise", "--refresh", "mended")

    assert outcome.code == 0, outcome.err


def test_a_failure_while_versions_are_chosen_is_one_error(
    place: Place, offer: Offer
) -> None:
    offer("choice_top", dependencies=["choice-mid"])
    offer("choice_mid", requires=["choice-tool"], static=False)
    offer("choice_tool", requires=["choice-deep"], static=False)
    offer("choice_deep", static=False, quirk="crash")

    outcome = place.run("realise", "choice-top")

    check_error(outcome, 5, "choice-deep==1.0", "on purpose")
    assert "choice-mid==1.0: not built, since choice-tool==1.0 failed" in outcome.err


def test_what_is_not_touched_by_a_failure_while_versions_are_chosen_is_built(
    place: Place, offer: Offer
) -> None:
    offer("dynamic_bad", static=False, quirk="crash")
    offer("dynamic_good", static=False)

    outcome = place.run("realise", "--keep-going", "dynamic-bad", "dynamic-good")

    assert outcome.code == 5
    assert [path.name for path in outcome.paths] == [
        "dynamic_good-1.0-py3-none-any.whl"
    ]
    assert len(outcome.errors) == 1
    assert "1 built or reused, 1 failed" in outcome.err


def test_the_first_failure_stops_what_else_is_being_built(
    place: Place, offer: Offer
) -> None:
    offer("slow_one", quirk="hang")
    offer("quick_one", quirk="crash")

    outcome = place.run("realise", "--jobs", "2", "slow-one", "quick-one")

    check_error(outcome, 5, "quick-one==1.0", "on purpose")
    check_store(place)


def test_json_tells_failures_too(place: Place, offer: Offer) -> None:
    offer("told_good")
    offer("told_bad", quirk="crash")

    outcome = place.run("realise", "--json", "--keep-going", "told-good", "told-bad")

    assert outcome.code == 5
    assert [row["name"] for row in outcome.json["wheels"]] == ["told-good"]
    assert len(outcome.json["failures"]) == 1
    assert "told-bad==1.0" in outcome.json["failures"][0]


def test_a_failure_tells_why_the_package_is_needed(place: Place, offer: Offer) -> None:
    offer("wished", dependencies=["between-one"])
    offer("between-one", dependencies=["broken-leaf"])
    offer("broken-leaf", quirk="crash")

    outcome = place.run("realise", "wished")

    assert outcome.code == 5
    way = "wished==1.0 needs between-one==1.0 needs broken-leaf==1.0"
    assert way in outcome.err.splitlines()


def test_a_build_for_which_memory_does_not_suffice_is_done_on_disk(
    place: Place, offer: Offer
) -> None:
    offer("large", quirk="memory-full")

    outcome = place.run("realise", "large")

    assert outcome.code == 0, outcome.err
    assert "/.fromager/scratch/" in place.run("log", "large").out
    check_store(place)
