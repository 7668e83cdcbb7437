"""What releases need at run time, found out while versions are being settled."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fromager.derivations.errors import DerivationError, Stopped
from fromager.derivations.realising.lookahead import Lookahead
from fromager.derivations.realising.settling import static_needs
from fromager.derivations.realising.tool_planning import ToolPlanning
from fromager.derivations.resolution.candidate import Metadata

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from packaging.version import Version

    from fromager.derivations.realising.knowledge import KnowledgeBase
    from fromager.derivations.realising.packages import Packages
    from fromager.derivations.realising.sources import Sources
    from fromager.derivations.resolution.candidate import Release
    from fromager.derivations.resolution.request import Request

REQUEST: Final = "request"
"""Who waits for what must be known before versions are settled."""


@dataclass(frozen=True, slots=True)
class _Expectation:
    """What is probably built in the end."""

    packages: Packages
    """What builds that, with the tools that it probably has."""
    releases: frozenset[tuple[str, Version]]


@dataclass
class Candidates:
    """The releases that one run looks at.

    What builds the first one of each project is fetched meanwhile: that is mostly the
    one that is chosen. For what was asked for itself, that is built, too.
    """

    knowledge: KnowledgeBase
    sources: Sources
    first_packages: Callable[[], Awaitable[Packages]]
    """What builds as long as no versions of tools are chosen."""
    asked: Callable[[], Sequence[Request]]
    """What is resolved, each for itself."""
    exact: Mapping[str, frozenset[Version]]
    """Projects that are named with a version: these are in every answer."""
    builds: bool
    """Whether what is chosen is then built."""
    looks_ahead: bool
    """Whether anything at all is made of what is chosen."""
    keep_going: bool

    def __post_init__(self) -> None:
        self._begun: dict[str, asyncio.Task[None]] = {}
        self._expected: asyncio.Task[_Expectation] | None = None

    async def metadata(self, name: str, version: Version, release: Release) -> Metadata:
        """What a release needs: as its source promises, else as its backend says.

        Raises:
            DerivationError: that cannot be told, and not all is to be done that can.
        """
        if name not in self._begun and self.looks_ahead:
            self._begun[name] = asyncio.create_task(self._begin(name, version, release))
        try:
            static = await self.sources.metadata(name, version, release)
            if static is not None:
                return static_needs(static)
            # Who waits for this is the request: it goes before what nobody waits for.
            packages = await self.packages()
            if self.builds and version in self.exact.get(name, ()):
                # It is in every answer, and its wheel says what its backend would.
                built = await packages.wheel(name, version, release, REQUEST)
                return built.metadata
            return await packages.metadata(name, version, release, REQUEST)
        except DerivationError as error:
            if isinstance(error, Stopped) or not self.keep_going:
                raise
            # What it needs is not known. It fails again when it is built, and what
            # else was asked for is built all the same.
            return Metadata()

    async def packages(self) -> Packages:
        """What builds while versions are settled: with tools that are chosen for what
        was asked for, as if it had no needs. Mostly they are chosen again in the end.
        """
        return (await self._expectation()).packages

    async def _expectation(self) -> _Expectation:
        if self._expected is None:
            self._expected = asyncio.create_task(self._expect())
        return await asyncio.shield(self._expected)

    async def _expect(self) -> _Expectation:
        packages = await self.first_packages()
        first: frozenset[tuple[str, Version]] = frozenset()
        if self.looks_ahead:
            asked = map(self.knowledge.first_choices, self.asked())
            first = first.union(*await asyncio.gather(*asked))
        if first:
            packages = await ToolPlanning(self.knowledge, packages).foresee(first)
        return _Expectation(packages, first)

    async def _begin(self, name: str, version: Version, release: Release) -> None:
        """Fetch what builds a release, and build it where the release was asked for.

        If this fails, it fails again when it is its turn.
        """
        if not release.prebuilt:
            await self.sources.tree(name, version, release)
        expected = await self._expectation()
        if self.builds and (name, version) in expected.releases:
            await expected.packages.prepare(name, version, release)
        else:
            await Lookahead(expected.packages).look(name, version, release)
