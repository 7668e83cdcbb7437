"""The sdists that those are given who hear of wheels: built by plugins, or fetched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fromager.derivations.realising.overriding import OverriddenSteps, Surroundings
from fromager.derivations.realising.plugin_calls import SDIST, SDIST_NEEDS

if TYPE_CHECKING:
    from pathlib import Path

    from fromager.derivations.plugins.use import Override
    from fromager.derivations.realising.attempt import Attempt
    from fromager.derivations.realising.beginnings import Beginnings
    from fromager.derivations.realising.build_environments import BuildEnvironments
    from fromager.derivations.realising.plan import Plan
    from fromager.derivations.realising.steps import Step, Steps
    from fromager.store import Digest


def archive_of(steps: Steps, sdist: Step | None, plan: Plan | None) -> Path | None:
    """The file that belongs to a wheel, in the store: what a plugin built, or else what
    the wheel was built from; None if that was no file."""
    if sdist is not None:
        return next(steps.store.place(sdist.output).iterdir())
    if plan is None or plan.file is None:
        return None
    found = steps.known(steps.resolve(plan.file, ()).key)
    if found is None:
        return None
    place = steps.store.place(found.output)
    return place / str(dict(plan.file.options).get("filename", ""))


@dataclass(frozen=True)
class PluginSdists:
    """Has plugins build sdists, in the environments that wheels are built in."""

    beginnings: Beginnings
    rooms: BuildEnvironments

    def builder(self, override: Override | None) -> Override | None:
        """The plugin, if it builds sdists."""
        builds = override is not None and override.plugin.overrides(SDIST)
        return override if builds else None

    async def build(
        self, attempt: Attempt, required: tuple[str, ...], override: Override
    ) -> Step:
        """The sdist; `required` is what the wheel is built with."""
        subject, arrangement = attempt.subject, attempt.arrangement
        steps, setting = self.beginnings.steps, self.beginnings.setting
        overridden = OverriddenSteps(steps)
        surroundings = Surroundings(
            override,
            arrangement.options(self.beginnings.target, ""),
            arrangement.epoch,
            arrangement.effects.build_dir,
            arrangement.variables,
        )
        environment = attempt.environment
        answers: tuple[Digest, ...] = ()
        if override.plugin.overrides(SDIST_NEEDS):
            answer = await overridden.requires(
                subject,
                SDIST_NEEDS,
                attempt.source,
                environment.step,
                surroundings,
                setting,
            )
            wanted = (*required, *overridden.answered(answer))
            environment = await self.rooms.environment(subject, wanted)
            answers = (answer.realisation.key,)
        return await overridden.sdist(
            subject, attempt.source, environment.step, surroundings, setting, answers
        )
