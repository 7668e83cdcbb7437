"""What is known of projects and releases, and resolution upon it.

Resolution is a pure function that says what it misses. Here that is fetched, all of
it at once, and the function is asked again, until it has an answer.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from packaging.utils import canonicalize_name

from fromager.derivations.errors import ResolutionError
from fromager.derivations.index.releases import releases
from fromager.derivations.realising.events import Noted, Resolved
from fromager.derivations.realising.learning import SHORTEST_PAUSE, Learning
from fromager.derivations.realising.preferences import NO_PREFERENCES
from fromager.derivations.resolution.candidate import (
    Knowledge,
    Metadata,
    ProjectReleases,
    Release,
)
from fromager.derivations.resolution.cutoff import NO_CUTOFFS, exact_pins
from fromager.derivations.resolution.outcome import Impossible, Missing
from fromager.derivations.resolution.outcome import Resolved as Resolution
from fromager.derivations.resolution.resolver import Resolver
from fromager.derivations.resolution.tools import ToolChoice, ToolChooser
from fromager.store import blob_digest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from packaging.requirements import Requirement
    from packaging.version import Version

    from fromager.derivations.index.client import IndexClient
    from fromager.derivations.index.page import ProjectPage
    from fromager.derivations.realising.learning import Fact
    from fromager.derivations.realising.preferences import Preferences
    from fromager.derivations.realising.resolutions import AskMetadata
    from fromager.derivations.realising.steps import Steps
    from fromager.derivations.resolution.cutoff import Cutoffs
    from fromager.derivations.resolution.outcome import Outcome
    from fromager.derivations.resolution.request import Request
    from fromager.derivations.resolution.tools import ToolRequest
    from fromager.store import Digest

AskReleases: TypeAlias = "Callable[[], Awaitable[ProjectReleases]]"
"""Gives a project's releases, by whatever it takes; asked once."""
AskOverride: TypeAlias = "Callable[[], Awaitable[ProjectReleases | None]]"
"""The same; None: an index has them."""


def as_they_are(releases: ProjectReleases, page: ProjectPage) -> ProjectReleases:
    """Nothing is made of them."""
    return releases


def on_an_index(name: str) -> AskReleases | None:
    """Nothing else tells a project's releases."""
    return None


