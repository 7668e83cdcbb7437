"""A real interpreter, base, sandbox and environment, to run commands and backends in."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fromager.derivations.building.bubblewrap import find_bubblewrap
from fromager.derivations.building.environment import base_files
from fromager.derivations.building.hooks import HookPlace, run_hook
from fromager.derivations.building.platform import host_platform
from fromager.derivations.building.probe import probe
from fromager.derivations.building.sandbox import (
    Mount,
    SandboxSpec,
    keyed_environment,
    unkeyed_environment,
)
from fromager.derivations.building.stopping import StopSignal
from support.facts import FolderFacts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.derivations.building.hooks import HookAnswer, HookRequest
    from fromager.derivations.building.platform import HostBase
    from fromager.derivations.building.sandbox import Sandbox, SandboxExit
    from fromager.derivations.interpreter import Interpreter


@dataclass(frozen=True)
class Workbench:
    """All that a build needs, apart from its source."""

    interpreter: Interpreter
    base: HostBase
    sandbox: Sandbox
    environment: Path
    scratch: Path

    @classmethod
    def make(cls, folder: Path, python: str = sys.executable) -> Workbench:
        """A workbench in the full sandbox; what is costly is kept in the folder."""
        facts = FolderFacts(folder / "facts")
        interpreter = probe(python, facts)
        base = host_platform(interpreter, folder / "hosts", facts, thorough=False)
        environment = folder / "environment"
        if not environment.exists():
            _make_environment(environment, interpreter)
        sandbox = find_bubblewrap(os.defpath)
        return cls(interpreter, base, sandbox, environment, folder)

    def with_sandbox(self, sandbox: Sandbox) -> Workbench:
        """The same in another sandbox."""
        return replace(self, sandbox=sandbox)

    def run(
        self,
        *command: str,
        stop: StopSignal | None = None,
        variables: Mapping[str, str] | None = None,
        mounts: tuple[Mount, ...] = (),
        timeout: float | None = 60,
        memory: int | None = None,
        cores: int = 1,
        output_limit: int = 1 << 20,
    ) -> tuple[SandboxExit, str]:
        """Run a command in an empty `/build`; how it ended, and what it wrote."""
        place = self.place()
        spec = SandboxSpec(
            command=command,
            mounts=(
                *self.base.mounts,
                Mount(str(self.environment), "/env"),
                Mount(str(place.folder), "/build", writable=True),
                *mounts,
            ),
            links=self.base.links,
            environment={
                **unkeyed_environment(cores),
                **keyed_environment(315532800, {}),
                **(variables or {}),
            },
            cwd="/build/src",
            cores=cores,
            timeout=timeout,
            memory=memory,
            output_limit=output_limit,
        )
        output = bytearray()
        ending = self.sandbox.run(spec, output.extend, stop or StopSignal())
        return ending, output.decode(errors="replace")

    def ask(
        self,
        request: HookRequest,
        files: Mapping[str, str],
        *,
        place: HookPlace | None = None,
        timeout: float | None = 60,
    ) -> tuple[HookAnswer, str]:
        """Have a backend answer for a source of these files."""
        place = place or self.place()
        for name, text in files.items():
            path = place.source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        output = bytearray()
        answer = run_hook(
            self.sandbox,
            self.base,
            place,
            self.environment,
            request,
            environment=keyed_environment(315532800, {}),
            cores=1,
            timeout=timeout,
            output=output.extend,
            stop=StopSignal(),
        )
        return answer, output.decode(errors="replace")

    def place(self) -> HookPlace:
        """A new private folder."""
        folder = Path(tempfile.mkdtemp(prefix="build-", dir=self.scratch))
        return HookPlace.make(folder / "build")


def _make_environment(folder: Path, interpreter: Interpreter) -> None:
    for name, content in base_files(interpreter).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.symlink_to(content)
        else:
            path.write_bytes(content)
