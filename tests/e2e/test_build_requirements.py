"""What builds need, and how they get it."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from support.projects import BACKEND
from support.store_check import check_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.command_line import Outcome, Place

    Offer = Callable[..., None]


def member(outcome: Outcome, name: str, path: str) -> str:
    with zipfile.ZipFile(outcome.wheel(name)["path"]) as wheel:
        return wheel.read(path).decode()


def test_a_build_finds_what_it_requires(place: Place, offer: Offer) -> None:
    offer("s_top", requires=["s-tool>=1"], imports=["s_tool"])
    offer("s_tool", "0.5")
    offer("s_tool", "1.5", value="the tool")

    outcome = place.realise("s-top")

    assert member(outcome, "s-top", "s_top/saw_s_tool.txt") == "the tool"
    assert [row["name"] for row in outcome.json["wheels"]] == ["s-top"]


def test_a_build_finds_what_its_backend_asks_for(place: Place, offer: Offer) -> None:
    offer("a_top", asks=["a-tool"], imports=["a_tool"])
    offer("a_tool", value="asked for")

    outcome = place.realise("a-top")

    assert member(outcome, "a-top", "a_top/saw_a_tool.txt") == "asked for"
    # One for the tool; one that asks, and one that builds.
    assert outcome.builds == 3


def test_an_answer_that_repeats_what_is_known_costs_no_process(
    place: Place, offer: Offer
) -> None:
    offer("p_top", requires=["p-tool"], asks=["p-tool"], imports=["p_tool"])
    offer("p_tool")

    outcome = place.realise("p-top")

    assert outcome.builds == 2


def test_what_a_tool_needs_at_run_time_is_there_too(place: Place, offer: Offer) -> None:
    offer("r_top", requires=["r-tool"], imports=["r_tool", "r_part"])
    offer("r_tool", dependencies=["r-part"])
    offer("r_part", value="a part")

    outcome = place.realise("r-top")

    assert member(outcome, "r-top", "r_top/saw_r_part.txt") == "a part"


def test_a_backend_may_come_from_another_package(place: Place, offer: Offer) -> None:
    offer("b_top", requires=["b-tool"], backend="b_tool.hooks")
    offer("b_tool", offers="hooks")

    outcome = place.realise("b-top")

    assert outcome.wheel("b-top")["version"] == "1.0"


def test_tools_are_built_with_tools(place: Place, offer: Offer) -> None:
    offer("c_top", requires=["c-tool"], imports=["c_tool"])
    offer("c_tool", requires=["c-deep"], imports=["c_deep"])
    offer("c_deep", requires=["c-deepest"], imports=["c_deepest"])
    offer("c_deepest")

    outcome = place.realise("c-top")

    assert outcome.built == [
        f"{name}==1.0" for name in ("c-deep", "c-deepest", "c-tool", "c-top")
    ]


def test_extras_of_build_requirements_are_there_too(place: Place, offer: Offer) -> None:
    offer("e_top", requires=["e-tool[fast]"], imports=["e_tool", "e_engine"])
    offer("e_tool", dependencies=['e-engine; extra == "fast"'], extras=["fast"])
    offer("e_engine", value="fast")

    outcome = place.realise("e-top")

    assert member(outcome, "e-top", "e_top/saw_e_engine.txt") == "fast"


def test_the_run_time_version_of_a_tool_may_differ_from_that_of_a_build(
    place: Place, offer: Offer
) -> None:
    offer(
        "v_top", dependencies=["v-both==2.0"], requires=["v-both<2"], imports=["v_both"]
    )
    offer("v_both", "1.0")
    offer("v_both", "2.0")

    outcome = place.realise("v-top")

    assert member(outcome, "v-top", "v_top/saw_v_both.txt") == "1.0"
    assert outcome.wheel("v-both")["version"] == "2.0"


def test_a_cycle_is_an_error_that_names_all_on_it(place: Place, offer: Offer) -> None:
    offer("hen", requires=["egg"])
    offer("egg", requires=["hen"])

    outcome = place.run("realise", "hen")

    check_error(outcome, 5, r"hen==1\.0", r"egg==1\.0", "hint: .*--build-constraint")


def test_a_build_constraint_breaks_a_cycle(place: Place, offer: Offer) -> None:
    offer("chicken", "2.0", requires=["ovum"])
    offer("ovum", "1.0", requires=["chicken"])
    offer("chicken", "1.0")
    (place.folder / "b.txt").write_text("chicken<2\n")

    outcome = place.run("realise", "chicken==2.0", "-b", "b.txt")

    assert outcome.code == 0, outcome.err
    assert outcome.built == ["chicken==1.0", "chicken==2.0", "ovum==1.0"]


def test_a_project_that_needs_itself_is_a_cycle(place: Place, offer: Offer) -> None:
    offer("ouroboros", requires=["ouroboros"])

    check_error(place.run("realise", "ouroboros"), 5, "ouroboros==1.0 needs ouroboros")


def test_markers_of_build_requirements_are_obeyed(place: Place, offer: Offer) -> None:
    offer(
        "m_top",
        requires=['absent; sys_platform == "win32"'],
        asks=['absent; python_version < "3"'],
    )

    assert place.realise("m-top").built == ["m-top==1.0"]


def test_a_project_that_names_no_build_system_is_built_by_setuptools(
    place: Place, offer: Offer
) -> None:
    legacy = f"{BACKEND}\n__legacy__ = sys.modules[__name__]\n"
    offer("setuptools", "80.0", more={"setuptools/build_meta.py": legacy})
    offer("old_style", more={"pyproject.toml": ""})

    outcome = place.realise("old-style")

    assert outcome.built == ["old-style==1.0", "setuptools==80.0"]
