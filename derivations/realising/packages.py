"""Packages: from a release to its wheel, with everything that it takes to build it.

Planning is demand-driven. What a backend needs is known only once it was asked, in
an environment that holds what it says without being asked. If the answer adds
nothing, the same process goes on and builds; else the environment grows and a new
process begins. Either way the recipe is one: ask, then build.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from fromager.derivations.errors import (
    BuildCycle,
    BuildError,
    DependencyFailed,
    SourceError,
)
from fromager.derivations.realising import instantiate
from fromager.derivations.realising.arrangement import Arrangement, arrange
from fromager.derivations.realising.build import BuildPlace, WheelBuild
from fromager.derivations.realising.events import Noted
from fromager.derivations.realising.goals import WaitGraph
from fromager.derivations.realising.prebuilt import Prebuilt
from fromager.derivations.realising.steps import Postponed, Step, Steps
from fromager.derivations.realising.wheel_file import wheel_file, wheel_metadata
from fromager.derivations.resolution.candidate import Metadata
from fromager.derivations.resolution.request import GivenRequirement, Request
from fromager.derivations.sources.project import build_system
from fromager.derivations.versions import NORMALISATION_VERSION

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Mapping, Sequence

    from packaging.version import Version

    from fromager.derivations.derivation import ResolvedDerivation
    from fromager.derivations.realising.environments import Environments
    from fromager.derivations.realising.knowledge import KnowledgeBase
    from fromager.derivations.realising.sources import Sources
    from fromager.derivations.realising.target import BuildPolicy, Target
    from fromager.derivations.resolution.candidate import Release
    from fromager.derivations.resolution.outcome import Pin
    from fromager.derivations.sources.project import StaticMetadata
    from fromager.store import Digest

T = TypeVar("T")
MOST_ROUNDS: Final = 4
"""How often a backend may ask for more, environment by environment."""


@dataclass(frozen=True, slots=True)
class BuiltWheel:
    """A release's wheel."""

    name: str
    version: Version
    step: Step
    filename: str
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class BuildEnvironment:
    """An environment and the versions in it."""

    step: Step
    versions: Mapping[str, Version]


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A source and the environment in which it may be built."""

    subject: str
    name: str
    version: Version
    source: Step
    environment: BuildEnvironment
    arrangement: Arrangement
    asked: tuple[Digest, ...]
    """Keys of the questions that were answered in smaller environments."""

    @property
    def inputs(self) -> tuple[Step, ...]:
        return (self.source, self.environment.step)


def static_needs(static: StaticMetadata) -> Metadata:
    """What a source commits to, as resolution wants it."""
    return Metadata.from_fields(
        static.requires_dist, static.requires_python, static.provides_extra
    )


@dataclass
class Packages:
    """Builds releases, each once in a run."""

    steps: Steps
    sources: Sources
    environments: Environments
    knowledge: KnowledgeBase
    target: Target
    policy: BuildPolicy

    def __post_init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[BuiltWheel]] = {}
        self._waits: WaitGraph[str] = WaitGraph()
        self._place = BuildPlace(
            self.steps.store,
            self.target,
            self.policy,
            self.steps.report,
            self.steps.stop,
        )

    async def wheel(
        self, name: str, version: Version, release: Release, needed_by: str | None
    ) -> BuiltWheel:
        """The wheel of a release, built if no store has it.

        `needed_by` is the subject that cannot be built without it.

        Raises:
            BuildCycle: it needs, through others, what it is needed by.
        """
        subject = f"{name}=={version}"
        if subject not in self._tasks:
            self._tasks[subject] = asyncio.create_task(
                self._build(subject, name, version, release)
            )
        return await self._wait(needed_by, subject, self._tasks[subject])

    async def metadata(
        self, name: str, version: Version, release: Release, needed_by: str | None
    ) -> Metadata:
        """What a release needs at run time: as its source promises, else as built."""
        static = await self.sources.metadata(name, version, release)
        if static is not None:
            return static_needs(static)
        return (await self.wheel(name, version, release, needed_by)).metadata

    async def prepare(self, name: str, version: Version, release: Release) -> None:
        """Make the first environment that a release is built in, and no more.

        What it is built with is no part of what was asked for, and on the way to it
        builds wait for each other most: it may begin before versions are settled.
        """
        subject = f"{name}=={version}"
        if release.prebuilt:
            await self.wheel(name, version, release, None)
            return
        source = await self.sources.tree(name, version, release)
        await self._environment(subject, self._required(source, name, version))

    async def _wait(self, waiter: str | None, goal: str, work: asyncio.Task[T]) -> T:
        """What others may wait for, too: that one stops waiting must not stop it."""
        if waiter is None:
            return await asyncio.shield(work)
        cycle = self._waits.begin(waiter, goal)
        if cycle is not None:
            raise BuildCycle(cycle)
        try:
            return await asyncio.shield(work)
        finally:
            self._waits.end(waiter, goal)

    async def _build(
        self, subject: str, name: str, version: Version, release: Release
    ) -> BuiltWheel:
        if release.prebuilt:
            return await self._prebuilt(subject, name, version, release)
        source = await self.sources.tree(name, version, release)
        required = self._required(source, name, version)
        arrangement = await self._arrangement(name, version, source)
        asked: tuple[Digest, ...] = ()
        for _ in range(MOST_ROUNDS):
            environment = await self._environment(subject, required)
            attempt = _Attempt(
                subject, name, version, source, environment, arrangement, asked
            )
            asked = (*asked, self._question(attempt).key)
            answer = self._remembered_answer(attempt)
            if answer is None or self._adds_nothing(answer, attempt):
                try:
                    return await self._built(attempt, (*required, *(answer or ())))
                except Postponed as more:
                    answer = more.answer
                if self._adds_nothing(answer, attempt):
                    return await self._built(attempt, (*required, *answer))
            required = (*required, *(text for text in answer if text not in required))
        raise BuildError(
            subject, f"its backend asked for more {MOST_ROUNDS} times and never built"
        )

    async def _prebuilt(
        self, subject: str, name: str, version: Version, release: Release
    ) -> BuiltWheel:
        text = f"not built, but taken from {release.url.partition('#')[0]}"
        self.steps.report(Noted(subject, text))
        file = await self.sources.archive(release)
        step = await Prebuilt(self.steps).wheel(name, version, release, file)
        return await self._finished(name, version, step)

    def _required(self, source: Step, name: str, version: Version) -> tuple[str, ...]:
        """What the first environment of a build must hold."""
        effects = self.sources.customisation.effects(name, version)
        if effects.build_dir and not self.sources.has_folder(source, effects.build_dir):
            text = f"{name}=={version}: its source has no folder {effects.build_dir}"
            raise SourceError(text, hint="Correct the setting `build-dir`")
        try:
            system = build_system(
                self.sources.member(source, effects.in_project("pyproject.toml"))
            )
        except SourceError as error:
            text = f"{name}=={version}: {error}"
            raise SourceError(text, hint=error.hint) from error
        return (*system.requires, *effects.build_requires)

    async def _arrangement(
        self, name: str, version: Version, source: Step
    ) -> Arrangement:
        effects = self.sources.customisation.effects(name, version)
        for each in effects.unused:
            text = f"{each.origin}: {each.setting} has no effect"
            self.steps.report(Noted(f"{name}=={version}", text))
        return await self.steps.in_thread(
            lambda: arrange(
                name,
                version,
                int(source.realisation.fact("epoch") or 0),
                effects,
                self.target,
                self.policy,
                self.steps.store,
            )
        )

    async def _environment(
        self, subject: str, requirements: Sequence[str]
    ) -> BuildEnvironment:
        """An environment in which all the requirements hold, and what they need."""
        origin = f"build of {subject}"
        request = Request(
            tuple(
                GivenRequirement(self._parsed(text, subject), origin)
                for text in requirements
            ),
            self.target.interpreter.marker_environment,
            constraints=self.policy.build_constraints,
        )

        async def ask(name: str, version: Version, release: Release) -> Metadata:
            with _needed_by(subject, f"{name}=={version}"):
                return await self.metadata(name, version, release, subject)

        resolution = await self.knowledge.resolve(origin, request, ask)
        self.policy.check_prebuilt(resolution)
        layouts = await self._all(
            [self._layout(pin, subject) for pin in resolution.pins]
        )
        step = await self.environments.environment(dict(layouts))
        versions = {pin.name: pin.version for pin in resolution.pins}
        return BuildEnvironment(step, versions)

    async def _layout(self, pin: Pin, needed_by: str) -> tuple[str, Step]:
        subject = f"{pin.name}=={pin.version}"
        with _needed_by(needed_by, subject):
            built = await self.wheel(pin.name, pin.version, pin.release, needed_by)
        return subject, await self.environments.layout(
            subject, built.step, built.filename
        )

    async def _all(self, work: Sequence[Awaitable[T]]) -> list[T]:
        """The results of all, begun together; the first error once all have ended."""
        results = await asyncio.gather(*work, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [result for result in results if not isinstance(result, BaseException)]

    def _remembered_answer(self, attempt: _Attempt) -> tuple[str, ...] | None:
        """What the backend answered before in this environment, if it was asked."""
        found = self.steps.known(self._question(attempt).key)
        if found is None:
            return None
        return tuple(json.loads(self.steps.store.read_file(found.output, None)))

    def _question(self, attempt: _Attempt) -> ResolvedDerivation:
        derivation = instantiate.requires(
            attempt.subject,
            attempt.source.derivation,
            attempt.environment.step.derivation,
            attempt.arrangement.options(self.target, self._place.runner),
        )
        return self.steps.resolve(derivation, attempt.inputs)

    async def _built(self, attempt: _Attempt, accepted: tuple[str, ...]) -> BuiltWheel:
        """The wheel, if the backend asks for nothing but what is `accepted`."""
        derivation = instantiate.wheel(
            attempt.subject,
            attempt.source.derivation,
            attempt.environment.step.derivation,
            attempt.arrangement.options(self.target, self._place.runner),
            NORMALISATION_VERSION,
        )
        build = WheelBuild(
            attempt.name,
            attempt.version,
            attempt.source,
            attempt.environment.step,
            accepted,
            self._question(attempt),
            attempt.arrangement,
            attempt.asked,
        )
        step = await self.steps.step(
            derivation,
            attempt.inputs,
            lambda transaction, resolved: self._place.make(
                build, self.steps, transaction, resolved
            ),
            urgency=lambda: self._waits.weight(attempt.subject),
            exclusive=attempt.arrangement.effects.exclusive,
        )
        return await self._finished(attempt.name, attempt.version, step)

    async def _finished(self, name: str, version: Version, step: Step) -> BuiltWheel:
        path, filename = wheel_file(self.steps.store, step.output)
        content = await self.steps.in_thread(lambda: wheel_metadata(path))
        return BuiltWheel(name, version, step, filename, Metadata.parse(content))

    def _adds_nothing(self, answer: Sequence[str], attempt: _Attempt) -> bool:
        """Whether an environment already holds everything that was answered."""
        markers = self.target.interpreter.marker_environment
        for text in answer:
            requirement = self._parsed(text, attempt.subject)
            if requirement.marker and not requirement.marker.evaluate(dict(markers)):
                continue
            version = attempt.environment.versions.get(
                canonicalize_name(requirement.name)
            )
            # An extra may need more than the package: let resolution decide on that.
            if version is None or requirement.extras:
                return False
            if not requirement.specifier.contains(version, prereleases=True):
                return False
        return True

    def _parsed(self, text: str, subject: str) -> Requirement:
        try:
            return Requirement(text)
        except InvalidRequirement as error:
            raise BuildError(
                subject,
                f"its build requirement {text!r} cannot be read: {error}",
                hint="Correct it with a patch to pyproject.toml",
            ) from error


@contextmanager
def _needed_by(subject: str, needed: str) -> Iterator[None]:
    """A failure of `needed` is a reason why `subject` is not built."""
    try:
        yield
    except BuildCycle:
        raise
    except BuildError as error:
        raise DependencyFailed(subject, needed) from error
