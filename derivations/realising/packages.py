"""Packages: from a release to its wheel, with everything that it takes to build it.

Planning is demand-driven. What a backend needs is known only once it was asked, in
an environment that holds what it says without being asked. If the answer adds
nothing, the same process goes on and builds; else the environment grows and a new
process begins. Either way the recipe is one: ask, then build.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeVar

from fromager.derivations.errors import BuildCycle, BuildError
from fromager.derivations.realising.annotated import annotated
from fromager.derivations.realising.asking import Asking
from fromager.derivations.realising.attempt import Attempt, BuiltWheel, Work
from fromager.derivations.realising.beginnings import Beginnings
from fromager.derivations.realising.build import (
    AnyRun,
    BuildPlace,
    MetadataRun,
    RequiresRun,
    WheelBuild,
)
from fromager.derivations.realising.build_environments import BuildEnvironments
from fromager.derivations.realising.goals import WaitGraph
from fromager.derivations.realising.plan import Plan
from fromager.derivations.realising.plugin_sdists import PluginSdists, archive_of
from fromager.derivations.realising.preferences import NO_TOOL_VERSIONS
from fromager.derivations.realising.settling import static_needs
from fromager.derivations.realising.steps import NotTold, Postponed, Step, Steps
from fromager.derivations.realising.wheel_file import wheel_file, wheel_metadata
from fromager.derivations.resolution.candidate import Metadata

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from packaging.version import Version

    from fromager.derivations.customisation.effects import Effects
    from fromager.derivations.derivation import Derivation, ResolvedDerivation
    from fromager.derivations.realising.environments import Environments
    from fromager.derivations.realising.prebuilt import Prebuilt
    from fromager.derivations.realising.preferences import ToolVersions
    from fromager.derivations.realising.resolutions import Resolutions
    from fromager.derivations.realising.rust import Rust
    from fromager.derivations.realising.sources import Sources
    from fromager.derivations.realising.target import BuildPolicy, Target
    from fromager.derivations.resolution.candidate import Release

T = TypeVar("T")
MOST_ROUNDS: Final = 4
"""How often a backend may ask for more, environment by environment."""


@dataclass
class Packages:
    """Builds releases, each once in a run."""

    steps: Steps
    sources: Sources
    environments: Environments
    resolutions: Resolutions
    target: Target
    policy: BuildPolicy
    prebuilt: Prebuilt
    rust: Rust | None = None
    """Where packages that compile Rust get what they need."""
    chosen: ToolVersions = NO_TOOL_VERSIONS

    def __post_init__(self) -> None:
        self.plans: dict[str, Plan] = {}
        """What releases are made from, by `name==version`, as far as that is known."""
        self._tasks: dict[str, asyncio.Task[BuiltWheel]] = {}
        self._questions: dict[str, asyncio.Task[Metadata]] = {}
        self._waits: WaitGraph[str] = WaitGraph()
        self._place = BuildPlace(
            self.steps.store,
            self.target,
            self.policy,
            self.steps.report,
            self.steps.stop,
        )
        self.beginnings = Beginnings(
            self.steps,
            self.sources,
            self.environments,
            self.target,
            self.policy,
            self.rust,
        )
        self._asking = Asking(self.target, self._place.runner)
        self.rooms = BuildEnvironments(
            self.environments,
            self.resolutions,
            self.target,
            self.policy,
            self,
            self.chosen,
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

    async def finished(
        self, name: str, version: Version, release: Release
    ) -> BuiltWheel:
        """The wheel of a release as it is handed out: with what settings add to it."""
        built = await self.wheel(name, version, release, None)
        if not release.prebuilt:
            built = await self._annotated(built, release)
        if self.sources.outside is not None:
            file = None
            if not release.prebuilt:
                built = replace(built, sdist=await self._sdist(built, release))
                plan = self.plans.get(built.subject)
                file = archive_of(self.steps, built.sdist, plan)
            await self.sources.outside.tell(
                built, prebuilt=release.prebuilt, sdist=file
            )
        return built

    async def _annotated(self, built: BuiltWheel, release: Release) -> BuiltWheel:
        effects = self.sources.effects(built.name, built.version, release)
        annotation = effects.annotation
        if not annotation:
            return built
        hook, tag = effects.build_tag_hook, annotation.build_tag
        if hook and tag is not None and self.sources.outside is not None:
            suffix = await self.sources.outside.build_tag_suffix(hook, built)
            annotation = replace(annotation, build_tag=replace(tag, suffix=suffix))
        return await annotated(self.steps, built, annotation)

    async def _sdist(self, built: BuiltWheel, release: Release) -> Step | None:
        """The sdist that a plugin builds, if there is one that does."""
        sdists = PluginSdists(self.beginnings, self.rooms)
        effects = self.sources.effects(built.name, built.version, release)
        override = sdists.builder(effects.override)
        if override is None:
            return None

        async def build(attempt: Attempt, accepted: tuple[str, ...]) -> Step:
            await self._asked(attempt, accepted)
            return await sdists.build(attempt, accepted, override)

        work = await self._work(built.name, built.version, release)
        return await self._with_backend(work, build)

    async def metadata(
        self, name: str, version: Version, release: Release, needed_by: str | None
    ) -> Metadata:
        """What a release needs at run time: as its source promises, else as its backend
        says; a wheel that is taken as it is, or was made already, says it itself."""
        static = await self.sources.metadata(name, version, release)
        if static is not None:
            return static_needs(static)
        subject = f"{name}=={version}"
        if release.prebuilt or subject in self._tasks:
            return (await self.wheel(name, version, release, needed_by)).metadata
        if subject not in self._questions:
            self._questions[subject] = asyncio.create_task(
                self._needs(name, version, release)
            )
        return await self._wait(needed_by, subject, self._questions[subject])

    async def _needs(self, name: str, version: Version, release: Release) -> Metadata:
        async def ask(attempt: Attempt, accepted: tuple[str, ...]) -> Metadata:
            wheel = self.steps.resolve(self._asking.wheel(attempt), attempt.inputs)
            built = self.steps.known(wheel.key)
            if built is not None:
                path, _ = wheel_file(self.steps.store, built.output)
                return Metadata.parse(wheel_metadata(path))
            content = await self._described(attempt, accepted, builds=False)
            return Metadata.parse(content.decode("utf-8", "surrogateescape"))

        work = await self._work(name, version, release)
        try:
            return await self._with_backend(work, ask)
        except NotTold:
            return (await self.wheel(name, version, release, None)).metadata

    @property
    def built(self) -> Mapping[str, BuiltWheel]:
        """The wheels that were made so far, by `name==version`."""
        return {
            subject: task.result()
            for subject, task in self._tasks.items()
            if task.done() and not task.cancelled() and task.exception() is None
        }

    async def describe(
        self, subject: str, source: Step, release: Release, effects: Effects
    ) -> bytes:
        """The core metadata of the wheel that a source would become, no wheel built.

        The version of the release need not be the one that its backend tells.

        Raises:
            BuildError: its backend does not tell.
        """

        async def ask(attempt: Attempt, accepted: tuple[str, ...]) -> bytes:
            return await self._described(attempt, accepted, builds=True)

        work = Work(subject, subject, release, source, effects)
        return await self._with_backend(work, ask)

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

        async def build(attempt: Attempt, accepted: tuple[str, ...]) -> BuiltWheel:
            return await self._built(name, version, attempt, accepted)

        return await self._with_backend(await self._work(name, version, release), build)

    async def plan(self, name: str, version: Version, release: Release) -> None:
        """Find out what a release is built with, without building it."""
        if release.prebuilt or f"{name}=={version}" in self._tasks:
            await self.wheel(name, version, release, None)
        else:
            work = await self._work(name, version, release)
            await self._with_backend(work, self._asked)

    async def prepare(self, name: str, version: Version, release: Release) -> None:
        """Make what a release begins to be built in, without asking its backend."""
        if not release.prebuilt:
            work = await self._work(name, version, release)
            beginning = await self.beginnings.required(work)
            await self.rooms.environment(work.subject, beginning.required)

    async def _work(self, name: str, version: Version, release: Release) -> Work:
        subject = f"{name}=={version}"
        source = await self.sources.tree(name, version, release)
        content = self.sources.content(source, release)
        digest = source.realisation.output_digest
        self.resolutions.check_source(subject, digest, content)
        effects = self.sources.effects(name, version, release)
        return Work(subject, name, release, source, effects, content)

    async def _with_backend(
        self,
        work: Work,
        do: Callable[[Attempt, tuple[str, ...]], Awaitable[T]],
    ) -> T:
        """What `do` gives, in an environment that holds all the backend asks for."""
        subject, source = work.subject, work.source
        beginning = await self.beginnings.begin(work)
        required, asked = beginning.required, beginning.answers
        for _ in range(MOST_ROUNDS):
            # A backend may tell only when it is asked that it compiles Rust.
            arrangement = await self.beginnings.arrangement(work, required)
            environment = await self.rooms.environment(subject, required)
            self.plans[subject] = Plan.of_source(
                work.name, work.release, source, environment.versions, work.content
            )
            attempt = Attempt(subject, source, environment, arrangement, asked)
            question = self._question(attempt)
            asked = (*asked, question.key)
            answer = await self._remembered_answer(question, attempt)
            if answer is None or self.rooms.has(environment, answer, subject):
                try:
                    return await do(attempt, (*required, *(answer or ())))
                except Postponed as more:
                    answer = more.answer
                if self.rooms.has(environment, answer, subject):
                    return await do(attempt, (*required, *answer))
            required = (*required, *(text for text in answer if text not in required))
        raise BuildError(
            subject, f"its backend asked for more {MOST_ROUNDS} times and never built"
        )

    async def _prebuilt(
        self, subject: str, name: str, version: Version, release: Release
    ) -> BuiltWheel:
        if self.sources.outside is not None:
            self.sources.outside.check(name)
        self.prebuilt.tell(subject, release)
        file = await self.sources.archive(release)
        self.plans[subject] = Plan(name, release, file.derivation)
        step = await self.prebuilt.wheel(name, version, release, file)
        return self._finished(name, version, step)

    async def _remembered_answer(
        self, question: ResolvedDerivation, attempt: Attempt
    ) -> tuple[str, ...] | None:
        """What the backend answered before in this environment, if it was asked."""
        found = await self.steps.obtained(question, attempt.inputs)
        if found is None:
            return None
        return tuple(json.loads(self.steps.store.read_file(found.output, None)))

    def _question(self, attempt: Attempt) -> ResolvedDerivation:
        return self.steps.resolve(self._asking.requires(attempt), attempt.inputs)

    async def _asked(self, attempt: Attempt, accepted: tuple[str, ...]) -> None:
        """Nothing, if the backend asks for nothing but what is `accepted`."""
        question = self._question(attempt)
        if await self._remembered_answer(question, attempt) is not None:
            return
        run = RequiresRun(
            attempt.subject,
            attempt.source,
            attempt.environment.step,
            accepted,
            question,
            attempt.arrangement,
            attempt.asked,
        )
        await self._run(self._asking.requires(attempt), attempt, run)
        answer = await self._remembered_answer(question, attempt) or ()
        if not self.rooms.has(attempt.environment, answer, attempt.subject):
            raise Postponed(answer)

    async def _built(
        self, name: str, version: Version, attempt: Attempt, accepted: tuple[str, ...]
    ) -> BuiltWheel:
        """The wheel, if the backend asks for nothing but what is `accepted`."""
        build = WheelBuild(
            attempt.subject,
            attempt.source,
            attempt.environment.step,
            accepted,
            self._question(attempt),
            attempt.arrangement,
            attempt.asked,
            name,
            version,
        )
        step = await self._run(self._asking.wheel(attempt), attempt, build)
        return self._finished(name, version, step)

    async def _described(
        self, attempt: Attempt, accepted: tuple[str, ...], *, builds: bool
    ) -> bytes:
        """The metadata, if the backend asks for nothing but what is `accepted`."""
        run = MetadataRun(
            attempt.subject,
            attempt.source,
            attempt.environment.step,
            accepted,
            self._question(attempt),
            attempt.arrangement,
            attempt.asked,
            builds,
        )
        step = await self._run(self._asking.metadata(attempt), attempt, run)
        return self.steps.store.read_file(step.output, None)

    async def _run(self, derivation: Derivation, attempt: Attempt, run: AnyRun) -> Step:
        return await self.steps.step(
            derivation,
            attempt.inputs,
            lambda transaction, resolved: self._place.make(
                run, self.steps, transaction, resolved
            ),
            urgency=lambda: self._waits.weight(attempt.subject),
            exclusive=attempt.arrangement.effects.exclusive,
        )

    def _finished(self, name: str, version: Version, step: Step) -> BuiltWheel:
        path, filename = wheel_file(self.steps.store, step.output)
        metadata = Metadata.parse(wheel_metadata(path))
        return BuiltWheel(name, version, step, filename, metadata)
