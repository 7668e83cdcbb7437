"""Bytecode for a layout, made by the interpreter that will run it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fromager.derivations.building.sandbox import (
    ENVIRONMENT,
    Mount,
    SandboxSpec,
    keyed_environment,
)
from fromager.derivations.building.scripts import BYTECODE, INSIDE
from fromager.derivations.errors import BuildError, Stopped

if TYPE_CHECKING:
    from pathlib import Path

    from fromager.derivations.building.platform import HostBase
    from fromager.derivations.building.sandbox import Sandbox, Stop
    from fromager.derivations.interpreter import Interpreter

SCRIPT: Final = f"{INSIDE}/bytecode.py"
_TIMEOUT: Final = 1800.0


def compile_bytecode(
    sandbox: Sandbox,
    base: HostBase,
    interpreter: Interpreter,
    folder: Path,
    stop: Stop,
) -> None:
    """Put bytecode beside every module below a folder that will be seen at `/env`.

    Raises:
        BuildError: the compiler itself failed; modules that do not compile are
            passed over.
        Stopped: `stop` was set.
    """
    output = bytearray()
    ending = sandbox.run(
        SandboxSpec(
            command=(
                interpreter.executable,
                "-S",
                "-s",
                SCRIPT,
                ENVIRONMENT,
                ENVIRONMENT,
            ),
            mounts=(
                *base.mounts,
                Mount(str(folder), ENVIRONMENT, writable=True),
                Mount(str(BYTECODE), SCRIPT),
            ),
            links=base.links,
            environment=keyed_environment(0, {}),
            cwd="/",
            timeout=_TIMEOUT,
        ),
        output.extend,
        stop,
    )
    if ending.stopped:
        raise Stopped(f"{folder.name}: its compilation was stopped")
    if not ending.succeeded:
        lines = output.decode("utf-8", "replace").splitlines()[-20:]
        raise BuildError(folder.name, "no bytecode came of it", log_tail=tuple(lines))
