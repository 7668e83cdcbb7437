"""A recorded build's call of its backend, read back from the derivation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from fromager.derivations.building import tools
from fromager.derivations.building.machine_view import MachineView
from fromager.derivations.building.system_needs import check_needs, check_openings
from fromager.derivations.customisation.values import (
    CompilerFlags,
    Opening,
    SystemKind,
    SystemNeed,
)
from fromager.derivations.errors import BuildError
from fromager.derivations.plugins.use import PluginUse
from fromager.derivations.realising.arrangement import (
    OPENINGS_FACT,
    RUST_FACT,
    SOURCE_FOLDER,
)
from fromager.derivations.realising.rust import ROLE
from fromager.derivations.rust.environment import BuildRust
from fromager.derivations.rust.toolchain import RustToolchain
from fromager.derivations.versions import RUST_RECIPE

if TYPE_CHECKING:
    from fromager.derivations.derivation import Value
    from fromager.derivations.realising.backend import BackendCall
    from fromager.derivations.realising.recorded import RecordedStep
    from fromager.derivations.realising.target import Target


def recorded_call(
    step: RecordedStep, plain: BackendCall, target: Target
) -> BackendCall:
    """The call with everything that the settings of the package had added to it.

    Raises:
        RebuildRefused: what was let in from the machine is not there, or another one.
    """
    options = dict(step.derivation.options)
    view = MachineView(target.base)
    openings = _openings(step, options, view)
    programs = _programs(step, options, view)
    settings = options.get("config_settings")
    late = options.get("late_variables")
    return replace(
        plain,
        config_settings=_config_settings(settings),
        build_dir=build_dir_of(step),
        late=_texts_by_name(late),
        flags=_flags(step, options.get("flags")),
        programs=programs,
        openings=openings,
        plugin=plugin_of(step),
        plugin_code=step.input("plugin") if "plugin" in options else None,
        rust=_rust(step),
    )


def plugin_of(step: RecordedStep) -> PluginUse | None:
    """The plugin that had a say in it; None if none had.

    Raises:
        RebuildRefused: it was called in another way.
    """
    value = step.derivation.option("plugin")
    if value is None:
        return None
    try:
        return PluginUse.parse(value, step.subject)
    except ValueError as error:
        raise step.refused(str(error)) from error


def build_dir_of(step: RecordedStep) -> str:
    """The folder with the project in it, relative to the source's root."""
    given = step.derivation.option("build_dir")
    text = given if isinstance(given, str) else SOURCE_FOLDER
    return text.removeprefix(SOURCE_FOLDER).strip("/")


def _flags(step: RecordedStep, value: Value) -> CompilerFlags:
    if not isinstance(value, Mapping):
        return CompilerFlags()
    if value.get("recipe") != tools.wrapper_recipe():
        raise step.refused("its compilers were wrapped in another way")
    c, cxx, link, remove = (
        _texts(value.get(n)) for n in ("c", "cxx", "link", "remove")
    )
    return CompilerFlags(c, cxx, link, remove)


def _openings(
    step: RecordedStep, options: Mapping[str, Value], view: MachineView
) -> tuple[Opening, ...]:
    recorded = _texts_by_name(options.get("openings"))
    fact = step.realisation.fact(OPENINGS_FACT)
    places = json.loads(fact) if fact else {}
    openings = tuple(Opening(places.get(at, at), at) for at in recorded)
    try:
        here = check_openings(step.subject, openings, view, step.store)
    except BuildError as error:
        raise step.refused(error.reason, hint=error.hint) from error
    _compare(step, recorded, here)
    return openings


def _rust(step: RecordedStep) -> BuildRust | None:
    recorded = step.derivation.option("rust")
    if not isinstance(recorded, Mapping):
        return None
    if recorded.get("recipe") != RUST_RECIPE:
        raise step.refused("its Rust was compiled in another way")
    try:
        toolchain = RustToolchain.of_fact(step.realisation.fact(RUST_FACT) or "")
    except (ValueError, TypeError) as error:
        reason = "nothing tells which Rust toolchain it was compiled with"
        raise step.refused(reason) from error
    try:
        here = toolchain.digest(step.store)
    except BuildError as error:
        raise step.refused(error.reason, hint=error.hint) from error
    if here != recorded.get("toolchain"):
        text = f"the Rust toolchain in {toolchain.root} is another one now"
        raise step.refused(text)
    return BuildRust(step.input(ROLE), toolchain)


def _programs(
    step: RecordedStep, options: Mapping[str, Value], view: MachineView
) -> dict[str, str]:
    recorded = _texts_by_name(options.get("system"))
    needs = []
    for text in recorded:
        kind, _, name = text.partition(" ")
        needs.append(SystemNeed(SystemKind(kind), name))
    try:
        here, programs = check_needs(step.subject, needs, view)
    except BuildError as error:
        raise step.refused(error.reason, hint=error.hint) from error
    _compare(step, recorded, here)
    return programs


def _compare(
    step: RecordedStep, recorded: Mapping[str, str], here: Mapping[str, str]
) -> None:
    for name, digest in recorded.items():
        if here.get(name) != digest:
            raise step.refused(f"{name} is not what it was when it was built")


def _config_settings(value: Value) -> dict[str, str | tuple[str, ...]]:
    if not isinstance(value, Mapping):
        return {}
    return {
        name: each if isinstance(each, str) else _texts(each)
        for name, each in value.items()
    }


def _texts(value: Value) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, tuple) else ()


def _texts_by_name(value: Value) -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {}
    return {name: str(each) for name, each in value.items()}
