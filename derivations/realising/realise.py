"""Realise: from requirements to the wheels of one consistent set, in the store."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fromager.derivations.realising.means import Means
from fromager.derivations.realising.preferences import NO_PREFERENCES
from fromager.derivations.realising.run import Run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.derivations.realising.lock_making import Planned
    from fromager.derivations.realising.preferences import Preferences
    from fromager.derivations.realising.request import Realised, RealiseRequest
    from fromager.derivations.realising.steps import Steps
    from fromager.derivations.resolution.outcome import Resolved
    from fromager.store import Digest


@dataclass(frozen=True)
class Realiser(Means):
    """Realises one request after the other with the same means."""

    def realise(
        self, request: RealiseRequest, steps: Steps
    ) -> tuple[Realised, Mapping[str, Digest]]:
        """The wheels of a request, and by project what the pages said that were read.

        Raises:
            ResolutionError: no versions fit.
            BuildError: something could not be built (the first such error; with
                `keep_going` they are in the result instead).
        """
        run = Run(self, request, steps)
        return asyncio.run(run.realise()), run.resolutions.page_digests

    def resolve(
        self,
        request: RealiseRequest,
        steps: Steps,
        preferences: Preferences = NO_PREFERENCES,
    ) -> Resolved:
        """The versions of a request; backends are asked where nothing else tells.

        Raises:
            ResolutionError: no versions fit.
            BuildError: a backend gave no answer, or one of its tools was not built.
        """
        run = Run(self, request, steps, preferences, resolves=True)
        return asyncio.run(run.resolve())

    def plan(
        self,
        request: RealiseRequest,
        steps: Steps,
        preferences: Preferences = NO_PREFERENCES,
    ) -> Planned:
        """What a request comes to: versions, and what each is built with.

        Backends are asked, so what they are built with is built; what was asked for
        is not, unless nothing else tells what it needs.

        Raises:
            ResolutionError: no versions fit.
            BuildError: a backend gave no answer, or one of the tools was not built.
        """
        run = Run(self, request, steps, preferences)
        return asyncio.run(run.plan())
