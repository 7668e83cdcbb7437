"""What releases need at run time, where their sources do not say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.projects import TELLING_BACKEND
from support.store_check import check_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.command_line import Place

    Offer = Callable[..., None]

TELLS = {"static": False, "more": {"tiny_backend.py": TELLING_BACKEND}}


def test_backends_are_asked_before_versions_are_settled_and_nothing_is_built(
    fresh: Place, offer: Offer
) -> None:
    offer("m_asked", "1.0", **TELLS)
    offer("m_asked", "2.0", dependencies=["m-absent"], quirk="crash", **TELLS)

    outcome = fresh.realise("m-asked")

    assert outcome.built == ["m-asked==1.0"]


def test_a_backend_that_does_not_tell_has_its_wheel_built(
    fresh: Place, offer: Offer
) -> None:
    offer("m_silent", static=False, dependencies=["m-part"])
    offer("m_part")

    outcome = fresh.realise("m-silent")

    assert outcome.built == ["m-part==1.0", "m-silent==1.0"]
    assert "failed" not in outcome.err


def test_tools_are_asked_too(fresh: Place, offer: Offer) -> None:
    offer("m_top", requires=["m-tool"], imports=["m_tool", "m_engine"])
    offer("m_tool", "1.0", dependencies=["m-engine"], **TELLS)
    offer("m_tool", "2.0", dependencies=["m-absent"], quirk="crash", **TELLS)
    offer("m_engine")

    outcome = fresh.realise("m-top")

    assert outcome.built == ["m-engine==1.0", "m-tool==1.0", "m-top==1.0"]


def test_a_wheel_that_needs_more_than_its_backend_said_is_believed(
    fresh: Place, offer: Offer
) -> None:
    offer("m_liar", dependencies=["m-late"], quirk="lies", **TELLS)
    offer("m_late")

    outcome = fresh.realise("m-liar>=1")

    assert outcome.built == ["m-late==1.0", "m-liar==1.0"]
    assert (
        "m-liar==1.0: its wheel needs m-late, where its source promised nothing"
        in outcome.err
    )


def test_a_tool_that_needs_more_than_its_backend_said_is_believed(
    fresh: Place, offer: Offer
) -> None:
    offer("m_fib", dependencies=["m-truth"], quirk="lies", **TELLS)
    offer("m_truth")
    offer("m_first", requires=["m-fib"])

    outcome = fresh.realise("m-first")

    # What was built with it before is built again, with what it needs.
    assert outcome.built == ["m-fib==1.0", *["m-first==1.0"] * 2, "m-truth==1.0"]


def test_a_backend_that_cannot_tell_fails_as_a_build(
    place: Place, offer: Offer
) -> None:
    offer("m_broken", quirk="requires-crash", **TELLS)

    outcome = place.run("realise", "m-broken")

    check_error(outcome, 5, r"m-broken==1\.0", "does not know what it needs")
