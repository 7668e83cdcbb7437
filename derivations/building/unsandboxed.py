"""The weakest level: a command is run as it is, on the machine as it is.

For machines without user namespaces. The environment is as in a sandbox, but paths
are not: those of mounts are replaced by the paths of this machine in the command, in
the variables and in the working directory.
"""

from __future__ import annotations

import os
import re
import signal
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from fromager.derivations.building.command import exit_of, with_limits
from fromager.derivations.building.launch import Cores, follow, open_pipe, spawn

if TYPE_CHECKING:
    from collections.abc import Callable

    from fromager.derivations.building.sandbox import SandboxExit, SandboxSpec, Stop


NO_SANDBOX: Final = "none"
"""The level of what is run so."""


@dataclass(frozen=True)
class UnsandboxedRunner:
    """Runs commands without a sandbox; what they see of the machine is not known."""

    _cores: Cores = field(default_factory=Cores, repr=False, compare=False)

    @property
    def level(self) -> str:
        """No sandbox at all."""
        return NO_SANDBOX

    def run(
        self, spec: SandboxSpec, output: Callable[[bytes], None], stop: Stop
    ) -> SandboxExit:
        """Run a command to its end; see `Sandbox.run`.

        Processes that leave its session are not found, and go on.
        """
        real = _Places(spec)
        with ExitStack() as held:
            cores = held.enter_context(self._cores.lend(spec.cores))
            with ExitStack() as passed:
                pipe, writing = open_pipe(held, passed)
                command = [real.text(word) for word in spec.command]
                process = spawn(
                    [
                        *spec.launch.prefix,
                        *with_limits(command, spec.memory, cwd=real.text(spec.cwd)),
                    ],
                    environment={
                        name: real.text(value)
                        for name, value in spec.environment.items()
                    },
                    output=writing,
                    inherited=(),
                    cores=cores,
                    personality=spec.launch.personality,
                )
            ending = follow(
                process,
                pipe,
                output=output,
                stop=stop,
                timeout=spec.timeout,
                limit=spec.output_limit,
                kill=lambda: _kill_session(process),
            )
            _kill_session(process)
        return exit_of(ending)


class _Places:
    """Where what is mounted inside lies on this machine."""

    def __init__(self, spec: SandboxSpec) -> None:
        # What is at its own place anyway needs no replacing.
        moved = {
            mount.inside: mount.host
            for mount in spec.mounts
            if mount.inside.startswith(("/build", "/env", "/fromager"))
        }
        names = "|".join(re.escape(name) for name in sorted(moved, reverse=True))
        self._moved = moved
        # A path begins where a word does, after `=`, or after a colon of a list.
        self._pattern = (
            re.compile(rf"(?<![\w/.-])({names})(?![\w.-])") if moved else None
        )

    def text(self, text: str) -> str:
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda found: self._moved[found.group(1)], text)


def _kill_session(process: int) -> None:
    # The process leads its session and its group; most that it started is in both.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process, signal.SIGKILL)
