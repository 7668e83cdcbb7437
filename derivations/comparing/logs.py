"""What two builds printed, compared without what is never the same."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice
from typing import TYPE_CHECKING, Final

from fromager.derivations.comparing.texts import LINES_ALIGNED, shown
from fromager.derivations.comparing.tokens import ADDRESSES, EPOCHS, TIMES, UUIDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LINES_TOLD: Final = 400
"""Lines of a difference; what comes after them is left out."""

_MASKS: Final = (
    (UUIDS, "<uuid>"),
    (ADDRESSES, "<address>"),
    (re.compile(r"(?<![\w.:-])\d:\d\d:\d\d(?:\.\d+)?(?![\w:])"), "<duration>"),
    # What follows a colon is the line and the column in a file.
    (re.compile(rf"(?<!:)(?:{TIMES.pattern})"), "<time>"),
    (EPOCHS, "<time>"),
    (
        re.compile(
            r"(?<![\w.])\d+(?:\.\d+)?\s?"
            r"(?:[mµun]s|s|secs?|seconds?|min|minutes?|hours?)\b(?!\w)"
        ),
        "<duration>",
    ),
    (re.compile(r"\b(pid|process|PID)([ =:]+)\d+"), r"\1\2<pid>"),
    (re.compile(r"((?:/\w+)*/(?:tmp|shm|T)/)[^\s/:'\"]+"), r"\1<temporary>"),
    (
        re.compile(
            r"\b((?:tmp|temp|pip-[a-z-]*|build-env|mesonpy|cc|pep517)[-_]?)"
            r"(?=[\w]*[\dA-Z_])\w{6,12}\b"
        ),
        r"\1<temporary>",
    ),
    (re.compile(r"\b[0-9.]+ ?[kKMG]i?B/s\b"), "<rate>"),
)
"""What differs from run to run and says nothing, and what stands there instead."""


@dataclass(frozen=True, slots=True)
class LogDifference:
    """In what two logs differ, once what is never the same is masked."""

    lines: tuple[str, ...]
    """`-` of the first, `+` of the second; nothing if they are the same."""
    reordered: bool = False
    """They have the same lines, in another order."""
    left_out: int = 0
    """Lines that differ, too, and are not among these."""

    @property
    def same(self) -> bool:
        """Whether they say the same in the same order."""
        return not self.lines and not self.reordered

    @property
    def row(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "same": self.same,
            "reordered": self.reordered,
            "lines": list(self.lines),
            "left_out": self.left_out,
        }


def compare_logs(first: bytes, second: bytes) -> LogDifference:
    """In what two logs differ, apart from times, durations, processes, and names and
    addresses that are made up anew each time."""
    old, new = _lines(first), _lines(second)
    if old == new:
        return LogDifference(())
    if Counter(old) == Counter(new):
        return LogDifference((), reordered=True)
    told = list(islice(_difference(old, new), LINES_TOLD))
    all_of_them = sum((Counter(old) - Counter(new)).values())
    all_of_them += sum((Counter(new) - Counter(old)).values())
    return LogDifference(tuple(told), left_out=max(0, all_of_them - len(told)))


def _lines(content: bytes) -> list[str]:
    text = content.decode("utf-8", "replace")
    # What is printed over itself, such as a bar, is there as it was last.
    lines = [line.rsplit("\r", 1)[-1].rstrip() for line in text.split("\n")]
    return [_masked(line) for line in lines if line]


def _masked(line: str) -> str:
    """A line of a log without what differs each time."""
    for pattern, instead in _MASKS:
        line = pattern.sub(instead, line)
    return line


def _difference(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    start, end = 0, 0
    least = min(len(old), len(new))
    while start < least and old[start] == new[start]:
        start += 1
    while end < least - start and old[-1 - end] == new[-1 - end]:
        end += 1
    old, new = old[start : len(old) - end], new[start : len(new) - end]
    if max(len(old), len(new)) > LINES_ALIGNED:
        # To align so many takes long: what only one side has tells most.
        yield from (f"- {shown(each)}" for each in Counter(old) - Counter(new))
        yield from (f"+ {shown(each)}" for each in Counter(new) - Counter(old))
        return
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    for tag, a0, a1, b0, b1 in matcher.get_opcodes():
        if tag != "equal":
            yield from (f"- {shown(each)}" for each in old[a0:a1])
            yield from (f"+ {shown(each)}" for each in new[b0:b1])
