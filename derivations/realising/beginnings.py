"""Where a build begins: how it is run, and what its first environment must hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fromager.derivations.errors import SourceError
from fromager.derivations.realising.arrangement import Arrangement, arrange
from fromager.derivations.realising.events import Noted
from fromager.derivations.realising.overriding import OverriddenSteps, Setting
from fromager.derivations.sources.project import build_system

if TYPE_CHECKING:
    from fromager.derivations.realising.attempt import Work
    from fromager.derivations.realising.environments import Environments
    from fromager.derivations.realising.sources import Sources
    from fromager.derivations.realising.steps import Steps
    from fromager.derivations.realising.target import BuildPolicy, Target


@dataclass(frozen=True)
class Beginnings:
    """Finds out what builds begin with."""

    steps: Steps
    sources: Sources
    environments: Environments
    target: Target
    policy: BuildPolicy

    @property
    def setting(self) -> Setting:
        """Where plugins are called."""
        return Setting(self.steps.store, self.target, self.policy, self.steps.stop)

    async def arrangement(self, work: Work) -> Arrangement:
        """How a build is run, as the settings of its package have it."""
        if work.effects.unused:
            from fromager.derivations.customisation.upstream import without_effect
        for each in work.effects.unused:
            text = f"{each.origin}: {without_effect(each)}"
            self.steps.report(Noted(work.subject, text))
        arrangement = await self.steps.in_thread(
            lambda: arrange(
                work.name,
                work.release.version,
                int(work.source.realisation.fact("epoch") or 0),
                work.effects,
                self.target,
                self.policy,
                self.steps.store,
                work.release.variables,
            )
        )
        if work.effects.override is None or arrangement.use is None:
            return arrangement
        code = await OverriddenSteps(self.steps).code(work.effects.override)
        return replace(arrangement, plugin=code)

    async def required(
        self, work: Work, arrangement: Arrangement | None = None
    ) -> tuple[str, ...]:
        """What the first environment of a build must hold.

        Raises:
            SourceError: the source does not have what settings say, or no sense.
        """
        subject, effects = work.subject, work.effects
        folder = effects.build_dir
        if folder and not self.sources.has_folder(work.source, folder):
            text = f"{subject}: its source has no folder {folder}"
            raise SourceError(text, hint="Correct the setting `build-dir`")
        try:
            system = build_system(
                self.sources.member(work.source, effects.in_project("pyproject.toml"))
            )
        except SourceError as error:
            text = f"{subject}: {error}"
            raise SourceError(text, hint=error.hint) from error
        requires: tuple[str, ...] = system.requires
        if effects.override is not None:
            arrangement = arrangement or await self.arrangement(work)
            said = await OverriddenSteps(self.steps).system_requires(
                subject, work.source, arrangement, self
            )
            requires = requires if said is None else said
        return (*requires, *effects.build_requires)
