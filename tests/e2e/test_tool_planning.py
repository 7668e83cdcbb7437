"""Which versions things are built with: what is installed, and few of each tool."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from support.store_check import check_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.command_line import Outcome, Place

    Offer = Callable[..., None]


def saw(outcome: Outcome, name: str, tool: str) -> str:
    """The version of a tool that a package saw while it was built."""
    module = name.replace("-", "_")
    with zipfile.ZipFile(outcome.wheel(name)["path"]) as wheel:
        return wheel.read(f"{module}/saw_{tool}.txt").decode()


@pytest.fixture
def array(offer: Offer) -> None:
    """A project that is installed and built with, in two versions."""
    for version in ("1.0", "2.0"):
        offer("t_array", version, value=version)


@pytest.mark.usefixtures("array")
def test_what_is_installed_is_built_with(fresh: Place, offer: Offer) -> None:
    offer("t_fast", requires=["t-array"], imports=["t_array"])

    outcome = fresh.realise("t-fast", "t-array<2")

    assert saw(outcome, "t-fast", "t_array") == "1.0"
    assert outcome.built == ["t-array==1.0", "t-fast==1.0"]


@pytest.mark.usefixtures("array")
def test_what_is_installed_is_built_with_if_only_a_backend_asks_for_it(
    place: Place, offer: Offer
) -> None:
    offer("t_asks", asks=["t-array"], imports=["t_array"])

    outcome = place.realise("t-asks", "t-array<2")

    assert saw(outcome, "t-asks", "t_array") == "1.0"


@pytest.mark.usefixtures("array")
def test_another_version_is_built_with_if_requirements_demand_it(
    place: Place, offer: Offer
) -> None:
    offer("t_picky", requires=["t-array>1"], imports=["t_array"])

    outcome = place.realise("t-picky", "t-array<2")

    assert saw(outcome, "t-picky", "t_array") == "2.0"


@pytest.mark.usefixtures("array")
def test_a_setting_forbids_to_match_what_is_installed(
    place: Place, offer: Offer
) -> None:
    offer("t_free", requires=["t-array"], imports=["t_array"])
    settings = '[package."*"]\nmatch-runtime = { "*" = "never" }\n'
    (place.folder / "fromager.toml").write_text(settings)

    outcome = place.realise("t-free", "t-array<2")

    assert saw(outcome, "t-free", "t_array") == "2.0"


@pytest.mark.usefixtures("array")
def test_a_setting_demands_to_match_what_is_installed(
    place: Place, offer: Offer
) -> None:
    offer("t_strict", requires=["t-array>1"], imports=["t_array"])
    settings = '[package.t-strict]\nmatch-runtime.t-array = "require"\n'
    (place.folder / "fromager.toml").write_text(settings)

    outcome = place.run("realise", "t-strict", "t-array<2")

    check_error(
        outcome,
        4,
        r"build of t-strict==1\.0 requires t-array>1",
        r"match-runtime \(.*fromager\.toml:2\) limits versions to t-array==1\.0",
    )
    assert outcome.built == []


@pytest.mark.usefixtures("array")
def test_a_tool_is_used_in_the_version_that_another_package_must_have(
    fresh: Place, offer: Offer
) -> None:
    offer("t_new", requires=["t-array"], imports=["t_array"])
    offer("t_old", requires=["t-array<2"], imports=["t_array"])

    outcome = fresh.realise("t-new", "t-old")

    assert saw(outcome, "t-new", "t_array") == "1.0"
    assert outcome.built == ["t-array==1.0", "t-new==1.0", "t-old==1.0"]


@pytest.mark.usefixtures("array")
def test_what_is_built_to_be_asked_is_built_with_the_tools_of_all_that_is_named(
    fresh: Place, offer: Offer
) -> None:
    offer("t_dynamic", requires=["t-array"], imports=["t_array"], static=False)
    offer("t_bound", requires=["t-array<2"], imports=["t_array"])

    outcome = fresh.realise("t-dynamic==1.0", "t-bound==1.0")

    assert saw(outcome, "t-dynamic", "t_array") == "1.0"
    assert outcome.built == ["t-array==1.0", "t-bound==1.0", "t-dynamic==1.0"]


def test_tools_of_tools_count_too(place: Place, offer: Offer) -> None:
    offer("t_deep", "1.0", value="1.0")
    offer("t_deep", "2.0", value="2.0")
    offer("t_tool", requires=["t-deep<2"])
    offer("t_user", requires=["t-tool", "t-deep"], imports=["t_deep"])

    outcome = place.realise("t-user")

    assert saw(outcome, "t-user", "t_deep") == "1.0"
    assert outcome.built == ["t-deep==1.0", "t-tool==1.0", "t-user==1.0"]


def test_a_cycle_that_only_shared_versions_would_make_is_avoided(
    place: Place, offer: Offer
) -> None:
    # Built with the newest hen, which needs no egg, there is no cycle.
    offer("t_hen", "1.0", requires=["t-egg"])
    offer("t_hen", "2.0")
    offer("t_egg", requires=["t-hen"])

    outcome = place.realise("t-hen==1.0")

    assert outcome.built == ["t-egg==1.0", "t-hen==1.0", "t-hen==2.0"]


@pytest.mark.usefixtures("array")
def test_neither_the_order_nor_the_number_of_jobs_changes_a_key(
    place: Place, fresh: Place, offer: Offer
) -> None:
    for name, limit in (("t_a", ""), ("t_b", "<2"), ("t_c", ">1"), ("t_d", "")):
        offer(name, requires=[f"t-array{limit}"], asks=["t-late"], imports=["t_array"])
    offer("t_late", "1.0", requires=["t-array<2"])
    names = ["t-a", "t-b", "t-c", "t-d"]

    one = place.realise("--jobs", "1", *names)
    other = fresh.realise("--jobs", "4", *reversed(names))

    keys = [
        {row["name"]: row["key"] for row in each.json["wheels"]}
        for each in (one, other)
    ]
    assert keys[0] == keys[1]
    assert [saw(one, name, "t_array") for name in names] == ["2.0", "1.0", "2.0", "2.0"]
