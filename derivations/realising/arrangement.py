"""How one build is run, as the settings of its package have it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from fromager.derivations.building import tools
from fromager.derivations.building.machine_view import MachineView
from fromager.derivations.building.sandbox import keyed_environment, unkeyed_environment
from fromager.derivations.building.system_needs import check_needs, check_openings
from fromager.derivations.customisation.templates import InvalidTemplate, expand
from fromager.derivations.plugins.protocol import Stage
from fromager.derivations.realising import instantiate
from fromager.derivations.realising.rust import ROLE
from fromager.derivations.rust.environment import BuildRust, rust_environment
from fromager.derivations.versions import RUST_RECIPE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.version import Version

    from fromager.derivations.building.facts import Facts
    from fromager.derivations.customisation.effects import Effects
    from fromager.derivations.derivation import Value
    from fromager.derivations.plugins.use import PluginUse
    from fromager.derivations.realising.backend import BackendCall
    from fromager.derivations.realising.rust import RustUse
    from fromager.derivations.realising.steps import Step
    from fromager.derivations.realising.target import BuildPolicy, Target

RUST_FACT: Final = "rust"
"""The fact of a realisation that tells which Rust toolchain of the machine it had."""
SOURCE_FOLDER: Final = "/build/src"
"""Where the source lies inside, as keys have it."""
OPENINGS_FACT: Final = "openings"
"""The fact of a realisation that tells what of the machine was opened to it: places
inside and on the machine, as JSON."""


@dataclass(frozen=True)
class Arrangement:
    """One build's surroundings: what its key covers, and what it does not."""

    effects: Effects
    variables: Mapping[str, str]
    """Environment variables that the key covers, in full."""
    late: Mapping[str, str]
    """Templates of those that name the number of jobs or of cores."""
    system: Mapping[str, str]
    openings: Mapping[str, str]
    programs: Mapping[str, str]
    """Programs of the machine to copy, by name."""
    cores: int
    jobs: int
    timeout: float | None
    rust: RustUse | None = None
    toolchain: str = ""
    """Names the Rust toolchain, where there is one."""
    plugin: Step | None = None
    """The code of a plugin that has a say in the build."""

    @property
    def use(self) -> PluginUse | None:
        """How that plugin is used."""
        override = self.effects.override
        return None if override is None else override.use(Stage.BUILD)

    @property
    def inputs(self) -> Mapping[str, Step]:
        """What the build is given beside its source and its environment, by role."""
        found = {} if self.rust is None else {ROLE: self.rust.crates}
        return found if self.plugin is None else {**found, "plugin": self.plugin}

    def options(self, target: Target, runner: str) -> Mapping[str, Value]:
        """What the key of every step that runs the backend covers."""
        more: dict[str, Value] = {}
        if (use := self.use) is not None:
            more["plugin"] = use.value
        if self.late:
            more["late_variables"] = dict(self.late)
        if self.system:
            more["system"] = dict(self.system)
        if self.openings:
            more["openings"] = dict(self.openings)
        if self.effects.flags:
            flags = self.effects.flags
            more["flags"] = {
                "c": flags.c,
                "cxx": flags.cxx,
                "link": flags.link,
                "recipe": tools.wrapper_recipe(),
                "remove": flags.remove,
            }
        if self.rust is not None:
            more["rust"] = {"recipe": RUST_RECIPE, "toolchain": self.toolchain}
        return instantiate.build_options(
            platform=target.base.platform.digest,
            sandbox=target.sandbox_name,
            runner=runner,
            variables=self.variables,
            config_settings=self.effects.config_settings,
            build_dir=self.effects.build_dir,
            more=more,
        )

    @property
    def epoch(self) -> int:
        """SOURCE_DATE_EPOCH, which is also the time of the source's files."""
        return int(self.variables["SOURCE_DATE_EPOCH"])

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What is recorded beside the key: where on this machine that lies which the
        key names by content."""
        openings = {each.at: each.path for each in self.effects.openings}
        found = []
        if openings:
            found.append((OPENINGS_FACT, json.dumps(openings, sort_keys=True)))
        if self.rust is not None:
            found.append((RUST_FACT, self.rust.toolchain.fact))
        return tuple(found)

    def call(self, plain: BackendCall) -> BackendCall:
        """A call of the backend with all of this."""
        return replace(
            plain,
            config_settings=self.effects.config_settings,
            build_dir=self.effects.build_dir,
            late=self.late,
            flags=self.effects.flags,
            programs=self.programs,
            openings=self.effects.openings,
            jobs=self.jobs,
            plugin=self.use,
            plugin_code=None if self.plugin is None else self.plugin.output,
            rust=None
            if self.rust is None
            else BuildRust(self.rust.crates.output, self.rust.toolchain),
        )

    def limit(self, policy: BuildPolicy) -> BuildPolicy:
        """The policy with the cores and the time of this build."""
        return replace(policy, cores=self.cores, timeout=self.timeout)


def arrange(
    name: str,
    version: Version,
    epoch: int,
    effects: Effects,
    target: Target,
    policy: BuildPolicy,
    facts: Facts,
    told: tuple[tuple[str, str], ...] = (),
    rust: RustUse | None = None,
) -> Arrangement:
    """How a version is built; `epoch` is its source's SOURCE_DATE_EPOCH, `told` are
    variables that its source brings, which settings may replace, `rust` is what it
    compiles Rust with.

    Raises:
        InvalidTemplate: a variable that cannot be expanded.
        SystemPackageMissing: the machine lacks what it needs.
    """
    subject = f"{name}=={version}"
    view = MachineView(target.base)
    system, programs = check_needs(subject, effects.system, view)
    openings = check_openings(subject, effects.openings, view, facts)
    base = keyed_environment(epoch, {**dict(told), **policy.variables})
    if effects.flags or programs:
        base["PATH"] = f"{tools.FOLDER}:{base['PATH']}"
    if rust is not None:
        base = {**rust_environment(base), **dict(told), **policy.variables}
    late = {*unkeyed_environment(1)} - base.keys()
    expanded = expand(effects.variables, {**effects.host, **base}, late, str(version))
    _check_epoch(effects, {**base, **expanded.variables}, expanded.late)
    share = policy.share(exclusive=effects.exclusive)
    return Arrangement(
        effects,
        {
            n: v
            for n, v in {**base, **expanded.variables}.items()
            if n not in expanded.late
        },
        expanded.late,
        system,
        openings,
        programs,
        share.cores,
        share.jobs(effects.cores_per_job, effects.memory_per_job),
        policy.timeout if effects.timeout is None else effects.timeout,
        rust,
        "" if rust is None else rust.toolchain.digest(facts),
    )


def _check_epoch(
    effects: Effects, variables: Mapping[str, str], late: Mapping[str, str]
) -> None:
    """Refuse a SOURCE_DATE_EPOCH that is no time: files get it."""
    name = "SOURCE_DATE_EPOCH"
    value = late.get(name) or variables[name]
    if not (value.isascii() and value.isdecimal() and len(value) < 12):
        origin = [each.origin for each in effects.variables if each.name == name][-1]
        reason = f"{value!r} is no number of seconds since 1970"
        raise InvalidTemplate(origin, f"env {name}", reason, None)
