"""A backend run on a source in an environment, and the wheel that it wrote.

What a build and a repetition of it have in common: one recipe, so that a difference
between their outputs never comes of two.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fromager.derivations.building import tools
from fromager.derivations.building.diagnose import diagnose
from fromager.derivations.building.hooks import (
    HookAnswer,
    HookPlace,
    HookRequest,
    HookStatus,
    run_hook,
)
from fromager.derivations.building.machine_view import MachineView
from fromager.derivations.building.sandbox import Mount, unkeyed_environment
from fromager.derivations.building.wheel import inspect_wheel, normalise
from fromager.derivations.customisation.templates import finish
from fromager.derivations.customisation.values import NO_FLAGS
from fromager.derivations.errors import BuildError, SourceError, Stopped, WheelRefused
from fromager.derivations.plugins.overriding import Overriding
from fromager.derivations.sources.project import build_system
from fromager.store import Directory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from packaging.version import Version

    from fromager.derivations.building.hooks import Operation
    from fromager.derivations.building.sandbox import Stop
    from fromager.derivations.customisation.values import CompilerFlags, Opening
    from fromager.derivations.plugins.use import PluginUse
    from fromager.derivations.realising.target import BuildPolicy, Target
    from fromager.derivations.rust.environment import BuildRust
    from fromager.store import LocalStore, StorePath


@dataclass(frozen=True, slots=True)
class BackendCall:
    """What a backend is asked for, and what it is given."""

    subject: str
    """`stevedore==5.10.0`."""
    operation: Operation
    source: StorePath
    environment: StorePath
    accepted: tuple[str, ...]
    """Requirements that the backend may answer with: the environment holds them."""
    variables: Mapping[str, str]
    """All environment variables that the key covers."""
    epoch: int
    """The time of all files of the source, seconds since 1970."""
    config_settings: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    build_dir: str = ""
    """The folder with the project in it, relative to the source's root."""
    late: Mapping[str, str] = field(default_factory=dict)
    """Templates of variables that name the number of jobs or of cores."""
    flags: CompilerFlags = NO_FLAGS
    programs: Mapping[str, str] = field(default_factory=dict)
    """Programs of the machine that are seen in addition: name and place."""
    openings: tuple[Opening, ...] = ()
    rust: BuildRust | None = None
    """What it compiles Rust with, if it does."""
    jobs: int | None = None
    """Parallel jobs that the backend is told to run; None: one for each core."""
    plugin: PluginUse | None = None
    """A plugin that has a say in it."""
    plugin_code: StorePath | None = None

    def all_variables(self, cores: int) -> dict[str, str]:
        """All environment variables of the backend, which may use so many cores."""
        counted = unkeyed_environment(self.jobs or cores)
        counted["FROMAGER_BUILD_CORES"] = str(cores)
        return {**counted, **self.variables, **finish(self.late, counted)}

    def mounts(
        self, store: LocalStore, target: Target, folder: Path
    ) -> tuple[Mount, ...]:
        """What the backend sees in addition; what must be made lies in `folder`."""
        found = [
            Mount(opening.path, opening.at)
            for opening in self.openings
            if not opening.is_device
        ]
        if self.rust is not None:
            found += self.rust.mounts(store, target.sandbox.level)
        if self.flags or self.programs:
            view = MachineView(target.base)
            wrapped = tools.compilers(view) if self.flags else ()
            tools.write_tools(folder, wrapped, self.flags, self.programs)
            found.append(Mount(str(folder), tools.FOLDER))
        return tuple(found)


def source_tree(store: LocalStore, source: StorePath) -> Directory:
    """What a source holds."""
    tree = store.tree(source)
    if not isinstance(tree, Directory):
        raise SourceError(f"{source} is no source tree")
    return tree


def leave_source(folder: Path) -> None:
    """Do nothing with a source before the backend sees it."""


def call_backend(
    store: LocalStore,
    target: Target,
    policy: BuildPolicy,
    call: BackendCall,
    folder: Path,
    *,
    log: Callable[[bytes], None],
    log_tail: Callable[[], str],
    stop: Stop,
    prepare: Callable[[Path], None] = leave_source,
) -> HookAnswer:
    """The backend's answer, run in a private folder, which is made.

    Raises:
        BuildError: anything but a success, or the wish for more requirements.
        Stopped: `stop` was set.
    """
    place = HookPlace.make(folder)
    store.materialise(source_tree(store, call.source), place.source, mtime=call.epoch)
    prepare(place.source)
    if call.rust is not None:
        call.rust.configure(store, folder, target.sandbox.level)
    project = place.source / call.build_dir
    system = build_system(_read(project / "pyproject.toml"))
    overriding = None
    if call.plugin is not None and call.plugin_code is not None:
        overriding = Overriding.write(
            place,
            call.plugin.told(system.requires),
            store.place(call.plugin_code),
            target.sandbox,
            call.config_settings,
            call.build_dir,
            store.place(call.environment),
        )
    answer = run_hook(
        target.sandbox,
        target.base,
        place,
        store.place(call.environment),
        HookRequest(
            operation=call.operation,
            backend=system.backend,
            backend_path=system.backend_path,
            accept=call.accepted,
            config_settings=call.config_settings,
            build_dir=call.build_dir,
        ),
        environment=call.all_variables(policy.cores),
        cores=policy.cores,
        timeout=policy.timeout,
        output=log,
        stop=stop,
        mounts=call.mounts(store, target, folder.with_name("tools")),
        overriding=overriding,
        devices=tuple(each.path for each in call.openings if each.is_device),
    )
    if answer.status in (HookStatus.DONE, HookStatus.MORE):
        return answer
    if answer.status is HookStatus.HOOK_MISSING and call.operation == "prepare":
        return answer
    if answer.status is HookStatus.STOPPED:
        raise Stopped(f"{call.subject}: {answer.reason}")
    if overriding is not None:
        overriding.check()
    diagnosis = diagnose(log_tail())
    reason = answer.reason
    if diagnosis is not None:
        reason = f"{reason}: {diagnosis.cause}"
    hint = diagnosis.hint if diagnosis else None
    if answer.status is HookStatus.TIMED_OUT:
        hint = (
            "Give it more time: the setting `timeout`, for all packages or for it alone"
        )
    raise BuildError(call.subject, reason, hint=hint)


def take_wheel(
    name: str, version: Version, out: Path, target: Path, *, epoch: int
) -> tuple[tuple[str, str], ...]:
    """Check the one wheel that a backend left in `out`, and write it to `target`.

    It is in normal form there; gives what is recorded of it.

    Raises:
        WheelRefused: there is none, there are several, or it is malformed.
    """
    subject = f"{name}=={version}"
    wheels = sorted(out.glob("*.whl"))
    if len(wheels) != 1:
        found = ", ".join(wheel.name for wheel in wheels) or "none"
        raise WheelRefused(
            subject, f"its backend must write one wheel, it wrote {found}"
        )
    # Its content is checked on the way into the normal form.
    inspect_wheel(wheels[0], name=name, version=version)
    target.mkdir()
    try:
        digests = normalise(wheels[0], target / wheels[0].name, epoch=epoch)
    except WheelRefused as error:
        raise WheelRefused(subject, error.reason, hint=error.hint) from error
    return digests.facts


def take_metadata(subject: str, folder: Path) -> bytes:
    """The METADATA file in the folder that `prepare_metadata_for_build_wheel` wrote.

    Raises:
        BuildError: there is none.
    """
    content = _read(folder / "METADATA")
    if content is None:
        raise BuildError(subject, f"its backend wrote no METADATA into {folder.name}")
    return content


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
