"""Several processes at once, and processes that die."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def fork(work: Callable[[], None]) -> int:
    """Begin `work` in a child; it ends with 0, or with 1 if an error came out."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        work()
        status = 0
    except BaseException:  # noqa: BLE001 - nothing may get back to pytest's own code
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def wait(child: int) -> int:
    """The exit code of a child; negative is the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def at_once(count: int, work: Callable[[int], None]) -> list[int]:
    """The exit codes of so many children that did `work(number)` at the same time."""
    gate, opener = os.pipe()

    def begin(number: int) -> None:
        os.close(opener)
        os.read(gate, 1)
        work(number)

    children = [fork(partial(begin, number)) for number in range(count)]
    os.close(gate)
    os.close(opener)
    return [wait(child) for child in children]


def kill_at(name: str) -> Callable[[str], None]:
    """Kills its process at the first effect of this name."""

    def effect(each: str) -> None:
        if each == name:
            os.kill(os.getpid(), signal.SIGKILL)

    return effect


class Killer:
    """Counts effects, and kills its process at one of them."""

    def __init__(self, at: int) -> None:
        self.at, self.count = at, 0

    def __call__(self, name: str) -> None:
        self.count += 1
        if self.count == self.at:
            os.kill(os.getpid(), signal.SIGKILL)
