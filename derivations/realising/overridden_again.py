"""Recorded steps of plugins and annotations, done once more."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from fromager.derivations.annotating.annotation import Recorded
from fromager.derivations.annotating.wheel import annotate
from fromager.derivations.building.sandbox import keyed_environment
from fromager.derivations.realising.build_log import BuildLog
from fromager.derivations.realising.plugin_calls import (
    Call,
    Setting,
    build_sdist,
    call_plugin,
    prepare_source,
    settings_of,
)
from fromager.derivations.realising.recorded_call import build_dir_of, plugin_of
from fromager.derivations.realising.source_recipe import source_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from fromager.derivations.realising.rebuilding import RebuildMeans
    from fromager.derivations.realising.recorded import RecordedStep
    from fromager.derivations.realising.target import Target
    from fromager.store import LocalStore

T = TypeVar("T")
Facts: TypeAlias = "tuple[tuple[str, str], ...]"


def annotated_again(
    store: LocalStore, step: RecordedStep, folder: Path
) -> tuple[Path, Facts]:
    """Where the wheel lies, and what is recorded of it.

    Raises:
        RebuildRefused: the derivation does not tell what was added.
    """
    options = dict(step.derivation.options)
    try:
        said = Recorded.parse(options.get("annotation"), options.get("origin"))
    except ValueError as error:
        raise step.refused(str(error)) from error
    place = folder / "wheel"
    place.mkdir()
    packed = store.place(step.input("wheel")) / step.text("filename")
    made = annotate(packed, place, said.annotation, said.origin)
    return place, made.digests.facts


@dataclass(frozen=True)
class PluginAgain:
    """A plugin being called once more, in a private folder."""

    means: RebuildMeans
    step: RecordedStep
    target: Target
    folder: Path

    def source(self) -> tuple[Path, Facts]:
        """The source that it prepares, and what is recorded of it."""
        epoch = int(str(self.step.derivation.option("epoch")))
        filename = self.step.derivation.option("filename")
        archive = None
        if isinstance(filename, str):
            archive = self.means.store.place(self.step.input("archive")) / filename
        variables = keyed_environment(epoch, {})
        call = self._call(epoch, self.step.text("build_dir"), variables)
        root, _ = self._logged(
            lambda setting, log: prepare_source(
                setting, replace(call, archive=archive), self.folder / "build", log
            )
        )
        return root, source_facts(epoch)

    def sdist(self) -> Path:
        """The folder with the sdist that it builds."""
        variables = self.step.texts("variables")
        epoch = int(variables.get("SOURCE_DATE_EPOCH", "0"))
        call = replace(
            self._call(epoch, build_dir_of(self.step), variables),
            config_settings=settings_of(dict(self.step.derivation.options)),
        )
        return self._logged(
            lambda setting, log: (
                build_sdist(setting, call, self.folder / "build", log).parent
            )
        )

    def requires(self) -> Path:
        """A file with the requirements that it tells."""
        variables = self.step.texts("variables")
        epoch = int(variables.get("SOURCE_DATE_EPOCH", "0"))
        call = self._call(epoch, build_dir_of(self.step), variables)
        function = self.step.text("hook")
        found, _ = self._logged(
            lambda setting, log: call_plugin(
                setting, call, function, self.folder / "build", log
            )
        )
        path = self.folder / "requires.json"
        path.write_bytes(json.dumps(found).encode())
        return path

    def _call(self, epoch: int, build_dir: str, variables: Mapping[str, str]) -> Call:
        use = plugin_of(self.step)
        if use is None:
            raise self.step.refused("its derivation does not tell its plugin")
        code, environment, source = (
            self.step.input(role) for role in ("plugin", "environment", "source")
        )
        return Call(use, code, environment, source, epoch, build_dir, variables)

    def _logged(self, work: Callable[[Setting, BuildLog], T]) -> T:
        means = self.means
        setting = Setting(means.store, self.target, means.policy, means.stop)
        log = BuildLog(self.folder / "log", self.step.subject, means.report)
        try:
            return work(setting, log)
        finally:
            log.close()
