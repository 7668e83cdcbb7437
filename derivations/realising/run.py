"""One request being realised: resolved, built, and resolved again if a wheel demands it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeVar

from fromager.derivations.errors import DerivationError, ResolutionError, Stopped
from fromager.derivations.locking.lock import LockedPlatform
from fromager.derivations.realising.attempt import BuiltWheel
from fromager.derivations.realising.candidates import Candidates
from fromager.derivations.realising.checkouts import Checkouts
from fromager.derivations.realising.collecting import BuiltSet, Collecting
from fromager.derivations.realising.contradictions import (
    believe_sources,
    believe_wheels,
)
from fromager.derivations.realising.direct import DirectSources
from fromager.derivations.realising.environments import Environments
from fromager.derivations.realising.events import Noted
from fromager.derivations.realising.knowledge import KnowledgeBase
from fromager.derivations.realising.located import Gathered
from fromager.derivations.realising.lock_making import Planned
from fromager.derivations.realising.locked import (
    LockedVersions,
    check_wheels,
    locked_set,
)
from fromager.derivations.realising.outside import OutsideWork
from fromager.derivations.realising.packages import Packages
from fromager.derivations.realising.prebuilt import Prebuilt, with_prebuilt
from fromager.derivations.realising.preferences import NO_PREFERENCES
from fromager.derivations.realising.request import Collect, Realised
from fromager.derivations.realising.rust import Rust
from fromager.derivations.realising.settling import (
    asked_for,
    check_hashes,
    needs_nothing,
    way_to,
)
from fromager.derivations.realising.sources import Sources
from fromager.derivations.realising.tagged import TaggedProjects
from fromager.derivations.realising.tool_planning import (
    ToolPlanning,
    guess,
    pinned,
)
from fromager.derivations.realising.version_files import with_version_files
from fromager.derivations.resolution.request import Prereleases, Request
from fromager.derivations.rust.registries import Registries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from packaging.markers import Marker

    from fromager.derivations.index.page import ProjectPage
    from fromager.derivations.realising.means import Means
    from fromager.derivations.realising.overriding import Workshop
    from fromager.derivations.realising.preferences import Preferences
    from fromager.derivations.realising.request import RealiseRequest
    from fromager.derivations.realising.resolutions import Resolutions
    from fromager.derivations.realising.steps import Steps
    from fromager.derivations.resolution.candidate import ProjectReleases
    from fromager.derivations.resolution.outcome import Pin
    from fromager.derivations.resolution.outcome import Resolved as Resolution
    from fromager.derivations.resolution.request import GivenRequirement

T = TypeVar("T")

MOST_CORRECTIONS: Final = 20
"""How often built wheels may contradict what was resolved upon."""
CONTRADICTED: Final = "built wheels contradict their sources again and again"


class Run:
    """One request being realised."""

    def __init__(
        self,
        means: Means,
        request: RealiseRequest,
        steps: Steps,
        preferences: Preferences | None = None,
        *,
        resolves: bool = False,
    ) -> None:
        """`preferences` are for a run that only plans; one that `resolves` does not even
        that."""
        self._request, self._steps = request, steps
        self._keep_going = means.keep_going
        self._means, self._interpreter = means, means.interpreter
        self._only_plans, self._only_resolves = preferences is not None, resolves
        self._preferences = preferences or NO_PREFERENCES
        self._places = Gathered()
        tagged = TaggedProjects(steps, means.repositories)
        self._knowledge = KnowledgeBase(
            steps,
            means.client,
            self._adapted,
            replace(request.cutoffs, customised=means.customisation.min_age),
            self._preferences,
            tagged.asked_by(means.customisation.tags),
        )
        self.resolutions: Resolutions = self._knowledge
        if request.lock is not None:
            platform = LockedPlatform.of(self._interpreter)
            locked = locked_set(request.lock, platform)
            self.resolutions = LockedVersions(request.lock, locked)
        places = means.repositories
        git = None if places is None else places.git
        self._checkouts = Checkouts(steps, git, means.limits)
        self._outside = OutsideWork(
            steps, means.customisation, means.policy.timeout, means.keep_going
        )
        self._knowledge.overridden = self._outside.teller
        self._sources = Sources(
            steps,
            means.client,
            means.customisation,
            means.limits,
            self._checkouts,
            means.refresh,
            self._workshop,
            self._outside,
            resolves,
        )
        self._rust = Rust(
            steps,
            self._sources,
            means.client,
            Registries(means.find_registries, means.client.download),
            means.rust,
            means.limits,
            self._checkouts,
        )
        self._given: tuple[GivenRequirement, ...] = request.requirements
        self._candidates = Candidates(
            self._knowledge,
            self._sources,
            self._first_packages,
            lambda: [self._wanted(given) for given in self._groups],
            pinned(request.requirements, self._applies),
            builds=not self._only_plans,
            looks_ahead=not resolves,
            keep_going=means.keep_going,
        )

    async def realise(self) -> Realised:
        """All wheels of the request, resolved again whenever a wheel demands it."""
        async with self._at_work():
            for _ in range(MOST_CORRECTIONS):
                groups = self._groups
                failed = [BuiltSet.failed(error) for error in self._places.failures]
                found = await asyncio.gather(*map(self._resolved, groups))
                resolved = [r for r in found if not isinstance(r, DerivationError)]
                packages = await self._settled(resolved)
                work = []
                for given, resolution in zip(groups, found, strict=True):
                    if isinstance(resolution, DerivationError):
                        failed.append(BuiltSet.failed(resolution))
                    else:
                        work.append(self._built_set(given, resolution, packages))
                sets = [*failed, *await asyncio.gather(*work)]
                # Tools, too, may need something else than was believed of them.
                built = [packages.built, *(each.built for each in sets)]
                if not any(list(map(self._contradictions, built))):
                    collecting = Collecting(self._steps, self._interpreter)
                    return await collecting.result(sets, self._request.collect)
            raise ResolutionError(CONTRADICTED)

    @property
    def _groups(self) -> list[tuple[GivenRequirement, ...]]:
        """The requirements, as they are resolved together."""
        if self._request.collect is not Collect.SEVERAL:
            return [self._given]
        return [(g,) for g in self._given if self._applies(g.requirement.marker)]

    async def _built_set(
        self,
        given: tuple[GivenRequirement, ...],
        resolution: Resolution,
        packages: Packages,
    ) -> BuiltSet:
        async def build(pin: Pin) -> BuiltWheel:
            return await packages.finished(pin.name, pin.version, pin.release)

        built = {**self._outside.failed, **await self._each(resolution, build)}
        if self._request.lock is not None and self._request.dependencies:
            wheels = (each for each in built.values() if isinstance(each, BuiltWheel))
            needs = {wheel.name: wheel.metadata for wheel in wheels}
            check_wheels(resolution, needs, self._interpreter.marker_environment)
        return BuiltSet(resolution, built, asked_for(given))

    async def plan(self) -> Planned:
        """The versions of the request, and what each is built with."""
        async with self._at_work():
            for _ in range(MOST_CORRECTIONS):
                resolution = await self._resolve(self._given)
                packages = await self._settled([resolution])

                async def plan(pin: Pin, packages: Packages = packages) -> None:
                    await packages.plan(pin.name, pin.version, pin.release)

                await self._each(resolution, plan)
                misled = await self._misled(resolution)
                if not (self._contradictions(packages.built) or misled):
                    return Planned(
                        resolution,
                        packages.plans,
                        self._knowledge.indexes,
                        self._places.named,
                        self._places.asked,
                        self._knowledge.page_stamps,
                    )
            raise ResolutionError(CONTRADICTED)

    async def resolve(self) -> Resolution:
        """The versions of the request."""
        async with self._at_work():
            return await self._resolve(self._given)

    @asynccontextmanager
    async def _at_work(self) -> AsyncIterator[None]:
        self._steps.begin()
        self._tell_what_is_left_out()
        if not self._only_resolves:
            _ = self._packages  # It takes a while: begin.
        try:
            await self._look_at_places()
            yield
        except BaseException:
            self._steps.stop.set()
            raise
        finally:
            await self._steps.end()

    @cached_property
    def _packages(self) -> asyncio.Task[Packages]:
        return asyncio.create_task(self._make_packages())

    async def _first_packages(self) -> Packages:
        return await self._packages

    async def _make_packages(self) -> Packages:
        target = await self._steps.in_thread(self._means.find_target)
        return Packages(
            self._steps,
            self._sources,
            Environments(self._steps, target),
            self.resolutions,
            target,
            self._means.policy,
            Prebuilt(self._steps, self._means.policy),
            self._rust,
            guess(self._request, self._applies),
        )

    async def _workshop(self) -> Workshop:
        return (await self._packages).beginnings

    async def _settled(self, found: Sequence[Resolution]) -> Packages:
        """What builds, once versions are settled: those of all that builds them too.

        Raises:
            PrebuiltRefused: some of all these would not be built.
        """
        check = self._means.policy.check_prebuilt
        if isinstance(self.resolutions, LockedVersions):
            check(self.resolutions.with_tools(found))
            return await self._packages
        planning = ToolPlanning(self._knowledge, await self._candidates.packages())
        packages = await planning.settle(found, at_once=not self._keep_going)
        check(planning.reached)
        return packages

    def _tell_what_is_left_out(self) -> None:
        rows = [(str(g.requirement), g.requirement.marker) for g in self._given]
        rows += [(str(given), given.marker) for given in self._request.direct]
        why = "left out, since its marker does not hold for the interpreter"
        for text in (text for text, marker in rows if not self._applies(marker)):
            self._steps.report(Noted(text, why))

    def _applies(self, marker: Marker | None) -> bool:
        markers = dict(self._interpreter.marker_environment)
        return marker is None or marker.evaluate(markers | {"extra": ""})

    async def _look_at_places(self) -> None:
        """Find out what lies where requirements say themselves, before all else."""
        request = self._request
        direct = [each for each in request.direct if self._applies(each.marker)]
        limits = [
            each for each in request.direct_constraints if self._applies(each.marker)
        ]
        if not direct and not limits:
            return

        places = DirectSources(
            self._sources,
            self._checkouts,
            self._knowledge,
            self._first_packages,
            self._interpreter.marker_environment,
            self._preferences.sources,
            self._keep_going,
        )
        found = await places.gather(direct, dependencies=request.dependencies)
        places.limit(limits)
        self._places = found
        self._given = (*request.requirements, *found.requirements)

    async def _resolved(
        self, given: tuple[GivenRequirement, ...]
    ) -> Resolution | DerivationError:
        """The versions of some requirements of several; or why there are none, if
        others are to be gone on with."""
        try:
            return await self._resolve(given)
        except DerivationError as error:
            several = self._request.collect is Collect.SEVERAL
            if not (several and self._keep_going) or isinstance(error, Stopped):
                raise
            return error

    def _wanted(self, given: tuple[GivenRequirement, ...]) -> Request:
        request = self._request
        return Request(
            given,
            self._interpreter.marker_environment,
            constraints=request.constraints,
            prereleases=(
                Prereleases.ALLOW if request.prereleases else Prereleases.IF_NECESSARY
            ),
            hashes={name: frozenset(digests) for name, digests in request.hashes},
        )

    async def _resolve(self, given: tuple[GivenRequirement, ...]) -> Resolution:
        request, wanted = self._request, self._wanted(given)
        try:
            if request.dependencies:
                needs = self._candidates.metadata
                found = await self.resolutions.of_request(wanted, needs)
            else:
                found = await self.resolutions.of_request(wanted, needs_nothing, {})
        except ResolutionError:
            if (rest := self._outside.left(given)) is None:
                raise
            return await self._resolve(rest)
        if request.require_hashes:
            fixed = self._places.fixed
            check_hashes(found, {name for name, _ in request.hashes} | fixed)
        return found

    def _adapted(self, releases: ProjectReleases, page: ProjectPage) -> ProjectReleases:
        tags, customisation = self._interpreter.tags, self._means.customisation
        counted = with_version_files(releases, page, customisation, tags)
        return with_prebuilt(counted, page, customisation, tags)

    async def _each(
        self, resolution: Resolution, work: Callable[[Pin], Awaitable[T]]
    ) -> dict[str, T | BaseException]:
        """What `work` gives for every release of a set, by project."""

        async def told(pin: Pin) -> T:
            try:
                return await work(pin)
            except DerivationError as error:
                way = way_to(pin, resolution, asked_for(self._given))
                if len(way) > 1:
                    error.add_note(" needs ".join(way))
                raise

        tasks = [asyncio.create_task(told(pin)) for pin in resolution.pins]
        if tasks and not self._keep_going:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        return {
            pin.name: result
            for pin, result in zip(resolution.pins, results, strict=True)
        }

    async def _misled(self, resolution: Resolution) -> bool:
        """Whether a source that is not built says something else than its index."""
        if not self._request.dependencies:
            return False
        return await believe_sources(
            self.resolutions, self._sources, resolution.pins, self._steps.report
        )

    def _contradictions(self, built: Mapping[str, BuiltWheel | BaseException]) -> bool:
        """Whether a wheel needs something else than what was resolved upon."""
        if not self._request.dependencies:
            return False
        return believe_wheels(self.resolutions, built.values(), self._steps.report)
