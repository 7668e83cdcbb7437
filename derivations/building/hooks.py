"""Calling a build backend's hooks (PEP 517) in a sandbox, from outside of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal, Protocol

from fromager.derivations.building.sandbox import (
    BUILD,
    ENVIRONMENT,
    Mount,
    SandboxSpec,
    unkeyed_environment,
)
from fromager.derivations.building.scripts import hook_scripts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from fromager.derivations.building.platform import HostBase
    from fromager.derivations.building.sandbox import Sandbox, SandboxExit, Stop

Operation = Literal["ask", "wheel", "metadata", "prepare", "sdist"]

_RUNNER: Final = "/fromager/runner.py"
_HOOKS: Final = "/fromager/_in_process.py"


class HookStatus(Enum):
    """How a request to a backend ended."""

    DONE = "done"
    MORE = "more"
    """The backend wants requirements that were not accepted; nothing was built."""
    BACKEND_MISSING = "backend-missing"
    HOOK_MISSING = "hook-missing"
    UNSUPPORTED = "unsupported"
    RAISED = "raised"
    BAD_ANSWER = "bad-answer"
    NO_OUTPUT = "no-output"
    CRASHED = "crashed"
    TIMED_OUT = "timed-out"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class HookRequest:
    """What a backend is asked to do."""

    operation: Operation
    """`ask` for build requirements only; the others ask first, and go on. For `metadata`
    a wheel is built if the backend has no hook for it, for `prepare` nothing is."""
    backend: str
    """`setuptools.build_meta`, as `build-backend` in pyproject.toml."""
    backend_path: tuple[str, ...] = ()
    accept: tuple[str, ...] = ()
    """Requirements that the backend may answer with, word for word."""
    config_settings: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    build_dir: str = ""
    """The folder of the source in which hooks are called, relative to its root."""


@dataclass(frozen=True, slots=True)
class HookAnswer:
    """What came of it."""

    status: HookStatus
    requires: tuple[str, ...]
    """What the backend answered, when it was asked for its requirements."""
    result: str
    """The name below `out` that the hook returned; empty if it did not."""
    detail: str
    ending: SandboxExit

    @property
    def reason(self) -> str:
        """One sentence without a full stop."""
        return _REASONS[self.status].format(
            detail=self.detail, code=_code(self.ending), seconds=self.ending.duration
        )


_REASONS: Final = {
    HookStatus.DONE: "its backend did what it was asked for",
    HookStatus.MORE: "its backend needs more than it was given",
    HookStatus.BACKEND_MISSING: "its build backend cannot be loaded: {detail}",
    HookStatus.HOOK_MISSING: "its build backend has no hook {detail}",
    HookStatus.UNSUPPORTED: "its build backend does not support {detail}",
    HookStatus.RAISED: "its build backend failed: {detail}",
    HookStatus.BAD_ANSWER: "its build backend breaks PEP 517: {detail}",
    HookStatus.NO_OUTPUT: "its build backend breaks PEP 517: {detail}",
    HookStatus.CRASHED: "its build ended without an answer, {code}",
    HookStatus.TIMED_OUT: "its build was stopped after {seconds:.0f} seconds, "
    "the time that it was given",
    HookStatus.STOPPED: "its build was stopped",
}


@dataclass(frozen=True, slots=True)
class HookPlace:
    """The private folder of one build, seen as `/build` inside."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> HookPlace:
        """Make it, with an empty folder for the source, for output and for scratch."""
        place = cls(folder)
        for path in (folder, place.source, place.out, folder / "tmp"):
            path.mkdir()
            # Whatever the caller's umask is: builds can see it.
            path.chmod(0o755)
        return place

    @property
    def source(self) -> Path:
        """Where the source tree belongs; the working directory of all hooks."""
        return self.folder / "src"

    @property
    def out(self) -> Path:
        """What hooks write, and nothing else."""
        return self.folder / "out"


class HooksOverridden(Protocol):
    """What stands in for the script that calls hooks."""

    @property
    def script(self) -> str:
        """Where it is seen inside."""
        ...

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """What is seen beside, so that it can be run."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables that it takes away before the backend is loaded."""
        ...


def run_hook(
    sandbox: Sandbox,
    base: HostBase,
    place: HookPlace,
    environment_folder: Path,
    request: HookRequest,
    *,
    environment: Mapping[str, str],
    cores: int,
    timeout: float | None,
    output: Callable[[bytes], None],
    stop: Stop,
    mounts: Sequence[Mount] = (),
    devices: tuple[str, ...] = (),
    overriding: HooksOverridden | None = None,
) -> HookAnswer:
    """Have a backend do something to the source that lies in a place.

    With `overriding`, another script stands in for the one that calls hooks.
    `environment_folder` is the build environment, `environment` the variables that
    the key covers. `output` gets what the backend prints. `mounts` and `devices` are
    what this build sees in addition.

    Raises:
        SandboxUnavailable: the sandbox cannot be set up.
    """
    request_file = place.folder / "request.json"
    request_file.write_text(
        json.dumps(
            {
                "operation": request.operation,
                "backend": request.backend,
                "backend_path": request.backend_path,
                "accept": request.accept,
                "config_settings": dict(request.config_settings),
                "build_dir": request.build_dir,
            }
        )
    )
    scripts = [Mount(str(path), inside) for inside, path in hook_scripts().items()]
    called = _HOOKS
    if overriding is not None:
        called = overriding.script
        environment = {**environment, **overriding.environment}
        mounts = (*mounts, *overriding.mounts)
    spec = SandboxSpec(
        command=(f"{ENVIRONMENT}/bin/python", _RUNNER, BUILD, called),
        mounts=(
            *base.mounts,
            Mount(str(environment_folder), ENVIRONMENT),
            *scripts,
            *mounts,
            Mount(str(place.folder), BUILD, writable=True),
        ),
        links=base.links,
        environment={**unkeyed_environment(cores), **environment},
        cwd=f"{BUILD}/src",
        devices=devices,
        cores=cores,
        timeout=timeout,
    )
    return _read(place, sandbox.run(spec, output, stop))


def _read(place: HookPlace, ending: SandboxExit) -> HookAnswer:
    if ending.stopped:
        return HookAnswer(HookStatus.STOPPED, (), "", "", ending)
    if ending.timed_out:
        return HookAnswer(HookStatus.TIMED_OUT, (), "", "", ending)
    try:
        answer = json.loads((place.folder / "answer.json").read_bytes())
        return HookAnswer(
            HookStatus(answer["status"]),
            tuple(str(item) for item in answer["requires"]),
            str(answer["result"]),
            str(answer["detail"]),
            ending,
        )
    except (OSError, ValueError, KeyError, TypeError):
        # Never started, or ended by itself or by a signal in the middle of a hook.
        return HookAnswer(HookStatus.CRASHED, (), "", "", ending)


def _code(ending: SandboxExit) -> str:
    if ending.signal is not None:
        return f"ended by signal {ending.signal}"
    return f"with exit code {ending.code}"
