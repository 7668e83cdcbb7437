"""What holds for every resolution, on small random instances."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version

from fromager.derivations.resolution.candidate import Knowledge, ProjectReleases
from fromager.derivations.resolution.outcome import Impossible, Missing, Resolved
from fromager.derivations.resolution.resolver import Resolver, resolve
from support.resolution_oracle import closure, solutions
from support.scenarios import Scenario, read_scenario

if TYPE_CHECKING:
    from random import Random

    from fromager.derivations.resolution.candidate import Metadata

NAMES = ("a", "b", "c", "d")
FINALS = ("1", "2", "3")
OTHERS = ("2rc1", "2.5.dev1", "3+local")

few = settings(max_examples=60, deadline=None)


@st.composite
def instances(draw: st.DrawFn, *, plain: bool = False) -> Scenario:
    """A small index and a request; a plain one without anything withheld."""

    def requirement(extras: bool = True) -> str:
        name = draw(st.sampled_from(NAMES))
        operator = draw(st.sampled_from(("", "", "<", "<=", ">=", ">", "==", "!=")))
        version = draw(st.sampled_from(FINALS if plain else ("1", "2", "3", "2rc1")))
        extra = "[x]" if extras and draw(st.integers(0, 3)) == 0 else ""
        return name + extra + (operator and operator + version)

    def dependency() -> str:
        marker = draw(
            st.sampled_from(("", "", "", "; extra == 'x'", "; os_name == 'nt'"))
        )
        return requirement() + marker

    def release() -> dict[str, Any]:
        found: dict[str, Any] = {
            "requires": [dependency() for _ in range(draw(st.integers(0, 3)))],
            "extras": ["x"],
        }
        oddities: list[dict[str, Any]] = [
            {"python": ">=3.13"},
            {"wheel_only": True},
            {"metadata_python": ">=3.13"},
            {"problem": "has no metadata"},
        ]
        if not plain:
            oddities.append({"yanked": "broken"})
        if draw(st.integers(0, 7)) == 0:
            found |= draw(st.sampled_from(oddities))
        return found

    versions = FINALS if plain else (*FINALS, *OTHERS)
    index = {
        name: {
            version: release()
            for version in draw(st.lists(st.sampled_from(versions), max_size=4))
        }
        for name in NAMES
    }
    request: dict[str, Any] = {
        "requirements": [requirement() for _ in range(draw(st.integers(1, 3)))],
        "constraints": [requirement(False) for _ in range(draw(st.integers(0, 1)))],
        "prereleases": draw(st.sampled_from(("if-necessary", "if-necessary", "allow"))),
    }
    return read_scenario("random", {"index": index, "request": request, "expected": {}})


@few
@given(instances())
def test_an_answer_satisfies_every_requirement_and_holds_nothing_else(
    instance: Scenario,
) -> None:
    outcome = resolve(instance.request, instance.knowledge)

    if isinstance(outcome, Resolved):
        versions = {pin.name: pin.version for pin in outcome.pins}
        assert closure(versions, instance.request, instance.knowledge) == versions


@few
@given(instances(plain=True))
def test_a_refusal_means_that_no_set_of_versions_fits(instance: Scenario) -> None:
    outcome = resolve(instance.request, instance.knowledge)

    found = next(solutions(instance.request, instance.knowledge, strict=False), None)
    assert isinstance(outcome, Impossible) == (found is None)


@few
@given(instances())
def test_a_refusal_means_that_no_set_fits_where_each_requirement_allows_its_versions(
    instance: Scenario,
) -> None:
    outcome = resolve(instance.request, instance.knowledge)

    if isinstance(outcome, Impossible):
        fitting = solutions(instance.request, instance.knowledge, strict=True)
        assert next(fitting, None) is None


@few
@given(instances(), st.randoms(use_true_random=False))
def test_the_order_of_index_and_request_does_not_matter(
    instance: Scenario, random: Random
) -> None:
    request, knowledge = instance.request, instance.knowledge
    shuffled = Knowledge(
        {n: p and _shuffled(p, random) for n, p in knowledge.projects.items()},
        knowledge.metadata,
    )
    requirements = random.sample(request.requirements, len(request.requirements))

    outcome = resolve(replace(request, requirements=tuple(requirements)), shuffled)

    assert outcome == resolve(request, knowledge)


@few
@given(instances())
def test_learning_what_is_missing_ends_where_full_knowledge_does(
    instance: Scenario,
) -> None:
    everything = instance.knowledge
    projects: dict[str, ProjectReleases | None] = {}
    metadata: dict[tuple[str, Version], Metadata] = {}
    resolver = Resolver()

    outcome = resolver.resolve(instance.request, Knowledge(projects, metadata))
    while isinstance(outcome, Missing):
        assert outcome.projects or outcome.metadata
        assert not outcome.projects & projects.keys()
        assert not outcome.metadata & metadata.keys()
        projects |= {name: everything.projects[name] for name in outcome.projects}
        metadata |= {key: everything.metadata[key] for key in outcome.metadata}
        outcome = resolver.resolve(instance.request, Knowledge(projects, metadata))

    assert outcome == resolve(instance.request, everything)


@few
@given(instances(), st.randoms(use_true_random=False))
def test_what_becomes_known_first_does_not_matter(
    instance: Scenario, random: Random
) -> None:
    everything = instance.knowledge
    projects: dict[str, ProjectReleases | None] = {}
    metadata: dict[tuple[str, Version], Metadata] = {}
    resolver = Resolver()

    asked: set[tuple[str, Version | None]] = set()
    outcome = resolver.resolve(instance.request, Knowledge(projects, metadata))
    while isinstance(outcome, Missing):
        asked |= {(name, None) for name in outcome.projects} | outcome.metadata
        come = sorted(asked, key=str)
        for name, version in random.sample(come, random.randint(1, len(come))):
            if version is None:
                projects[name] = everything.projects[name]
            else:
                metadata[name, version] = everything.metadata[name, version]
            asked.discard((name, version))
        outcome = resolver.resolve(instance.request, Knowledge(projects, metadata))

    assert outcome == resolve(instance.request, everything)


@few
@given(instances())
def test_metadata_of_files_that_are_refused_is_never_asked_for(
    instance: Scenario,
) -> None:
    knowledge = Knowledge(instance.knowledge.projects, {})

    outcome = resolve(instance.request, knowledge)

    if isinstance(outcome, Missing):
        for name, version in outcome.metadata:
            project = knowledge.projects[name]
            assert project is not None
            [release] = [r for r in project.releases if r.version == version]
            assert not release.wheel_only
            assert release.requires_python is None


@few
@given(instances(plain=True), st.sampled_from(NAMES), st.sampled_from(FINALS))
def test_a_preference_never_decides_whether_there_is_an_answer(
    instance: Scenario, name: str, version: str
) -> None:
    preferring = replace(instance.request, preferences={name: (Version(version),)})

    outcome = resolve(preferring, instance.knowledge)

    assert type(outcome) is type(resolve(instance.request, instance.knowledge))


def _shuffled(project: ProjectReleases, random: Random) -> ProjectReleases:
    releases = random.sample(project.releases, len(project.releases))
    return ProjectReleases(project.name, tuple(releases))
