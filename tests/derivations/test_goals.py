"""Goals that wait for each other are seen to close a cycle before they can hang."""

from __future__ import annotations

from fromager.derivations import WaitGraph


def test_a_chain_is_no_cycle() -> None:
    waits: WaitGraph[str] = WaitGraph()

    assert waits.begin("a", "b") is None
    assert waits.begin("b", "c") is None
    assert waits.begin("a", "c") is None


def test_a_goal_that_needs_itself_is_a_cycle() -> None:
    waits: WaitGraph[str] = WaitGraph()

    assert waits.begin("a", "a") == ("a",)


def test_a_cycle_is_given_from_the_waiter_round() -> None:
    waits: WaitGraph[str] = WaitGraph()
    waits.begin("a", "b")
    waits.begin("b", "c")

    assert waits.begin("c", "a") == ("c", "a", "b")


def test_what_has_ended_is_forgotten() -> None:
    waits: WaitGraph[str] = WaitGraph()
    waits.begin("a", "b")
    waits.end("a", "b")

    assert waits.begin("b", "a") is None


def test_a_goal_may_wait_twice_for_the_same() -> None:
    waits: WaitGraph[str] = WaitGraph()
    waits.begin("a", "b")
    waits.begin("a", "b")
    waits.end("a", "b")

    assert waits.begin("b", "a") == ("b", "a")


def test_the_weight_of_a_goal_counts_all_who_wait_for_it_each_once() -> None:
    waits: WaitGraph[str] = WaitGraph()
    waits.begin("a", "b")
    waits.begin("b", "c")
    waits.begin("a", "c")
    waits.begin("d", "c")

    assert [waits.weight(goal) for goal in "abcd"] == [0, 1, 3, 0]
