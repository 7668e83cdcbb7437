"""What a command costs: wall time, processor time of all its processes, memory."""

import ctypes
import os
import select
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import Final

SAMPLING: Final = 0.05
"""Seconds between two looks at the memory of the main process."""
GRACE: Final = 2.0
"""Seconds that left-over processes have to end by themselves."""

_PR_SET_CHILD_SUBREAPER: Final = 36


@dataclass(frozen=True)
class Cost:
    """What one run of a command used."""

    status: int
    """Exit status; negative for a signal."""
    wall: float
    """Seconds."""
    cpu: float
    """Seconds, user and system, of the command and all that it started."""
    main_rss: int
    """Bytes that the command's own process had in memory at most."""
    largest_rss: int
    """Bytes that the largest of all processes had in memory at most."""
    left_over: int
    """Processes that were still there when the command had ended."""


def adopt_orphans() -> None:
    """Become the parent of processes whose own parent ended, so that they count."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def measure(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path
) -> Cost:
    """Runs a command to its end, its output in a file.

    `adopt_orphans` has to be called once before, or daemons are not counted.
    """
    known = set(_children())
    with log.open("wb") as output:
        started = time.perf_counter()
        process = Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        main_rss = _watch(process.pid)
        wall = time.perf_counter() - started
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu, rss = usage.ru_utime + usage.ru_stime, usage.ru_maxrss
    orphans = [pid for pid in _children() if pid not in known]
    for orphan_cpu, orphan_rss in _reap(orphans):
        cpu, rss = cpu + orphan_cpu, max(rss, orphan_rss)
    largest = rss * 1024
    return Cost(
        process.returncode,
        wall,
        cpu,
        min(main_rss or largest, largest),
        largest,
        len(orphans),
    )


@contextmanager
def served(command: Sequence[str]) -> Iterator[str]:
    """Runs a server while the block does; gives the first line that it prints."""
    with Popen(command, stdout=PIPE, stdin=DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def calibration() -> float:
    """CPU seconds of a fixed piece of work: how fast the machine is just now."""
    started = time.process_time()
    total = 0
    for number in range(3_000_000):
        total += number
    return time.process_time() - started


def _watch(pid: int) -> int:
    """Waits for the end of a process; gives the most memory that it had."""
    descriptor = os.pidfd_open(pid)
    try:
        ended = select.poll()
        ended.register(descriptor, select.POLLIN)
        peak = 0
        while not ended.poll(SAMPLING * 1000):
            peak = max(peak, _peak_rss(pid))
        return peak
    finally:
        os.close(descriptor)


def _children() -> list[int]:
    return [
        int(pid)
        for task in Path("/proc/self/task").iterdir()
        for pid in (task / "children").read_text().split()
    ]


def _reap(pids: Sequence[int]) -> Iterator[tuple[float, int]]:
    deadline = time.monotonic() + GRACE
    for pid in pids:
        while (ended := os.wait4(pid, os.WNOHANG))[0] == 0:
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                ended = os.wait4(pid, 0)
                break
            time.sleep(SAMPLING)
        usage = ended[2]
        yield usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def _peak_rss(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
