"""What builds need, found out before anything is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fromager.derivations.realising.attempt import Work

if TYPE_CHECKING:
    from packaging.version import Version

    from fromager.derivations.customisation.effects import Effects
    from fromager.derivations.realising.packages import Packages
    from fromager.derivations.resolution.candidate import Release
    from fromager.derivations.resolution.request import Request


class Lookahead:
    """Looks at sources on behalf of what will build them."""

    def __init__(self, packages: Packages) -> None:
        self._packages = packages
        self._seen: set[str] = set()

    async def look(self, name: str, version: Version, release: Release) -> None:
        """Fetch the source of a release, and of all that it is built with.

        Nothing is built but what must be asked.

        Raises:
            ResolutionError: nothing fits what it needs to be built.
        """
        subject = f"{name}=={version}"
        if subject in self._seen or release.prebuilt:
            return
        self._seen.add(subject)
        _, request = await self.wants(name, version, release)
        texts = [str(given.requirement) for given in request.requirements]
        resolution = await self._packages.rooms.resolution(subject, texts)
        for pin in resolution.pins:
            await self.look(pin.name, pin.version, pin.release)

    async def wants(
        self, name: str, version: Version, release: Release
    ) -> tuple[Effects, Request]:
        """What a release needs to be built, before its backend was asked."""
        packages, subject = self._packages, f"{name}=={version}"
        source = await packages.sources.tree(name, version, release)
        effects = packages.sources.effects(name, version, release)
        work = Work(subject, name, release, source, effects)
        beginning = await packages.beginnings.required(work)
        return effects, packages.rooms.request(subject, beginning.required)