@dataclass
class KnowledgeBase:
    """All that was learnt in one run; projects are asked for once."""

    steps: Steps
    client: IndexClient
    adapt: Callable[[ProjectReleases, ProjectPage], ProjectReleases] = as_they_are
    """What is made of the releases that a page gives."""
    cutoffs: Cutoffs = NO_CUTOFFS
    """How new files may be, for every request."""
    preferences: Preferences = NO_PREFERENCES
    """What is taken rather than the newest version."""
    tagged: Callable[[str], AskReleases | None] = on_an_index
    """What tells the releases of a project whose versions are no index's."""

    def __post_init__(self) -> None:
        self._resolver = Resolver()
        self._projects: dict[str, ProjectReleases | None] = {}
        self._pages: dict[str, asyncio.Task[None]] = {}
        self.metadata: dict[tuple[str, Version], Metadata] = {}
        self.page_digests: dict[str, Digest] = {}
        """By project, what the indexes said of it."""
        self.page_stamps: dict[str, str] = {}
        """The same, and where its files are."""
        self.indexes: dict[str, str] = {}
        """By project, the address of the index that has it, without credentials; not
        for what is found on a page or in a folder of links."""
        self.elsewhere: dict[str, AskReleases] = {}
        """Projects that no index is asked for, and what tells their releases."""
        self.overridden: Callable[[str], AskOverride | None] = lambda name: None
        """What tells the releases of a project before any index is asked; it may leave
        that to the index."""

    async def of_request(
        self,
        request: Request,
        ask: AskMetadata,
        metadata: dict[tuple[str, Version], Metadata] | None = None,
    ) -> Resolution:
        """See `Resolutions.of_request`."""
        known = self.metadata if metadata is None else metadata
        preferred = request.preferring(self.preferences.installed)
        return await self._resolve("request", preferred, ask, known)

    async def of_environment(
        self, subject: str, request: Request, ask: AskMetadata
    ) -> Resolution:
        """See `Resolutions.of_environment`."""
        kept = self.preferences.to_build(subject)
        preferred = request.preferring(request.preferences, kept)
        return await self._resolve(f"build of {subject}", preferred, ask, self.metadata)

    def tool_chooser(self) -> ToolChooser:
        """What chooses from what is known, as long as nothing known is corrected."""

        def resolve(request: Request) -> Outcome:
            request = replace(request, cutoffs=self.cutoffs)
            knowledge = Knowledge(self._projects, self.metadata)
            return self._resolver.resolve(request, knowledge)

        return ToolChooser(resolve)

    async def choose_tools(
        self,
        chooser: ToolChooser,
        wanted: Mapping[str, ToolRequest],
        apart: frozenset[str],
        ask: AskMetadata,
    ) -> ToolChoice:
        """What build environments are to hold; see `ToolChooser.choose`."""
        while True:
            outcome = chooser.choose(wanted, apart)
            if isinstance(outcome, ToolChoice):
                return outcome
            asking = self._asking(outcome, ask, self.metadata)
            # All of it at once: what is chosen depends on each.
            await asyncio.gather(*(learn() for learn in asking.values()))

    def check_source(
        self, subject: str, source: Digest, content: Digest | None
    ) -> None:
        """See `Resolutions.check_source`: nothing is expected."""

    def comes_from_place(self, name: str, version: Version) -> bool:
        """See `Resolutions.comes_from_place`."""
        return self.release(name, version).source is not None

    async def _resolve(
        self,
        subject: str,
        request: Request,
        ask: AskMetadata,
        known: dict[tuple[str, Version], Metadata],
    ) -> Resolution:
        request = replace(request, cutoffs=self.cutoffs)
        learning = Learning(_certain(request))
        try:
            while True:
                started = time.perf_counter()
                knowledge = Knowledge(self._projects, known)
                outcome = self._resolver.resolve(request, knowledge)
                if not isinstance(outcome, Missing):
                    return self._told(subject, outcome)
                took = time.perf_counter() - started
                await learning.learn(
                    self._asking(outcome, ask, known), max(SHORTEST_PAUSE, 2 * took)
                )
        finally:
            learning.give_up()

    def _told(self, subject: str, outcome: Resolution | Impossible) -> Resolution:
        if isinstance(outcome, Impossible):
            raise ResolutionError(outcome.message, hint=outcome.hint)
        for warning in outcome.warnings:
            self.steps.report(Noted(subject, warning))
        self._tell_yanked(outcome)
        self.steps.report(Resolved(subject, len(outcome.pins)))
        return outcome

    def _tell_yanked(self, resolution: Resolution) -> None:
        for pin in resolution.pins:
            if pin.release.yanked is not None:
                reason = f": {pin.release.yanked}" if pin.release.yanked else ""
                text = f"used as asked for, though it was yanked{reason}"
                self.steps.report(Noted(f"{pin.name}=={pin.version}", text))

    def _asking(
        self,
        missing: Missing,
        ask: AskMetadata,
        known: dict[tuple[str, Version], Metadata],
    ) -> dict[Fact, Callable[[], Awaitable[None]]]:
        """How each thing that is missing is learnt, pages first."""

        async def learn(name: str, version: Version) -> None:
            found = await ask(name, version, self.release(name, version))
            known.setdefault((name, version), found)

        asking: dict[Fact, Callable[[], Awaitable[None]]] = {
            (name, None): partial(self._page, name) for name in sorted(missing.projects)
        }
        return asking | {
            item: partial(learn, *item) for item in sorted(missing.metadata)
        }

    async def first_choices(self, request: Request) -> frozenset[tuple[str, Version]]:
        """What a request is for if nothing that it names needs anything."""
        markers = {**request.markers, "extra": ""}
        needed = [given.requirement for given in request.requirements]
        applying = [each for each in needed if _applies(each, markers)]
        names = {canonicalize_name(each.name) for each in applying}
        await asyncio.gather(*map(self._page, sorted(names)))
        preferring = request.preferring(self.preferences.installed)
        asked = replace(preferring, cutoffs=self.cutoffs)
        outcome = self._resolver.resolve(asked, Knowledge(self._projects, {}))
        return outcome.metadata if isinstance(outcome, Missing) else frozenset()

    def release(self, name: str, version: Version) -> Release:
        """The release of a project that was looked up and has that version."""
        project = self._projects[name]
        if project is None:
            raise ResolutionError(f"{name} is on no index")
        release = _release(project, version)
        if release is None:
            raise ResolutionError(f"{name} {version} has no sdist on its index")
        return release

    async def _page(self, name: str) -> None:
        if name not in self._pages:
            self._pages[name] = asyncio.create_task(self._look_up(name))
        await asyncio.shield(self._pages[name])

    async def _look_up(self, name: str) -> None:
        if name in self.elsewhere:
            self._projects[name] = await self.elsewhere[name]()
            return
        if (ask := self.tagged(name)) is not None:
            tagged = await ask()
            self._projects[name] = tagged
            self._holds_once(name, repr(tagged))
            return
        told = self.overridden(name)
        if told is not None and (found := await told()) is not None:
            self._projects[name] = found
            return

        def look_up() -> ProjectReleases | None:
            cached = self.client.lookup(name)
            if cached is None:
                return None
            index, _, last = cached.url.rstrip("/").rpartition("/")
            if last == name:
                self.indexes[name] = f"{index}/"
            found = project_releases(cached.page)
            if cached.hides and last == name:
                found = replace(found, index=f"{index}/")
            if self.cutoffs.may_be_undated(cached.url):
                found = replace(found, undated=True)
            return self.adapt(found, cached.page)

        self._projects[name] = await self.steps.in_thread(look_up, network=True)
        seen = self.client.peek(name)
        if seen is not None:
            self.page_digests[name] = seen.digest
            self.page_stamps[name] = seen.stamp
        if _may_change(self._projects[name]):
            self._holds_once(name, "files that nobody promises")

    def _holds_once(self, name: str, said: str) -> None:
        """No page will say this again, so that it is looked at in every run."""
        self.page_digests[name] = blob_digest(said.encode())
        self.page_stamps[name] = "never again"


