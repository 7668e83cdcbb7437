"""Which versions build environments hold: chosen for all of them, before any is made.

It follows from the versions that are installed and from what sources say that they
need to be built. What backends ask for beyond that is found out while things are
built; it is then taken from what was chosen here, where that fits.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from packaging.requirements import Requirement

from fromager.derivations.customisation.values import Match
from fromager.derivations.errors import DerivationError, PrebuiltRefused, Stopped
from fromager.derivations.realising.events import Noted
from fromager.derivations.realising.lookahead import Lookahead
from fromager.derivations.realising.preferences import NO_TOOL_VERSIONS, ToolVersions
from fromager.derivations.resolution.cutoff import exact_pins
from fromager.derivations.resolution.graph import find_cycle
from fromager.derivations.resolution.request import GivenRequirement
from fromager.derivations.resolution.tools import ToolRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from packaging.markers import Marker
    from packaging.version import Version

    from fromager.derivations.customisation.effects import Effects
    from fromager.derivations.realising.knowledge import KnowledgeBase
    from fromager.derivations.realising.packages import Packages
    from fromager.derivations.realising.request import RealiseRequest
    from fromager.derivations.resolution.candidate import Metadata, Release
    from fromager.derivations.resolution.outcome import Resolved
    from fromager.derivations.resolution.tools import ToolChoice

_ALL: Final = "*"


@dataclass(frozen=True, slots=True)
class _Built:
    """Something that is built, and what that takes."""

    wanted: ToolRequest
    required: tuple[GivenRequirement, ...]


class ToolPlanning:
    """Chooses for one run."""

    def __init__(self, knowledge: KnowledgeBase, packages: Packages) -> None:
        """`packages` tell what things need to be built, and what tools need."""
        self._knowledge, self._packages = knowledge, packages
        self._lookahead = Lookahead(packages)
        self._chooser = knowledge.tool_chooser()
        self._built: dict[str, _Built | None] = {}
        self.hopeless: tuple[tuple[str, Version], ...] = ()
        """Releases that nothing can be built with, since their requirements conflict."""
        self.reached: Mapping[str, Release] = {}
        """By `name==version`, what is installed and all that builds it, as far as that
        could be told."""

    async def settle(self, found: Sequence[Resolved], *, at_once: bool) -> Packages:
        """What builds with the versions that are chosen for these sets.

        Raises:
            ResolutionError: nothing can be built with what one of them needs, and that
                is to be told `at_once`, before anything is built for nothing.
        """
        packages = replace(self._packages, chosen=await self.choose(found))
        for name, version in self.hopeless if at_once else ():
            release = self._knowledge.release(name, version)
            await Lookahead(packages).look(name, version, release)
        return packages

    async def foresee(self, named: frozenset[tuple[str, Version]]) -> Packages:
        """What builds before all versions are settled: with tools that are chosen for
        what is known to be built."""
        try:
            chosen = await self._choose(named, _single(named))
        except Stopped:
            raise
        except DerivationError:
            # It is told where it stands in the way.
            return self._packages
        return replace(self._packages, chosen=chosen)

    async def choose(self, installed: Sequence[Resolved]) -> ToolVersions:
        """What the build environments hold for sets that are to be installed.

        A project that has another version in another set is not matched. Without the
        metadata of a tool there is no choice: what stands in the way is found again,
        and told, where the tool is needed.
        """
        first = frozenset((p.name, p.version) for each in installed for p in each.pins)
        self._reach(first)
        try:
            return await self._choose(first, _single(first))
        except Stopped:
            raise
        except PrebuiltRefused as error:
            reached = self.reached.items()
            prebuilt = {subject for subject, each in reached if each.prebuilt}
            raise PrebuiltRefused({*error.subjects, *prebuilt}) from error
        except DerivationError as error:
            text = f"each has versions of its own, since {error}"
            self._packages.steps.report(Noted("build environments", text))
            return NO_TOOL_VERSIONS

    async def _choose(
        self, first: frozenset[tuple[str, Version]], installed: Mapping[str, Version]
    ) -> ToolVersions:
        subjects = first
        apart, seen = frozenset[str](), {first}
        while True:
            built = await self._look(subjects, installed)
            wanted = {subject: each.wanted for subject, each in built.items()}
            choice = await self._knowledge.choose_tools(
                self._chooser, wanted, apart, self._metadata
            )
            reached = _reached(first, choice)
            # Which tools there are follows from their versions, and these follow from
            # which tools there are. Where that goes round in a circle, what was looked
            # at stays in.
            if reached not in seen:
                seen.add(reached)
                subjects = reached
            elif not reached <= subjects:
                subjects |= reached
            else:
                cycle = find_cycle(_edges(reached, choice))
                if cycle is None or apart.issuperset(cycle):
                    self._reach(reached)
                    self.hopeless = tuple(
                        item
                        for item in sorted(reached)
                        if _subject(*item) in wanted.keys() - choice.versions.keys()
                    )
                    return _chosen(built, choice, apart)
                # With the newest versions of all it needs there may be no cycle.
                apart |= set(cycle)
                subjects, seen = first, {first}

    async def _look(
        self, subjects: Iterable[tuple[str, Version]], installed: Mapping[str, Version]
    ) -> dict[str, _Built]:
        """What things need to be built; without those of which nothing is known."""
        new = [item for item in sorted(subjects) if _subject(*item) not in self._built]
        for item, built in zip(
            new,
            await asyncio.gather(*(self._look_at(*each, installed) for each in new)),
            strict=True,
        ):
            self._built[_subject(*item)] = built
        found = ((s, self._built[s]) for s in sorted(_subject(*i) for i in subjects))
        return {subject: built for subject, built in found if built is not None}

    async def _look_at(
        self, name: str, version: Version, installed: Mapping[str, Version]
    ) -> _Built | None:
        subject = _subject(name, version)
        release = self._knowledge.release(name, version)
        if release.prebuilt:
            return None
        try:
            effects, request = await self._lookahead.wants(name, version, release)
        except Stopped:
            raise
        except DerivationError:
            # It fails again where it is to be built.
            return None
        matching, required = _matching(effects, installed)
        kept = self._knowledge.preferences
        request = replace(
            request, constraints=(*request.constraints, *required), preferences={}
        ).preferring(kept.to_build(subject))
        return _Built(ToolRequest(request, matching, kept.held(subject)), required)

    def _reach(self, subjects: Iterable[tuple[str, Version]]) -> None:
        self.reached = {_subject(*s): self._knowledge.release(*s) for s in subjects}

    async def _metadata(
        self, name: str, version: Version, release: Release
    ) -> Metadata:
        return await self._packages.metadata(name, version, release, None)


def guess(
    request: RealiseRequest, applies: Callable[[Marker | None], bool]
) -> ToolVersions:
    """What is taken for installed as long as that is not settled: what requirements
    and constraints name exactly."""
    pins = pinned((*request.requirements, *request.constraints), applies)
    return ToolVersions(others={name: tuple(sorted(pins[name])) for name in pins})


def pinned(
    given: Iterable[GivenRequirement], applies: Callable[[Marker | None], bool]
) -> dict[str, frozenset[Version]]:
    """The versions that requirements which apply name exactly, by project."""
    requirements = (each.requirement for each in given)
    return exact_pins(each for each in requirements if applies(each.marker))


def _single(
    releases: Iterable[tuple[str, Version]],
) -> dict[str, Version]:
    """By project, its version, of those that have one alone."""
    counts = Counter(name for name, _ in releases)
    return {name: version for name, version in releases if counts[name] == 1}


def _matching(
    effects: Effects, installed: Mapping[str, Version]
) -> tuple[dict[str, Version], tuple[GivenRequirement, ...]]:
    """The versions that are matched where they can be, and those that must be."""
    matching, required = {}, []
    usual = effects.match_runtime.get(_ALL)
    for name, version in installed.items():
        rule = effects.match_runtime.get(name, usual)
        if rule is None or rule.match is not Match.NEVER:
            matching[name] = version
        if rule is not None and rule.match is Match.REQUIRE:
            limit = Requirement(f"{name}=={version}")
            origin = f"match-runtime ({rule.origin})"
            required.append(GivenRequirement(limit, origin))
    return matching, tuple(required)


def _chosen(
    built: Mapping[str, _Built], choice: ToolChoice, apart: frozenset[str]
) -> ToolVersions:
    versions = {}
    for subject, each in built.items():
        matching = {} if subject in apart else each.wanted.matching
        versions[subject] = {**matching, **choice.versions.get(subject, {})}
    required = {subject: each.required for subject, each in built.items()}
    return ToolVersions(versions, choice.ranked, required)


def _reached(
    first: frozenset[tuple[str, Version]], choice: ToolChoice
) -> frozenset[tuple[str, Version]]:
    """What is built in the end: what is installed, its tools, and theirs."""
    found = set(first)
    pending = list(first)
    while pending:
        tools = choice.versions.get(_subject(*pending.pop()), {})
        new = tools.items() - found
        found |= new
        pending += new
    return frozenset(found)


def _edges(
    subjects: Iterable[tuple[str, Version]], choice: ToolChoice
) -> dict[str, tuple[str, ...]]:
    return {
        subject: tuple(
            _subject(*tool) for tool in sorted(choice.versions.get(subject, {}).items())
        )
        for subject in sorted(_subject(*item) for item in subjects)
    }


def _subject(name: str, version: Version) -> str:
    return f"{name}=={version}"
