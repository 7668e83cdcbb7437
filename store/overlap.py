"""Calls that may each wait for the disk, made by several threads so that all wait at once.

To delete a file takes a few microseconds, or many times that: where the file system
tells the disk of each block that is free again, or lies in the network. Threads wait
for that together. They do not make work go faster that needs a processor; for that
there is `sharing`.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS: Final = 8
"""So many calls are under way at a time. More would wait for the interpreter."""

WORTH: Final = 64
"""With fewer calls than this it takes longer to begin threads than they save."""

_PART: Final = 8
"""Items that a thread takes at a time."""


def overlap(
    work: Callable[[Item], Result], items: Sequence[Item], threads: int = THREADS
) -> list[Result]:
    """What `work` gives for each item, in their order.

    When this returns or raises, no call is under way any more. When a call raises, no
    others are begun but a few, and the error is raised here.
    """
    if len(items) < WORTH:
        return [work(item) for item in items]
    starts = iter(range(0, len(items), _PART))
    turn = threading.Lock()
    done: dict[int, list[Result]] = {}
    errors = _Errors()

    def run() -> None:
        with errors:
            while not errors.found:
                with turn:
                    start = next(starts, None)
                if start is None:
                    return
                done[start] = [work(item) for item in items[start : start + _PART]]

    # A pool of the standard library takes 10 ms to import, and more for each item.
    helpers = [threading.Thread(target=run) for _ in range(threads - 1)]
    for helper in helpers:
        helper.start()
    run()
    for helper in helpers:
        helper.join()
    if errors.found:
        raise errors.found[0]
    return [result for start in sorted(done) for result in done[start]]


class _Errors:
    """Keeps what is raised in its block, in whichever thread, for the one that asked."""

    def __init__(self) -> None:
        self.found: list[BaseException] = []

    def __enter__(self) -> None:
        return

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if error is not None:
            self.found.append(error)
        return True
