"""One list of tasks, done by several processes, each task by whoever is free.

Threads take turns with the interpreter: reading many small files in several of them
is slower than in one. The processes are forked, so that starting them costs next to
nothing, and they know all that this one knows.
"""

from __future__ import annotations

import mmap
import os
import pickle
import signal
import struct
import threading
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from fromager.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Task = TypeVar("Task")
Result = TypeVar("Result")

_TICKET: Final = struct.Struct("=I")
_TICKETS: Final = 1000
"""So many fit into a pipe of one page, the least that there is."""
_PROBES: Final = 16


def share(
    tasks: Sequence[Task],
    work: Callable[[Iterator[Task]], Result],
    processes: int,
) -> list[Result]:
    """What `work` gave in each process; it is called once in each, with its tasks.

    This process is one of them; its result comes first. Where it has several threads
    it does all alone: they would not survive a fork.

    Raises:
        StoreError: a process died.
    """
    if processes < 2 or len(tasks) < 2 or threading.active_count() > 1:
        return [work(iter(tasks))]
    queue = _Queue(len(tasks))
    helpers: list[tuple[int, int]] = []
    try:
        for _ in range(min(processes, len(tasks)) - 1):
            helpers.append(_begin(queue, tasks, work))
        results = [work(queue.taken(tasks))]
        results += [_result(answers) for _, answers in helpers]
        return results
    except BaseException:
        for child, _ in helpers:
            os.kill(child, signal.SIGKILL)
        raise
    finally:
        queue.close()
        for child, answers in helpers:
            os.close(answers)
            os.waitpid(child, 0)


def _begin(
    queue: _Queue, tasks: Sequence[Task], work: Callable[[Iterator[Task]], Result]
) -> tuple[int, int]:
    """A child that takes tasks, and the descriptor from which its result is read."""
    answers, answer = os.pipe()
    parent = os.getpid()
    with warnings.catch_warnings():
        # There is no other thread of Python's; those of libraries are not used.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child:
        os.close(answer)
        return child, answers
    with suppress(BaseException):
        os.close(answers)
        result = work(queue.taken(tasks, parent))
        with os.fdopen(answer, "wb") as stream:
            pickle.dump(result, stream)
        os._exit(0)
    os._exit(1)


def _result(answers: int) -> Any:
    with os.fdopen(os.dup(answers), "rb") as stream:
        content = stream.read()
    if not content:
        raise StoreError("a process that was helping died")
    return pickle.loads(content)


class _Queue:
    """Tickets in a pipe, each for some tasks in a row, each taken by one process."""

    def __init__(self, tasks: int) -> None:
        self._step = -(-tasks // _TICKETS)
        self._reader, writer = os.pipe()
        # All are there before anyone takes one, and whoever dies keeps none from others.
        for number in range(0, tasks, self._step):
            os.write(writer, _TICKET.pack(number))
        os.close(writer)

    def taken(self, tasks: Sequence[Task], parent: int | None = None) -> Iterator[Task]:
        """Tasks that nobody else takes; none any more if the parent died."""
        while ticket := os.read(self._reader, _TICKET.size):
            (number,) = _TICKET.unpack(ticket)
            for task in tasks[number : number + self._step]:
                if parent is not None and os.getppid() != parent:
                    return
                yield task

    def close(self) -> None:
        """Give the pipe up."""
        os.close(self._reader)


class SharedSet:
    """Numbers below 2^64 that some process has claimed; made before the processes are.

    It may forget a number, when two are claimed at once or when it is full. It never
    takes one for claimed that was not.
    """

    def __init__(self, slots: int = 1 << 22) -> None:
        # Pages are taken from the system only where something is written.
        self._memory = mmap.mmap(-1, slots * 8)
        self._slots = memoryview(self._memory).cast("Q")
        self._mask = slots - 1

    def claim(self, number: int) -> bool:
        """Whether nobody had claimed the number before."""
        number = number or 1
        slots, mask = self._slots, self._mask
        start = number ^ number >> 32
        for place in range(start, start + _PROBES):
            found = slots[place & mask]
            if found == number:
                return False
            if not found:
                slots[place & mask] = number
                return True
        return True
