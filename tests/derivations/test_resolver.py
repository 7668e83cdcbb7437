from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from packaging.version import Version

from fromager.derivations.errors import InputError
from fromager.derivations.resolution.candidate import Knowledge
from fromager.derivations.resolution.outcome import Cause, Impossible, Missing, Resolved
from fromager.derivations.resolution.resolver import Resolver, resolve
from support.scenarios import SCENARIOS, load_scenario, read_scenario

if TYPE_CHECKING:
    from pathlib import Path

    from fromager.derivations.resolution.candidate import Metadata, ProjectReleases
    from fromager.derivations.resolution.outcome import Outcome
    from support.scenarios import Scenario

ALL = sorted(SCENARIOS.glob("*.json"))


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_the_scenario_comes_out_as_expected(path: Path) -> None:
    scenario = load_scenario(path)

    try:
        found = described(resolve(scenario.request, scenario.knowledge))
    except InputError as error:
        found = {"invalid": str(error), "hint": error.hint}

    assert found == scenario.expected


def test_a_pin_names_its_release_its_extras_and_what_it_needs() -> None:
    scenario = read(
        {
            "a": {"1": {"requires": ["c", "b; extra == 'x'", "a[y]"], "extras": ["x"]}},
            "b": {"1": {"files": [{"name": "b-1.zip"}, {"name": "b-1.tar.gz"}]}},
            "c": {"1": {}},
        },
        ["a[x]"],
    )

    outcome = resolve(scenario.request, scenario.knowledge)

    assert isinstance(outcome, Resolved)
    a, b, _ = outcome.pins
    assert (a.extras, a.dependencies) == (("x", "y"), ("b", "c"))
    assert b.release.filename == "b-1.tar.gz"
    assert outcome.warnings == ("a 1 has no extra 'y'",)


def test_one_round_asks_for_all_projects_of_one_depth() -> None:
    index = {f"p{n}": {"1": {"requires": ["q", "r"]}} for n in range(20)}
    scenario = read({**index, "q": {"1": {}}, "r": {"1": {}}}, list(index))
    metadata = {k: m for k, m in scenario.knowledge.metadata.items() if k[0] != "q"}

    outcomes = [
        resolve(scenario.request, Knowledge({}, {})),
        resolve(scenario.request, Knowledge(scenario.knowledge.projects, {})),
        resolve(scenario.request, Knowledge(scenario.knowledge.projects, metadata)),
    ]

    assert outcomes == [
        Missing(frozenset(index), frozenset()),
        Missing(frozenset(), frozenset((name, Version("1")) for name in index)),
        Missing(frozenset(), frozenset({("q", Version("1"))})),
    ]


def test_metadata_that_changed_is_seen_by_the_same_resolver() -> None:
    before = read({"a": {"1": {"requires": ["b"]}}, "b": {"1": {}}}, ["a"])
    after = read({"a": {"1": {}}, "b": {"1": {}}}, ["a"])
    resolver = Resolver()
    resolver.resolve(before.request, before.knowledge)

    outcome = resolver.resolve(after.request, after.knowledge)

    assert described(outcome) == {"pins": {"a": "1"}}


def test_projects_that_changed_are_seen_by_the_same_resolver() -> None:
    before = read({"a": {"1": {}}}, ["a"])
    after = read({"a": {"1": {}, "2": {}}}, ["a"])
    resolver = Resolver()
    resolver.resolve(before.request, before.knowledge)

    outcome = resolver.resolve(after.request, after.knowledge)

    assert described(outcome) == {"pins": {"a": "2"}}


def test_the_causes_of_a_refusal_are_the_requirements_in_conflict() -> None:
    scenario = read({"a": {"1": {"requires": ["b<2"]}}, "b": {"2": {}}}, ["a", "c"])

    outcome = resolve(scenario.request, scenario.knowledge)

    assert isinstance(outcome, Impossible)
    assert outcome.causes == (Cause("c", "command line"),)


def test_a_url_is_never_repeated_in_a_message() -> None:
    scenario = read({}, ["a @ https://user:secret@files.example/a-1.tar.gz"])

    with pytest.raises(InputError) as error:
        resolve(scenario.request, scenario.knowledge)

    assert "secret" not in str(error.value)


def test_a_long_chain_of_dependencies_is_followed_to_its_end() -> None:
    index = {f"p{n}": {"1": {"requires": [f"p{n + 1}"]}} for n in range(400)}
    scenario = read({**index, "p400": {"1": {}}}, ["p0"])

    outcome = resolve(scenario.request, scenario.knowledge)

    assert isinstance(outcome, Resolved)
    assert len(outcome.pins) == 401


def read(index: dict[str, Any], requirements: list[str]) -> Scenario:
    request = {"requirements": requirements}
    return read_scenario("", {"index": index, "request": request, "expected": {}})


def described(outcome: Outcome) -> dict[str, Any]:
    """An outcome in the form that scenarios have it in."""
    match outcome:
        case Resolved(pins, warnings):
            found: dict[str, Any] = {"pins": {}}
            for pin in pins:
                extras = f"[{','.join(pin.extras)}]" if pin.extras else ""
                found["pins"][pin.name + extras] = str(pin.version)
            return found | ({"warnings": list(warnings)} if warnings else {})
        case Impossible(message, hint):
            return {"refused": message.splitlines(), "hint": hint}
        case Missing(projects, metadata):
            return {"missing": [*sorted(projects), *sorted(metadata)]}


def test_where_many_versions_do_not_fit_several_are_asked_for_at_once() -> None:
    names, count = ("deep", "middle", "base"), 50
    scenario = read(
        {
            name: {
                str(n): {"requires": [f"{needed}=={n}"] if needed else []}
                for n in range(1, count + 1)
            }
            for name, needed in zip(names, (*names[1:], ""), strict=True)
        },
        ["deep", "base<2"],
    )
    projects: dict[str, ProjectReleases | None] = {}
    metadata: dict[tuple[str, Version], Metadata] = {}
    rounds = 0

    outcome = resolve(scenario.request, Knowledge(projects, metadata))
    while isinstance(outcome, Missing):
        rounds += 1
        projects |= {n: scenario.knowledge.projects[n] for n in outcome.projects}
        metadata |= {key: scenario.knowledge.metadata[key] for key in outcome.metadata}
        outcome = resolve(scenario.request, Knowledge(projects, metadata))

    assert described(outcome) == {"pins": dict.fromkeys(names[::-1], "1")}
    assert rounds < count / 2
    assert len(metadata) <= 2 * count + 1
