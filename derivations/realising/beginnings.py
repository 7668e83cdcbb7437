"""Where a build begins: how it is run, and what its first environment must hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fromager.derivations.errors import SourceError
from fromager.derivations.realising.arrangement import Arrangement, arrange
from fromager.derivations.realising.events import Noted
from fromager.derivations.realising.overriding import OverriddenSteps, Surroundings
from fromager.derivations.realising.plugin_calls import SYSTEM, Setting
from fromager.derivations.realising.said import SaidByTrees
from fromager.derivations.sources.project import build_system

if TYPE_CHECKING:
    from fromager.derivations.customisation.rules import Assignment
    from fromager.derivations.realising.attempt import Work
    from fromager.derivations.realising.environments import Environments
    from fromager.derivations.realising.rust import Rust, RustUse
    from fromager.derivations.realising.sources import Sources
    from fromager.derivations.realising.steps import Steps
    from fromager.derivations.realising.target import BuildPolicy, Target
    from fromager.store import Digest


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a first environment must hold."""

    required: tuple[str, ...]
    answers: tuple[Digest, ...] = ()
    """The key of what a plugin said of it, if one did."""


@dataclass(frozen=True)
class Beginnings:
    """Finds out what builds begin with."""

    steps: Steps
    sources: Sources
    environments: Environments
    target: Target
    policy: BuildPolicy
    rust: Rust | None = None

    @property
    def setting(self) -> Setting:
        """Where plugins are called."""
        return Setting(self.steps.store, self.target, self.policy, self.steps.stop)

    async def begin(self, work: Work) -> Beginning:
        """What the first environment must hold; settings without effect are told.

        Raises:
            SourceError: the source does not have what settings say, or no sense.
        """
        for each in work.effects.unused:
            text = f"{each.origin}: {_without_effect(each)}"
            self.steps.report(Noted(work.subject, text))
        return await self.required(work)

    async def arrangement(self, work: Work, required: tuple[str, ...]) -> Arrangement:
        """How a build is run whose environment has to hold what is required."""
        return await self._arrange(work, await self._rust(work, required))

    async def required(self, work: Work) -> Beginning:
        """What the first environment of a build must hold; see `begin`."""
        subject, effects = work.subject, work.effects
        folder = effects.build_dir
        if folder and not self.sources.has_folder(work.source, folder):
            text = f"{subject}: its source has no folder {folder}"
            if effects.build_dir_origin:
                text += f" ({effects.build_dir_origin})"
            raise SourceError(text, hint="Correct the setting `build-dir`")
        requires = self._declared(work)
        answers: tuple[Digest, ...] = ()
        override = effects.override
        if override is not None and override.plugin.overrides(SYSTEM):
            # What Rust is compiled with is known only once this is.
            arrangement = await self._arrange(work, None)
            surroundings = Surroundings(
                override,
                arrangement.options(self.target, ""),
                arrangement.epoch,
                effects.build_dir,
                arrangement.variables,
            )
            overridden = OverriddenSteps(self.steps)
            step = await overridden.requires(
                subject,
                SYSTEM,
                work.source,
                await self.environments.environment({}),
                surroundings,
                self.setting,
            )
            requires = overridden.answered(step)
            answers = (step.realisation.key,)
        return Beginning((*requires, *effects.build_requires), answers)

    def _declared(self, work: Work) -> tuple[str, ...]:
        """What pyproject.toml says that a source is built with."""
        path = work.effects.in_project("pyproject.toml")
        # To load what a large tree holds takes longer than to look up what it says.
        said = SaidByTrees(self.steps.store)
        tree = work.source.realisation.output_digest
        known = said.recall(tree, path)
        if known is None:
            try:
                known = build_system(self.sources.member(work.source, path)).requires
            except SourceError as error:
                text = f"{work.subject}: {error}"
                raise SourceError(text, hint=error.hint) from error
            said.remember(tree, path, known)
        return known

    async def _rust(self, work: Work, required: tuple[str, ...]) -> RustUse | None:
        """What the build compiles Rust with, if it does."""
        if self.rust is None:
            return None
        markers = self.target.interpreter.marker_environment
        return await self.rust.use(
            work.subject, work.source, work.effects, required, markers
        )

    async def _arrange(self, work: Work, rust: RustUse | None) -> Arrangement:
        def make() -> Arrangement:
            return arrange(
                work.name,
                work.release.version,
                int(work.source.realisation.fact("epoch") or 0),
                work.effects,
                self.target,
                self.policy,
                self.steps.store,
                work.release.variables,
                rust,
            )

        # Only what is looked for on the machine takes long enough to be worth a thread.
        looks = work.effects.system or work.effects.openings or rust is not None
        arrangement = await self.steps.in_thread(make) if looks else make()
        if work.effects.override is None or arrangement.use is None:
            return arrangement
        code = await OverriddenSteps(self.steps).code(work.effects.override)
        return replace(arrangement, plugin=code)


def _without_effect(assignment: Assignment) -> str:
    # Only who has such settings pays for it.
    from fromager.derivations.customisation.upstream import without_effect

    return without_effect(assignment)
