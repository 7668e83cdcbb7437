"""What a build step may see and use, as values, and the role that runs it.

A `Sandbox` runs one command and blocks until all of its processes are gone. Which
sandbox it was is its `level`; the level is part of every key, so that what a weaker
one built is never taken for what the full one would have built.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BUILD: Final = "/build"
"""Where a build's private folder lies inside."""
ENVIRONMENT: Final = "/env"
"""Where the build environment lies inside."""
OUTPUT_LIMIT: Final = 64 * 2**20

_CARGO_HOME: Final = f"{BUILD}/.cargo"


ADDR_NO_RANDOMIZE: Final = 0x0040000
"""A flag of personality(2): programs and their memory lie at fixed addresses."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What surrounds the process that a sandbox is started by.

    Nothing of it is part of a key. Checks vary it, to see what reaches a build.
    """

    prefix: tuple[str, ...] = ()
    """A command that starts the one that follows it, such as `nice`."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of the process that sets the sandbox up."""
    personality: int = ADDR_NO_RANDOMIZE
    """Flags of personality(2)."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A file or folder of this machine, and where it is seen inside."""

    host: str
    inside: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """One command and all that it may see."""

    command: tuple[str, ...]
    mounts: tuple[Mount, ...]
    """In order: a later mount may lie on top of an earlier one."""
    environment: Mapping[str, str]
    """All variables that the command gets; nothing is added but `PWD`."""
    cwd: str
    links: tuple[tuple[str, str], ...] = ()
    """Symbolic links inside: where, and what they point to."""
    devices: tuple[str, ...] = ()
    """Devices of the machine below `/dev` that are seen inside, beside the few that
    always are."""
    cores: int = 1
    """How many processors the command is given."""
    timeout: float | None = None
    """Seconds; None for as long as it takes."""
    memory: int | None = None
    """Bytes of address space that each process may have; None for no limit."""
    output_limit: int = OUTPUT_LIMIT
    """Bytes of output that are passed on; what comes after is dropped."""
    launch: Launch = field(default_factory=Launch)
    """What it is started under."""


@dataclass(frozen=True, slots=True)
class SandboxExit:
    """How a command ended, and what it used."""

    code: int | None
    """Its exit code; None if a signal ended it."""
    signal: int | None
    timed_out: bool
    stopped: bool
    """It was killed since `stop` was set."""
    output_truncated: bool
    duration: float
    """Seconds from start to end."""
    cpu: float
    """Seconds of processor time of all its processes that were waited for."""

    @property
    def succeeded(self) -> bool:
        """It ended by itself with exit code 0."""
        return self.code == 0 and not self.timed_out and not self.stopped


class Stop(Protocol):
    """A wish to stop that can be waited for together with files."""

    def is_set(self) -> bool:
        """Whether it was wished for."""
        ...

    def fileno(self) -> int:
        """A descriptor that is readable from then on."""
        ...


class Sandbox(Protocol):
    """Runs commands, each alone with what its spec lists."""

    @property
    def level(self) -> str:
        """`full`, or the name of a weaker one."""
        ...

    def run(
        self, spec: SandboxSpec, output: Callable[[bytes], None], stop: Stop
    ) -> SandboxExit:
        """Run a command to its end; all processes that it started are gone then.

        Blocks, and may be called from several threads at once. `output` gets what
        the command writes, in pieces as they come, from the calling thread.

        Raises:
            SandboxUnavailable: the sandbox cannot be set up; nothing was run.
        """
        ...


@dataclass(frozen=True)
class Launched:
    """A sandbox whose commands are all started under the same conditions."""

    sandbox: Sandbox
    launch: Launch

    @property
    def level(self) -> str:
        """That of the sandbox."""
        return self.sandbox.level

    def run(
        self, spec: SandboxSpec, output: Callable[[bytes], None], stop: Stop
    ) -> SandboxExit:
        """Run a command to its end; see `Sandbox.run`."""
        return self.sandbox.run(replace(spec, launch=self.launch), output, stop)


def keyed_environment(epoch: int, extra: Mapping[str, str]) -> dict[str, str]:
    """The variables of a build that its key covers.

    `epoch` is SOURCE_DATE_EPOCH, seconds since 1970; `extra` are the package's own
    variables, which win. CFLAGS and its like are left unset on purpose: setuptools
    would drop the interpreter's own flags for them.
    """
    temporary = f"{BUILD}/tmp"
    return {
        "PATH": f"{ENVIRONMENT}/bin:/usr/bin:/bin",
        "HOME": "/homeless-shelter",
        "SHELL": "/bin/sh",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "USER": "fromager",
        "LOGNAME": "fromager",
        "LC_ALL": "C.UTF-8",
        "LANG": "C.UTF-8",
        "LANGUAGE": "",
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": str(epoch),
        "ZERO_AR_DATE": "1",
        "ARFLAGS": "rcD",
        "PYTHONUTF8": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "PERL_HASH_SEED": "0",
        "TMPDIR": temporary,
        "TMP": temporary,
        "TEMP": temporary,
        "TEMPDIR": temporary,
        "CARGO_HOME": _CARGO_HOME,
        "CARGO_NET_OFFLINE": "true",
        "CARGO_INCREMENTAL": "0",
        "CARGO_TERM_COLOR": "never",
        "RUSTFLAGS": f"--remap-path-prefix={BUILD}/src=. "
        f"--remap-path-prefix={_CARGO_HOME}=cargo",
        "PIP_NO_INDEX": "1",
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "UV_OFFLINE": "1",
        "UV_NO_CONFIG": "1",
        **extra,
    }


def unkeyed_environment(cores: int) -> dict[str, str]:
    """The variables that tell a build its share of processors; no part of a key."""
    return {
        "FROMAGER_BUILD_CORES": str(cores),
        "CMAKE_BUILD_PARALLEL_LEVEL": str(cores),
        "MAKEFLAGS": f"-j{cores}",
        "MAX_JOBS": str(cores),
        "NPY_NUM_BUILD_JOBS": str(cores),
    }
