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
    from collections.abc import Awaitable, Callable, Mapping

    from packaging.version import Version

    from fromager.derivations.realising.knowledge import KnowledgeBase
    from fromager.derivations.realising.packages import Packages
    from fromager.derivations.realising.sources import Sources
    from fromager.derivations.resolution.candidate import Release

REQUEST: Final = "request"
"""Who waits for what must be known before versions are settled."""


@dataclass
class Candidates:
    """The releases that one run looks at.

    What builds the first one of each project is fetched meanwhile: that is mostly the
    one that is chosen. Of what was asked for with its version the tools are built.
    """

    knowledge: KnowledgeBase
    sources: Sources
    first_packages: Callable[[], Awaitable[Packages]]
    """What builds as long as no versions of tools are chosen."""
    exact: Mapping[str, frozenset[Version]]
    """Projects that are named with a version: these are in every answer."""
    builds: bool
    """Whether what is chosen is then built."""
    looks_ahead: bool
    """Whether anything at all is made of what is chosen."""
    keep_going: bool

    def __post_init__(self) -> None:
        self._begun: dict[str, asyncio.Task[None]] = {}
        self._packages: asyncio.Task[Packages] | None = None

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
        """What builds while versions are settled: with the tools that are chosen for
        what was asked for with its version. Mostly they are chosen again in the end."""
        if self._packages is None:
            self._packages = asyncio.create_task(self._foreseen())
        return await asyncio.shield(self._packages)

    async def _foreseen(self) -> Packages:
        packages = await self.first_packages()
        named = await self.knowledge.look_up(sorted(self.exact))
        wanted = [(n, v) for n in sorted(self.exact) for v in sorted(self.exact[n])]
        found = frozenset(item for item in wanted if named(*item) is not None)
        if not found or not self.looks_ahead:
            return packages
        return await ToolPlanning(self.knowledge, packages).foresee(found)

    async def _begin(self, name: str, version: Version, release: Release) -> None:
        """Fetch what builds a release, and make it where the release is in every answer.

        If this fails, it fails again when it is its turn.
        """
        if not release.prebuilt:
            await self.sources.tree(name, version, release)
        packages = await self.packages()
        if self.builds and version in self.exact.get(name, ()):
            await packages.prepare(name, version, release)
        else:
            await Lookahead(packages).look(name, version, release)
