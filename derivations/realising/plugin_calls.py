"""Plugins being called in the sandbox, each in a private folder with the source."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fromager.derivations.building.hooks import HookPlace
from fromager.derivations.building.sandbox import (
    BUILD,
    ENVIRONMENT,
    Mount,
    unkeyed_environment,
)
from fromager.derivations.building.scripts import hook_scripts
from fromager.derivations.plugins.calling import (
    HOOKS_SCRIPT,
    call_inside,
    failed,
    mounts,
    places_inside,
)
from fromager.derivations.plugins.packing import check_sdist
from fromager.derivations.realising.backend import source_tree
from fromager.derivations.sources.project import build_system

if TYPE_CHECKING:
    from fromager.derivations.building.sandbox import Stop
    from fromager.derivations.derivation import Value
    from fromager.derivations.plugins.use import PluginUse
    from fromager.derivations.realising.build_log import BuildLog
    from fromager.derivations.realising.target import BuildPolicy, Target
    from fromager.store import LocalStore, StorePath

PREPARE = "prepare_source"
SYSTEM = "get_build_system_dependencies"
FOLDER = "expected_source_directory_name"
SDIST = "build_sdist"
SDIST_NEEDS = "get_build_sdist_dependencies"
VARIABLES = "update_extra_environ"


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
    config_settings: Mapping[str, object] = field(default_factory=dict)


def prepare_source(
    setting: Setting, call: Call, folder: Path, log: BuildLog
) -> tuple[Path, HookPlace]:
    """The folder with the source as a plugin prepares it, and the place where it did.

    It is the one that the plugin gives; if it gives none, the one that it says it is
    to be found in, below its working folder; else the source as it was given.

    Raises:
        PluginFailed: there is no such folder, or it lies elsewhere.
    """
    place, values = _furnish(setting, call, folder)
    found = _ask(setting, call, PREPARE, folder, values, log)
    if found is None and FOLDER in call.use.functions:
        name = _ask(setting, call, FOLDER, folder, values, log)
        if name is not None and (folder / "tmp" / str(name)).is_dir():
            found = f"{BUILD}/tmp/{name}"
    return prepared_root(call, found, place), place


def build_sdist(setting: Setting, call: Call, folder: Path, log: BuildLog) -> Path:
    """The sdist that a plugin builds.

    Raises:
        PluginFailed: it wrote none, several, or one of something else.
    """
    place, values = _furnish(setting, call, folder)
    if VARIABLES in call.use.functions:
        changed = _ask(setting, call, VARIABLES, folder, values, log)
        assert isinstance(changed, dict)
        call = replace(call, variables=changed)
    _ask(setting, call, SDIST, folder, values, log)
    problem = check_sdist(place.out, call.use.package, call.use.version)
    if problem is not None:
        raise failed(call.use, SDIST, problem)
    return next(place.out.iterdir())


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
    place, values = _furnish(setting, call, folder)
    return _ask(setting, call, function, folder, values, log), place


def _furnish(
    setting: Setting, call: Call, folder: Path
) -> tuple[HookPlace, Mapping[str, str]]:
    """The place in which a plugin works, and where its parts are seen inside."""
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
    return place, values


def _ask(
    setting: Setting,
    call: Call,
    function: str,
    folder: Path,
    values: Mapping[str, str],
    log: BuildLog,
) -> object:
    """What a function gives, called in a place that is furnished."""
    project = HookPlace(folder).source / call.build_dir / "pyproject.toml"
    system = build_system(project.read_bytes() if project.is_file() else None)
    backend = {"_PYPROJECT_HOOKS_BUILD_BACKEND": system.backend}
    if system.backend_path:
        # A plugin may call the backend, as pyproject-hooks does it.
        paths = [f"{values['project']}/{path}" for path in system.backend_path]
        backend["_PYPROJECT_HOOKS_BACKEND_PATH_JSON"] = json.dumps(paths)
    script = Mount(str(hook_scripts()[HOOKS_SCRIPT]), HOOKS_SCRIPT)
    return call_inside(
        setting.target.sandbox,
        setting.target.base,
        folder,
        call.use.told(system.requires),
        function,
        (
            script,
            *mounts(setting.store.place(call.code)),
            Mount(str(setting.store.place(call.environment)), ENVIRONMENT),
        ),
        values,
        environment={
            **unkeyed_environment(setting.policy.cores),
            **call.variables,
            **backend,
        },
        build_dir=call.build_dir,
        config_settings=call.config_settings,
        timeout=setting.policy.timeout,
        output=log,
        stop=setting.stop,
    )


def settings_of(options: Mapping[str, Value]) -> Mapping[str, object]:
    """The `config_settings` that the options of a build name."""
    found = options.get("config_settings")
    return dict(found) if isinstance(found, Mapping) else {}


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
