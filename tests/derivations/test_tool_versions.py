"""Versions for many build environments, against an oracle that tries all there are."""

from __future__ import annotations

import json
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version

from fromager.derivations.resolution.candidate import Knowledge
from fromager.derivations.resolution.outcome import Missing, Resolved
from fromager.derivations.resolution.resolver import resolve
from fromager.derivations.resolution.tools import (
    ToolChoice,
    ToolChooser,
    ToolRequest,
)
from support.resolution_oracle import closure, solutions
from support.scenarios import SCENARIOS, read_index, read_request

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

    from fromager.derivations.resolution.candidate import Metadata, ProjectReleases
    from fromager.derivations.resolution.outcome import Outcome
    from fromager.derivations.resolution.request import Request

    Wanted = dict[str, ToolRequest]

few = settings(max_examples=60, deadline=None)
ALL = sorted((SCENARIOS.parent / "tool_scenarios").glob("*.json"))
NAMES = ("t", "u", "v")
VERSIONS = ("1", "2", "3", "4")


def wanted(**environments: list[str]) -> Wanted:
    return {
        subject: ToolRequest(read_request({"requirements": requirements}))
        for subject, requirements in environments.items()
    }


def choose(
    asked: Wanted, knowledge: Knowledge, apart: frozenset[str] = frozenset()
) -> ToolChoice:
    chooser = ToolChooser(lambda request: resolve(request, knowledge))
    choice = chooser.choose(asked, apart)
    assert isinstance(choice, ToolChoice)
    return choice


def shown(choice: ToolChoice) -> dict[str, dict[str, str]]:
    return {
        subject: {name: str(version) for name, version in versions.items()}
        for subject, versions in choice.versions.items()
    }


def count(found: ToolChoice) -> int:
    return len({item for held in found.versions.values() for item in held.items()})


