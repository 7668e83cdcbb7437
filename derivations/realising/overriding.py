"""Steps that plugins do in place of what is done otherwise, as derivations.

The code of a plugin is an object of the store and an input of all that it has a say
in. It runs in the sandbox, with nothing of its own machine but that object.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from fromager.derivations.building.sandbox import keyed_environment
from fromager.derivations.derivation import Derivation, Kind
from fromager.derivations.errors import BuildError
from fromager.derivations.realising import instantiate
from fromager.derivations.realising.build_log import BuildLog, last_lines
from fromager.derivations.realising.history import Failure, remember_failure
from fromager.derivations.realising.host_facts import facts_of_folder
from fromager.derivations.realising.plugin_calls import (
    FOLDER,
    PREPARE,
    SDIST,
    VARIABLES,
    Call,
    Setting,
    build_sdist,
    call_plugin,
    prepare_source,
    settings_of,
)
from fromager.derivations.realising.source_recipe import source_facts
from fromager.derivations.realising.steps import Made, Step, Steps
from fromager.derivations.versions import (
    PLUGIN_REQUIRES_RECIPE,
    PLUGIN_SDIST_RECIPE,
    PLUGIN_SOURCE_RECIPE,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from fromager.derivations.derivation import ResolvedDerivation, Value
    from fromager.derivations.plugins.use import Override
    from fromager.derivations.realising.environments import Environments
    from fromager.store import Digest, Transaction


@dataclass(frozen=True, slots=True)
class Surroundings:
    """How the build is run in whose place a plugin is asked."""

    override: Override
    options: Mapping[str, Value]
    """What its key covers of that."""
    epoch: int
    build_dir: str
    variables: Mapping[str, str]


class Workshop(Protocol):
    """Where plugins are called for a run, known once the target is."""

    @property
    def setting(self) -> Setting:
        """Where they are called."""
        ...

    @property
    def environments(self) -> Environments:
        """Makes the environment that they are called in."""
        ...


@dataclass(frozen=True)
class OverriddenSteps:
    """Does what plugins override."""

    steps: Steps

    async def code(self, use: Override) -> Step:
        """The code of a plugin, in the store."""
        code = use.plugin.code
        name = f"plugin-{use.plugin.package}"

        def make(transaction: Transaction, resolved: ResolvedDerivation) -> Made:
            for content in code.files.values():
                transaction.put_blob(content)
            return Made(transaction.add_tree(code.tree, name))

        derivation = instantiate.take_folder(name, code.tree.digest)
        return await self.steps.step(derivation, (), make)

    async def source(
        self,
        subject: str,
        override: Override,
        source: Step,
        archive: Step | None,
        filename: str,
        build_dir: str,
        workshop: Workshop,
    ) -> Step:
        """A source as a plugin prepares it, from one that was prepared as usual."""
        use = override.using(*override.plugin.among(FOLDER, PREPARE))
        code = await self.code(override)
        environment = await workshop.environments.environment({})
        setting = workshop.setting
        epoch = int(source.realisation.fact("epoch") or 0)
        inputs = {"source": source, "plugin": code, "environment": environment}
        if archive is not None:
            inputs["archive"] = archive
        derivation = _source(
            subject,
            {role: step.derivation for role, step in inputs.items()},
            {
                "build_dir": build_dir,
                "epoch": epoch,
                "filename": filename if archive is not None else None,
                "platform": str(setting.target.base.platform.digest),
                "plugin": use.value,
                "sandbox": setting.target.sandbox_name,
            },
        )

        def make(transaction: Transaction, resolved: ResolvedDerivation) -> Made:
            packed = None
            if archive is not None:
                packed = self.steps.store.place(archive.output) / filename
            call = Call(
                use,
                code.output,
                environment.output,
                source.output,
                epoch,
                build_dir,
                keyed_environment(epoch, {}),
                packed,
            )

            def work(folder: Path, log: BuildLog) -> Made:
                root, _ = prepare_source(setting, call, folder, log)
                name = instantiate.object_name(f"{subject.replace('==', '-')}-source")
                output = transaction.add_directory(root, name, consume=True)
                return Made(output, source_facts(epoch))

            return self._logged(subject, resolved, work)

        return await self.steps.step(derivation, tuple(inputs.values()), make)

    async def requires(
        self,
        subject: str,
        function: str,
        source: Step,
        environment: Step,
        surroundings: Surroundings,
        setting: Setting,
    ) -> Step:
        """What an environment must hold, as a function of a plugin says."""
        override, code = surroundings.override, await self.code(surroundings.override)
        derivation = _requires(
            subject,
            source.derivation,
            environment.derivation,
            code.derivation,
            surroundings.options,
            function,
        )
        call = Call(
            override.using(function),
            code.output,
            environment.output,
            source.output,
            surroundings.epoch,
            surroundings.build_dir,
            surroundings.variables,
        )

        def make(transaction: Transaction, resolved: ResolvedDerivation) -> Made:
            def work(folder: Path, log: BuildLog) -> Made:
                found, _ = call_plugin(setting, call, function, folder, log)
                name = instantiate.object_name(f"{subject}-requires.json")
                return Made(transaction.add_bytes(json.dumps(found).encode(), name))

            return self._logged(subject, resolved, work)

        inputs = (source, environment, code)
        return await self.steps.step(derivation, inputs, make)

    def answered(self, requires: Step) -> tuple[str, ...]:
        """What such a function said."""
        return tuple(json.loads(self.steps.store.read_file(requires.output, None)))

    async def sdist(
        self,
        subject: str,
        source: Step,
        environment: Step,
        surroundings: Surroundings,
        setting: Setting,
        answers: tuple[Digest, ...],
    ) -> Step:
        """The sdist that a plugin builds of a prepared source; `answers` are the keys
        of what said what it is built with."""
        override, code = surroundings.override, await self.code(surroundings.override)
        use = override.using(*override.plugin.among(SDIST, VARIABLES))
        options = {**surroundings.options, "hook": SDIST, "plugin": use.value}
        inputs = {"environment": environment, "plugin": code, "source": source}
        derivation = Derivation(
            Kind.SDIST,
            subject,
            PLUGIN_SDIST_RECIPE,
            inputs=tuple((role, step.derivation) for role, step in inputs.items()),
            options=tuple(sorted(options.items())),
        )
        call = Call(
            use,
            code.output,
            environment.output,
            source.output,
            surroundings.epoch,
            surroundings.build_dir,
            surroundings.variables,
            config_settings=settings_of(surroundings.options),
        )

        def make(transaction: Transaction, resolved: ResolvedDerivation) -> Made:
            def work(folder: Path, log: BuildLog) -> Made:
                out = build_sdist(setting, call, folder, log).parent
                name = instantiate.object_name(f"{subject.replace('==', '-')}-sdist")
                output = transaction.add_directory(out, name, consume=True)
                return Made(output, answers=answers)

            return self._logged(subject, resolved, work)

        return await self.steps.step(derivation, tuple(inputs.values()), make)

    def _logged(
        self,
        subject: str,
        resolved: ResolvedDerivation,
        work: Callable[[Path, BuildLog], Made],
    ) -> Made:
        """What work gives in a private folder; its log is kept."""
        store = self.steps.store
        name = instantiate.object_name(subject)
        with store.scratch(name) as scratch:
            log = BuildLog(scratch.path / "log", subject, self.steps.report)
            try:
                made = work(scratch.path / "build", log)
                here = facts_of_folder(scratch.path)
                return replace(made, facts=(*made.facts, *here))
            except BuildError as error:
                error.log_tail = error.log_tail or last_lines(log.tail)
                error.log_of = subject
                failure = Failure(resolved.key, int(self.steps.clock()))
                remember_failure(store, subject, failure)
                raise
            finally:
                log.save(store, resolved)


def _source(
    subject: str, inputs: Mapping[str, Derivation], options: Mapping[str, Value]
) -> Derivation:
    """A source as a plugin prepares it, from one that was prepared as usual."""
    return Derivation(
        Kind.SOURCE,
        subject,
        PLUGIN_SOURCE_RECIPE,
        inputs=tuple(sorted(inputs.items())),
        options=tuple(sorted(options.items())),
    )


def _requires(
    subject: str,
    source: Derivation,
    environment: Derivation,
    plugin: Derivation,
    build: Mapping[str, Value],
    function: str,
) -> Derivation:
    """What a plugin says that an environment must hold, as a JSON list."""
    inputs = {"environment": environment, "plugin": plugin, "source": source}
    return Derivation(
        Kind.REQUIRES,
        subject,
        PLUGIN_REQUIRES_RECIPE,
        inputs=tuple(inputs.items()),
        options=tuple(sorted({**build, "hook": function}.items())),
    )
