"""Steps that plugins do in place of what is done otherwise, as derivations.

The code of a plugin is an object of the store and an input of all that it has a say
in. It runs in the sandbox, with nothing of its own machine but that object.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fromager.derivations.building.hooks import HookPlace
from fromager.derivations.building.sandbox import (
    BUILD,
    ENVIRONMENT,
    Mount,
    keyed_environment,
    unkeyed_environment,
)
from fromager.derivations.derivation import Derivation, Kind
from fromager.derivations.errors import BuildError
from fromager.derivations.plugins.calling import (
    call_inside,
    failed,
    mounts,
    places_inside,
)
from fromager.derivations.realising import instantiate
from fromager.derivations.realising.backend import source_tree
from fromager.derivations.realising.build_log import BuildLog, last_lines
from fromager.derivations.realising.history import Failure, remember_failure
from fromager.derivations.realising.source_recipe import source_facts
from fromager.derivations.realising.steps import Made, Step, Steps
from fromager.derivations.sources.project import build_system
from fromager.derivations.versions import PLUGIN_REQUIRES_RECIPE, PLUGIN_SOURCE_RECIPE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fromager.derivations.building.sandbox import Stop
    from fromager.derivations.derivation import ResolvedDerivation, Value
    from fromager.derivations.plugins.use import Override, PluginUse
    from fromager.derivations.realising.environments import Environments
    from fromager.derivations.realising.target import BuildPolicy, Target
    from fromager.store import LocalStore, StorePath, Transaction

PREPARE = "prepare_source"
SYSTEM = "get_build_system_dependencies"


@dataclass(frozen=True)
class Setting:
    """Where a plugin is called."""

    store: LocalStore
    target: Target
    policy: BuildPolicy
    stop: Stop


@dataclass(frozen=True, slots=True)
class Call:
    """What a plugin is called with."""

    use: PluginUse
    code: StorePath
    environment: StorePath
    source: StorePath
    epoch: int
    build_dir: str
    variables: Mapping[str, str]
    archive: Path | None = None


def call_plugin(
    setting: Setting,
    call: Call,
    function: str,
    folder: Path,
    log: BuildLog,
) -> tuple[object, HookPlace]:
    """What a function gives, and the place in which it worked, which is made.

    Raises:
        PluginFailed: it gives nothing of use.
    """
    place = HookPlace.make(folder)
    tree = source_tree(setting.store, call.source)
    setting.store.materialise(tree, place.source, mtime=call.epoch)
    values = places_inside(call.build_dir)
    if call.archive is not None:
        (folder / "archive").mkdir()
        shutil.copyfile(call.archive, folder / "archive" / call.archive.name)
        name = f"{BUILD}/archive/{call.archive.name}"
        values |= {"archive": name, "source_filename": name}
    else:
        values |= {"archive": values["source"], "source_filename": values["source"]}
    project = place.source / call.build_dir / "pyproject.toml"
    system = build_system(project.read_bytes() if project.is_file() else None)
    found = call_inside(
        setting.target.sandbox,
        setting.target.base,
        folder,
        call.use.told(system.requires),
        function,
        (
            *mounts(setting.store.place(call.code)),
            Mount(str(setting.store.place(call.environment)), ENVIRONMENT),
        ),
        values,
        environment={**unkeyed_environment(setting.policy.cores), **call.variables},
        build_dir=call.build_dir,
        timeout=setting.policy.timeout,
        output=log,
        stop=setting.stop,
    )
    return found, place


def prepared_root(call: Call, found: object, place: HookPlace) -> Path:
    """The folder that `prepare_source` gave; the source itself if it gave none.

    Raises:
        PluginFailed: it is no folder, or lies elsewhere.
    """
    if found is None:
        return place.source
    path = Path(str(found))
    folder = place.folder.resolve()
    if path.is_relative_to(BUILD):
        path = folder / path.relative_to(BUILD)
    if not path.resolve().is_relative_to(folder) or not path.is_dir():
        raise failed(call.use, PREPARE, f"{found} is no folder below {BUILD}")
    return path


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
        use = override.using(PREPARE)
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
                found, place = call_plugin(setting, call, PREPARE, folder, log)
                root = prepared_root(call, found, place)
                name = instantiate.object_name(f"{subject.replace('==', '-')}-source")
                output = transaction.add_directory(root, name, consume=True)
                return Made(output, source_facts(epoch))

            return self._logged(subject, resolved, work)

        return await self.steps.step(derivation, tuple(inputs.values()), make)

    async def system_requires(
        self,
        subject: str,
        source: Step,
        surroundings: Surroundings,
        workshop: Workshop,
    ) -> tuple[str, ...]:
        """What the first environment must hold, as a plugin says."""
        override, code = surroundings.override, await self.code(surroundings.override)
        environment = await workshop.environments.environment({})
        setting = workshop.setting
        derivation = _requires(
            subject,
            source.derivation,
            environment.derivation,
            code.derivation,
            surroundings.options,
            SYSTEM,
        )
        call = Call(
            override.using(SYSTEM),
            code.output,
            environment.output,
            source.output,
            surroundings.epoch,
            surroundings.build_dir,
            surroundings.variables,
        )

        def make(transaction: Transaction, resolved: ResolvedDerivation) -> Made:
            def work(folder: Path, log: BuildLog) -> Made:
                found, _ = call_plugin(setting, call, SYSTEM, folder, log)
                name = instantiate.object_name(f"{subject}-requires.json")
                return Made(transaction.add_bytes(json.dumps(found).encode(), name))

            return self._logged(subject, resolved, work)

        inputs = (source, environment, code)
        step = await self.steps.step(derivation, inputs, make)
        return tuple(json.loads(self.steps.store.read_file(step.output, None)))

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
                return work(scratch.path / "build", log)
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
