"""The shell around every command: it sets limits, and ends what is left over."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Final

from fromager.derivations.building.sandbox import SandboxExit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fromager.derivations.building.launch import Ending

_SHELL: Final = "/bin/sh"
_SIGNALLED: Final = 128
_LIMITS: Final = (
    "umask 022",
    "ulimit -c 0",
    "ulimit -S -n 1024",
    # Above what the machine permits it stays as it is.
    "ulimit -H -n 524288 2>/dev/null",
    "ulimit -s 8192",
)


def with_limits(
    command: Sequence[str], memory: int | None, *, cwd: str | None = None
) -> list[str]:
    """The command in a shell with the limits of a build.

    `memory` is in bytes of address space. The shell waits for the command: as
    process 1 of a sandbox it takes all other processes with it when it ends.
    """
    limits = list(_LIMITS)
    if memory is not None:
        limits.append(f"ulimit -v {memory // 1024}")
    script = f'{"; ".join(limits)}; "$@"; exit $?'
    if cwd is not None:
        return [_SHELL, "-c", f'cd "$1" && shift && {script}', "sh", cwd, *command]
    return [_SHELL, "-c", script, "sh", *command]


def exit_of(ending: Ending) -> SandboxExit:
    """How the command ended, from how the process that started it did."""
    status = os.waitstatus_to_exitcode(ending.status)
    code: int | None = status
    number: int | None = None
    if status < 0:
        code, number = None, -status
    elif _SIGNALLED < status <= _SIGNALLED + signal.SIGRTMAX:
        # The shell says so of a command that a signal ended.
        code, number = None, status - _SIGNALLED
    return SandboxExit(
        code=code,
        signal=number,
        timed_out=ending.timed_out,
        stopped=ending.stopped,
        output_truncated=ending.truncated,
        duration=ending.duration,
        cpu=ending.cpu,
    )
