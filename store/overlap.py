"""Calls that may each wait for the disk, made by several threads so that all wait at once.

To delete a file takes a few microseconds, or many times that: where the file system
tells the disk of each block that is free again, or lies in the network. Threads wait
for that together. They do not make work go faster that needs a processor; for that
there is `sharing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS: Final = 4
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
    from concurrent.futures import ThreadPoolExecutor

    def work_on(part: Sequence[Item]) -> list[Result]:
        return [work(item) for item in part]

    parts = [items[start : start + _PART] for start in range(0, len(items), _PART)]
    # Its end waits for what is under way; what was not begun is given up before.
    with ThreadPoolExecutor(threads) as executor:
        return [each for found in executor.map(work_on, parts) for each in found]
