"""Named roots: generations are made, changed and deleted, whole or not at all."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from fromager.store import (
    InvalidName,
    InvalidRecord,
    LocalStore,
    Member,
    ObjectMissing,
    RootMissing,
    StorePath,
    blob_digest,
    open_store,
)
from support.garbage import add, key
from support.processes import Killer, at_once, fork, wait

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def state(store: LocalStore, name: str) -> list[tuple[int, list[str], bool]]:
    return [
        (each.number, [member.label for member in each.members], each.current)
        for each in store.generations().of(name)
    ]


def hold(store: LocalStore, name: str, *labels: str) -> int:
    members = [Member(label, add(store, label).path, key(label)) for label in labels]
    return store.add_generation(name, members).number


def test_each_change_is_a_generation_and_the_last_is_current(store: LocalStore) -> None:
    assert hold(store, "r", "a", "b") == 1
    assert hold(store, "r", "b", "a", "a") == 1
    assert hold(store, "r", "b") == 2
    assert hold(store, "other", "b") == 1

    assert state(store, "r") == [(1, ["a", "b"], False), (2, ["b"], True)]
    assert store.generations().names() == ("other", "r")
    (first, _) = store.generations().of("r")
    assert first.members[0] == Member("a", add(store, "a").path, key("a"))
    assert first.created == 1_800_000_000


def test_going_back_and_on_again(store: LocalStore) -> None:
    for label in "abc":
        hold(store, "r", label)
    roots = store.generations()

    assert roots.switch("r").number == 2
    assert roots.switch("r").number == 1
    with pytest.raises(RootMissing, match="before generation 1"):
        roots.switch("r")
    with pytest.raises(RootMissing, match="no generation 4 of root r"):
        roots.switch("r", 4)
    assert roots.switch("r", 3).current
    roots.switch("r", 1)

    # The next one has a new number, whichever is current.
    assert hold(store, "r", "a") == 1
    assert hold(store, "r", "d") == 4
    assert [row[2] for row in state(store, "r")] == [False, False, False, True]


def test_deleting_makes_the_newest_that_is_left_current(store: LocalStore) -> None:
    for label in "abcd":
        hold(store, "r", label)
    roots = store.generations()

    with pytest.raises(RootMissing, match="generation 9"):
        roots.delete("r", [1, 9])
    assert roots.delete("r", [4, 2, 2]) == (2, 4)
    assert [(row[0], row[2]) for row in state(store, "r")] == [(1, False), (3, True)]
    assert roots.expire("r", [1, 3, 7]) == (1,)
    assert roots.delete("r") == (3,)

    for act in (roots.of, roots.delete, roots.switch):
        with pytest.raises(RootMissing, match="no root r"):
            act("r")
    assert roots.names() == ()


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a\n", "x" * 300])
def test_some_names_cannot_be(store: LocalStore, name: str) -> None:
    with pytest.raises(InvalidName):
        hold(store, name, "a")


def test_only_what_is_there_can_be_held(store: LocalStore) -> None:
    missing = StorePath.of(blob_digest(b""), "missing")

    with pytest.raises(ObjectMissing):
        store.add_generation("r", [Member("x", missing)])

    assert store.generations().names() == ()


def test_a_damaged_generation_is_told(store: LocalStore) -> None:
    hold(store, "r", "a")
    (store.root / ".fromager/roots/generations/r/1.json").write_text("{")

    with pytest.raises(InvalidRecord, match="generation 1 of r"):
        store.generations().all()
    # It can be deleted nevertheless.
    assert store.generations().delete("r") == (1,)


def test_a_root_without_the_word_which_is_current_has_its_newest(
    store: LocalStore,
) -> None:
    for label in "ab":
        hold(store, "r", label)
    (store.root / ".fromager/roots/generations/r/current").unlink()

    assert [row[2] for row in state(store, "r")] == [False, True]


def test_many_at_once_each_get_a_number(tmp_path: Path) -> None:
    def work(number: int) -> None:
        with open_store(tmp_path / "store") as store:
            for turn in range(3):
                hold(store, "r", f"by{number}-{turn}")

    assert at_once(4, work) == [0] * 4

    with open_store(tmp_path / "store") as store:
        found = state(store, "r")
    assert [row[0] for row in found] == list(range(1, 13))
    assert len({row[1][0] for row in found}) == 12
    assert [row[2] for row in found] == [False] * 11 + [True]


@pytest.mark.parametrize(
    "act",
    [
        lambda store: hold(store, "r", "new"),
        lambda store: store.generations().switch("r", 1),
        lambda store: store.generations().delete("r", [2]),
        lambda store: store.generations().delete("r"),
    ],
)
def test_a_kill_leaves_the_root_as_before_or_as_after(
    tmp_path: Path, act: Callable[[LocalStore], object]
) -> None:
    at = 0
    while True:
        at += 1
        place = tmp_path / f"store-{at}"
        with open_store(place) as store:
            for label in "ab":
                hold(store, "r", label)
            add(store, "new")

        def die(place: Path = place, at: int = at) -> None:
            with open_store(place, effect=Killer(at)) as store:
                act(store)

        if wait(fork(die)) != -signal.SIGKILL:
            break
        with open_store(place) as store:
            there = "r" in store.generations().names()
            found = state(store, "r") if there else []
            assert len([row for row in found if row[2]]) == there
            last = max((row[0] for row in found), default=0)
            assert hold(store, "r", "next") > last
    assert at > 1