def tools(*versions: str, **requires: list[str]) -> Knowledge:
    index: dict[str, Any] = {"t": {v: {} for v in versions}, "u": {"1": {}}}
    for release, needs in requires.items():
        name, version = release.split("_")
        index.setdefault(name, {})[version] = {"requires": needs}
    return read_index(index)


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_the_scenario_comes_out_as_expected(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    known = {"about", "index", "builds", "installed", "constraints", "before", "apart"}
    assert set(content) <= known | {"expected"}
    kept = content.get("before", {})
    asked = {}
    for subject, requirements in content["builds"].items():
        request = read_request(
            {
                "requirements": requirements,
                "constraints": content.get("constraints", ()),
                "preferences": kept.get(subject, {}),
            }
        )
        asked[subject] = ToolRequest(
            request,
            versions_of(content.get("installed", {})),
            versions_of(kept.get(subject, {})),
        )

    choice = choose(
        asked, read_index(content["index"]), frozenset(content.get("apart", ()))
    )

    assert shown(choice) == content["expected"]


def versions_of(texts: dict[str, str]) -> dict[str, Version]:
    return {name: Version(text) for name, text in texts.items()}


def test_who_may_have_any_version_takes_the_one_that_others_must_have() -> None:
    knowledge = tools(*VERSIONS)

    choice = choose(wanted(a=["t"], b=["t<3"], c=["t>=2"]), knowledge)

    assert shown(choice) == {subject: {"t": "2"} for subject in "abc"}
    assert choice.ranked == {"t": (Version("2"),)}


def test_a_second_version_is_for_those_only_that_cannot_have_the_first() -> None:
    knowledge = tools(*VERSIONS)

    choice = choose(wanted(a=["t>3"], b=["t<3"], c=["t"], d=["t<2"]), knowledge)

    held = {subject: versions["t"] for subject, versions in shown(choice).items()}
    assert held == {"a": "4", "b": "1", "c": "4", "d": "1"}


def test_where_nothing_differs_all_are_the_newest() -> None:
    choice = choose(wanted(a=["t"], b=["t>=2", "u"]), tools(*VERSIONS))

    assert shown(choice) == {"a": {"t": "4"}, "b": {"t": "4", "u": "1"}}


def test_what_is_installed_is_matched_where_requirements_allow_it() -> None:
    knowledge = tools(*VERSIONS)
    request = {name: each.request for name, each in wanted(a=["t"], b=["t>2"]).items()}
    installed = {"t": Version("2"), "elsewhere": Version("9")}

    asked = {name: ToolRequest(each, installed) for name, each in request.items()}

    assert shown(choose(asked, knowledge)) == {"a": {"t": "2"}, "b": {"t": "4"}}


def test_an_older_tool_is_used_if_only_that_allows_what_is_installed() -> None:
    knowledge = tools("1", "2", u_2=["t>=2"], u_1=["t"])
    [request] = [each.request for each in wanted(a=["u", "t"]).values()]

    choice = choose({"a": ToolRequest(request, {"t": Version("1")})}, knowledge)

    assert shown(choice) == {"a": {"t": "1", "u": "1"}}


def test_who_stands_apart_has_the_newest() -> None:
    asked = wanted(a=["t"], b=["t<3"])

    choice = choose(asked, tools(*VERSIONS), frozenset("a"))

    assert shown(choice) == {"a": {"t": "4"}, "b": {"t": "2"}}


def test_what_an_environment_held_stays_as_long_as_it_is_its_answer() -> None:
    knowledge, kept = tools(*VERSIONS), {"t": Version("3")}
    request = {name: each.request for name, each in wanted(a=["t"], b=["t<3"]).items()}
    held = request["a"].preferring(kept)

    choice = choose(
        {"a": ToolRequest(held, before=kept), "b": ToolRequest(request["b"])}, knowledge
    )

    assert shown(choice) == {"a": {"t": "3"}, "b": {"t": "2"}}


def test_an_environment_without_an_answer_is_left_out() -> None:
    choice = choose(wanted(a=["t>4"], b=["t"]), tools(*VERSIONS))

    assert shown(choice) == {"b": {"t": "4"}}


@st.composite
def instances(
    draw: st.DrawFn, *, ranges: bool = False
) -> tuple[dict[str, list[str]], Knowledge]:
    """A few environments and an index; with `ranges` one tool, and ranges of it."""

    def requirement() -> str:
        if ranges:
            low, high = sorted(draw(st.sampled_from(VERSIONS)) for _ in range(2))
            return f"t>={low},<={high}"
        operator = draw(st.sampled_from(("", "", "<", ">", "==", "!=")))
        version = draw(st.sampled_from(VERSIONS))
        return draw(st.sampled_from(NAMES)) + (operator and operator + version)

    most = 1 if ranges else 2
    index: dict[str, dict[str, dict[str, Any]]] = {
        name: {
            version: {
                "requires": [] if ranges or draw(st.integers(0, 3)) else [requirement()]
            }
            for version in VERSIONS[: 4 if name == "t" else 2]
        }
        for name in NAMES
    }
    environments = {
        subject: [requirement() for _ in range(draw(st.integers(1, most)))]
        for subject in "abcd"[: draw(st.integers(2, 4))]
    }
    return environments, read_index(index)


Instance = tuple[dict[str, list[str]], Knowledge]


@few
@given(instances())
def test_every_environment_has_all_that_it_must_have_and_nothing_else(
    instance: Instance,
) -> None:
    environments, knowledge = instance
    asked = wanted(**environments)

    choice = choose(asked, knowledge)

    for subject, each in asked.items():
        held = choice.versions.get(subject)
        if held is None:
            found = solutions(each.request, knowledge, strict=False)
            assert next(found, None) is None
        else:
            assert closure(dict(held), each.request, knowledge) == held


@few
@given(instances())
def test_where_one_version_of_each_tool_is_possible_there_is_one(
    instance: Instance,
) -> None:
    environments, knowledge = instance
    asked = wanted(**environments)

    choice = choose(asked, knowledge)

    possible = [asked[s].request for s in choice.versions]
    if any(_fits_all(versions, possible, knowledge) for versions in _all(knowledge)):
        assert all(len(found) == 1 for found in choice.ranked.values())


@few
@given(instances(ranges=True))
def test_of_a_single_tool_there_are_as_few_versions_as_possible(
    instance: Instance,
) -> None:
    environments, knowledge = instance
    asked = wanted(**environments)

    choice = choose(asked, knowledge)

    found = [
        list(solutions(a.request, knowledge, strict=False)) for a in asked.values()
    ]
    least = min(len({each["t"] for each in one}) for one in product(*found))
    assert count(choice) == least


@few
@given(instances())
def test_there_are_never_more_versions_than_of_the_newest(instance: Instance) -> None:
    environments, knowledge = instance
    asked = wanted(**environments)

    choice = choose(asked, knowledge)

    outcomes = [resolve(each.request, knowledge) for each in asked.values()]
    newest = {
        (pin.name, pin.version)
        for outcome in outcomes
        if isinstance(outcome, Resolved)
        for pin in outcome.pins
    }
    assert count(choice) <= len(newest)


@few
@given(instances(), st.randoms(use_true_random=False))
def test_the_order_of_environments_and_requirements_does_not_matter(
    instance: Instance, random: Random
) -> None:
    environments, knowledge = instance
    shuffled = {
        subject: random.sample(environments[subject], len(environments[subject]))
        for subject in random.sample(list(environments), len(environments))
    }

    choice = choose(wanted(**shuffled), knowledge)

    assert choice == choose(wanted(**environments), knowledge)


@few
@given(instances())
def test_learning_what_is_missing_ends_where_full_knowledge_does(
    instance: Instance,
) -> None:
    environments, everything = instance
    projects: dict[str, ProjectReleases | None] = {}
    metadata: dict[tuple[str, Version], Metadata] = {}

    def known(request: Request) -> Outcome:
        return resolve(request, Knowledge(projects, metadata))

    chooser, asked = ToolChooser(known), wanted(**environments)
    choice = chooser.choose(asked)
    while isinstance(choice, Missing):
        projects |= {name: everything.projects[name] for name in choice.projects}
        metadata |= {key: everything.metadata[key] for key in choice.metadata}
        choice = chooser.choose(asked)

    assert choice == choose(asked, everything)


def _all(knowledge: Knowledge) -> list[dict[str, Version]]:
    return [
        dict(zip(NAMES, map(Version, versions), strict=True))
        for versions in product(VERSIONS, VERSIONS[:2], VERSIONS[:2])
    ]


def _fits_all(
    versions: dict[str, Version], requests: list[Request], knowledge: Knowledge
) -> bool:
    return all(closure(versions, each, knowledge) is not None for each in requests)