def _may_change(project: ProjectReleases | None) -> bool:
    """Whether files of this machine are offered without a hash."""
    releases = () if project is None else project.releases
    return any(r.sha256 is None and r.url.startswith("file:") for r in releases)


def _applies(requirement: Requirement, markers: Mapping[str, str]) -> bool:
    marker = requirement.marker
    return marker is None or marker.evaluate(dict(markers))


def _certain(request: Request) -> Callable[[Fact], bool]:
    """What every answer to a request needs."""
    requirements = [given.requirement for given in request.requirements]
    names = {canonicalize_name(each.name) for each in requirements}
    named = exact_pins(requirements)

    def certain(fact: Fact) -> bool:
        name, version = fact
        return name in names if version is None else version in named.get(name, ())

    return certain


def _release(project: ProjectReleases, version: Version) -> Release | None:
    usable = (r for r in project.releases if not (r.wheel_only or r.no_wheel))
    return next((each for each in usable if each.version == version), None)


def project_releases(page: ProjectPage) -> ProjectReleases:
    """A project's page as resolution wants it: sdists, and versions without one."""
    found = []
    for release in releases(page):
        sdist = release.sdist
        if sdist is None:
            found.append(
                Release(
                    release.version,
                    f"{page.project}-{release.version}",
                    "",
                    yanked=release.yanked,
                    wheel_only=True,
                )
            )
            continue
        found.append(
            Release(
                release.version,
                sdist.filename,
                sdist.url,
                sha256=sdist.sha256,
                requires_python=sdist.requires_python,
                yanked=sdist.yanked,
                upload_time=sdist.upload_time,
                size=sdist.size,
                metadata_served=sdist.has_metadata,
                metadata_sha256=sdist.metadata_sha256,
                provenance=sdist.provenance,
            )
        )
    return ProjectReleases(page.project, tuple(found), quarantined=page.quarantined)
