"""Starting one process from a thread, and following it to its end without polling."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fromager.derivations.building.sandbox import Stop

_ASK_PERSONALITY: Final = 0xFFFFFFFF
_VARIED: Final = 0x0060000
"""The flags for fixed addresses and for the number of an old kernel."""
_CHUNK: Final = 1 << 16
_SIGNALS: Final = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
_GRACE: Final = 10.0
"""Seconds that killed processes are given to be gone."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a process that was followed ended."""

    status: int
    """As of `wait(2)`."""
    timed_out: bool
    stopped: bool
    truncated: bool
    duration: float
    cpu: float


class Cores:
    """The processors of this machine, lent evenly to those who ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._load = dict.fromkeys(sorted(os.sched_getaffinity(0)), 0)

    @contextmanager
    def lend(self, count: int) -> Iterator[frozenset[int]]:
        """The least used processors: as many as wanted, or all there are."""
        with self._lock:
            by_load = sorted(self._load, key=lambda core: (self._load[core], core))
            lent = frozenset(by_load[: max(1, count)])
            for core in lent:
                self._load[core] += 1
        try:
            yield lent
        finally:
            with self._lock:
                for core in lent:
                    self._load[core] -= 1


def open_pipe(held: ExitStack, passed: ExitStack) -> tuple[int, int]:
    """A pipe's reading end, which never blocks, and its writing end, which does."""
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    held.callback(os.close, reading)
    passed.callback(os.close, writing)
    os.set_blocking(writing, True)
    return reading, writing


def spawn(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    output: int,
    inherited: Sequence[int],
    cores: frozenset[int],
    personality: int,
) -> int:
    """Start a process and return its id.

    It leads a session of its own, reads from `/dev/null`, and writes all it writes
    to `output`; of other descriptors it gets those of `inherited` only. It has the
    flags of personality(2) that are given where the machine permits that.
    """
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, output, 1),
        (os.POSIX_SPAWN_DUP2, output, 2),
        *((os.POSIX_SPAWN_DUP2, number, number) for number in inherited),
        *((os.POSIX_SPAWN_CLOSE, number) for number in _leaking(inherited)),
    ]
    # Both are properties of a thread that its children inherit.
    with _processors(cores), _personality(personality):
        return os.posix_spawn(
            command[0],
            list(command),
            environment,
            file_actions=actions,
            setsid=True,
            setsigmask=(),
            setsigdef=_SIGNALS,
        )


def follow(
    process: int,
    pipe: int,
    *,
    output: Callable[[bytes], None],
    stop: Stop,
    timeout: float | None,
    limit: int,
    kill: Callable[[], None],
) -> Ending:
    """Pass on what a process writes until it ends; `kill` it if it must not go on.

    `pipe` is the reading end, and must not block. Nothing is read after the process
    has ended and the pipe is empty, even if somebody still holds the other end.
    """
    start = time.monotonic()
    deadline = None if timeout is None else start + timeout
    log = _Log(output, limit)
    timed_out = stopped = killed = False
    handle = os.pidfd_open(process)
    try:
        poll = select.poll()
        for descriptor in (pipe, handle, stop.fileno()):
            poll.register(descriptor, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(_wait(deadline))}
            if pipe in ready and not _drain(pipe, log, once=True):
                poll.unregister(pipe)
            if handle in ready:
                break
            late = deadline is not None and time.monotonic() >= deadline
            if not killed:
                stopped, timed_out = stop.fileno() in ready, late
            if killed and late:
                os.kill(process, signal.SIGKILL)
                deadline = None
            elif not killed and (stopped or timed_out):
                kill()
                killed, deadline = True, time.monotonic() + _GRACE
                poll.unregister(stop.fileno())
        _drain(pipe, log, once=False)
    except BaseException:
        kill()
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        raise
    finally:
        os.close(handle)
    _, status, usage = os.wait4(process, 0)
    if timed_out:
        log.note(f"stopped: it took longer than {timeout:g} seconds")
    return Ending(
        status,
        timed_out,
        stopped,
        log.truncated,
        time.monotonic() - start,
        usage.ru_utime + usage.ru_stime,
    )


class _Log:
    """Passes output on up to a limit, and says once where it was cut."""

    def __init__(self, output: Callable[[bytes], None], limit: int) -> None:
        self._output, self._limit, self._left = output, limit, limit
        self.truncated = False

    def write(self, chunk: bytes) -> None:
        if self.truncated:
            return
        self._output(chunk[: self._left])
        self.truncated = len(chunk) > self._left
        self._left -= min(len(chunk), self._left)
        if self.truncated:
            self.note(f"the log is cut here: it is longer than {self._limit} bytes")

    def note(self, text: str) -> None:
        self._output(f"\n--- {text} ---\n".encode())


def _drain(pipe: int, log: _Log, *, once: bool) -> bool:
    while True:
        try:
            chunk = os.read(pipe, _CHUNK)
        except BlockingIOError:
            return True
        if not chunk:
            return False
        log.write(chunk)
        if once:
            return True


def _wait(deadline: float | None) -> float | None:
    if deadline is None:
        return None
    return max(0.0, (deadline - time.monotonic()) * 1000)


def _leaking(inherited: Sequence[int]) -> Iterator[int]:
    # What this process was itself started with and did not close.
    for number in map(int, os.listdir("/proc/self/fd")):
        if number > 2 and number not in inherited:
            with suppress(OSError):
                if os.get_inheritable(number):
                    yield number


@contextmanager
def _processors(cores: frozenset[int]) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    if cores == before:
        yield
        return
    try:
        os.sched_setaffinity(0, cores)
    except OSError:
        # Processors were taken away meanwhile; the build does with what is left.
        yield
        return
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def _personality(flags: int) -> Iterator[None]:
    import ctypes

    personality = ctypes.CDLL(None).personality
    personality.argtypes = [ctypes.c_ulong]
    before = personality(_ASK_PERSONALITY)
    # Some containers forbid this; addresses are then random as everywhere else.
    changed = before >= 0 and personality(before & ~_VARIED | flags) >= 0
    try:
        yield
    finally:
        if changed:
            personality(before)
