"""Why two texts differ."""

from __future__ import annotations

import json
from collections import Counter
from difflib import SequenceMatcher
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Final

from fromager.derivations.comparing.causes import Cause
from fromager.derivations.comparing.report import Finding
from fromager.derivations.comparing.tokens import WORDS, Clues, value_causes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

LINES_ALIGNED: Final = 2000
"""Differing lines up to this many are aligned; more are compared one by one."""
PAIRS_EXPLAINED: Final = 5000
"""Pairs of lines that differ and for which causes are looked for."""
SHOWN: Final = 8
"""Lines in an excerpt."""
LINE_SHOWN: Final = 200
"""Characters of a line in a report."""
LINE_LOOKED_AT: Final = 20_000


def decoded(content: bytes) -> str | None:
    """The text that the bytes are, or None if they are none."""
    if b"\0" in content[:8192]:
        return None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None


def compare_texts(
    first: str, second: str, files: Collection[str], clues: Clues
) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """What differs and why, and the first lines that differ.

    `files` are names of files of the source or the output: where these stand in
    another order, a folder was listed.
    """
    if first.replace("\r\n", "\n") == second.replace("\r\n", "\n"):
        return (Finding(Cause.LINE_ENDINGS, "the ends of lines differ"),), ()
    old, new = first.splitlines(), second.splitlines()
    excerpt = _excerpt(old, new)
    if Counter(old) == Counter(new):
        moved = [a for a, b in zip(old, new, strict=True) if a != b]
        cause = _order_cause(moved, files)
        return (Finding(cause, "the same lines in another order"),), excerpt
    if _same_json(first, second):
        detail = "the same JSON with members in another order"
        return (Finding(Cause.SET_ORDER, detail),), excerpt
    found: dict[Cause, Finding] = {}
    for a, b in islice(_pairs(old, new), PAIRS_EXPLAINED):
        for finding in _line(a, b, files, clues):
            known = found.get(finding.cause)
            if known is not None:
                finding = Finding(
                    known.cause,
                    known.detail,
                    known.first,
                    known.second,
                    known.count + 1,
                )
            found[finding.cause] = finding
    return tuple(found.values()), excerpt


def compare_strings(
    first: Sequence[str], second: Sequence[str], clues: Clues
) -> tuple[Finding, ...]:
    """Why strings found in two binaries differ; nothing if no string tells."""
    only_first = list((Counter(first) - Counter(second)).elements())
    only_second = list((Counter(second) - Counter(first)).elements())
    found: dict[Cause, Finding] = {}
    for a, b in zip(only_first, only_second, strict=False):
        causes = value_causes(a[:LINE_LOOKED_AT], b[:LINE_LOOKED_AT], clues)
        for cause in causes or ():
            found.setdefault(cause, Finding(cause, "in a string", shown(a), shown(b)))
    return tuple(found.values())


def shown(text: str) -> str:
    """Text short enough for one line of a report."""
    text = text.replace("\n", "\\n").replace("\r", "\\r")
    return text if len(text) <= LINE_SHOWN else f"{text[:LINE_SHOWN]}…"


def _line(
    first: str, second: str, files: Collection[str], clues: Clues
) -> Iterator[Finding]:
    first, second = first[:LINE_LOOKED_AT], second[:LINE_LOOKED_AT]
    sides = (shown(first), shown(second))
    old, new = WORDS.findall(first), WORDS.findall(second)
    if old != new and Counter(old) == Counter(new):
        moved = [a for a, b in zip(old, new, strict=True) if a != b]
        yield Finding(
            _order_cause(moved, files), "the same words in another order", *sides
        )
        return
    causes = value_causes(first, second, clues) if first and second else None
    if causes is None:
        yield Finding(Cause.TEXT, "lines differ", *sides)
        return
    for cause in causes:
        yield Finding(cause, "lines differ in it", *sides)


def _order_cause(moved: Sequence[str], files: Collection[str]) -> Cause:
    """Whether what stands in another order are names of files."""
    lines = [set(WORDS.findall(line)) for line in moved]
    # What every line has is no part of what was listed.
    common = set.intersection(*lines) if len(lines) > 1 else set()
    words = [word for line in lines for word in line - common]
    known = sum(1 for word in words if word.rpartition("/")[2] in files)
    return Cause.FILE_ORDER if words and known * 2 >= len(words) else Cause.SET_ORDER


def _pairs(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Lines that belong together and differ; "" where a side has none."""
    if len(old) == len(new):
        differing = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
        if len(differing) * 2 <= len(old) or len(old) > LINES_ALIGNED:
            yield from differing
            return
    if max(len(old), len(new)) > LINES_ALIGNED:
        yield from ((a, b) for a, b in zip_longest(old, new, fillvalue="") if a != b)
        return
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    for tag, a0, a1, b0, b1 in matcher.get_opcodes():
        if tag != "equal":
            yield from zip_longest(old[a0:a1], new[b0:b1], fillvalue="")


def _excerpt(old: Sequence[str], new: Sequence[str]) -> tuple[str, ...]:
    lines: list[str] = []
    for a, b in _pairs(old, new):
        lines += [f"- {shown(a)}"] if a else []
        lines += [f"+ {shown(b)}"] if b else []
        if len(lines) >= SHOWN:
            lines.append("…")
            break
    return tuple(lines)


def _same_json(first: str, second: str) -> bool:
    if first[:1] not in ("{", "["):
        return False
    try:
        return _sorted(json.loads(first)) == _sorted(json.loads(second))
    except (ValueError, RecursionError):
        return False


def _sorted(value: object) -> object:
    """JSON without any order: of lists, too."""
    if isinstance(value, dict):
        return {key: _sorted(each) for key, each in value.items()}
    if isinstance(value, list):
        return sorted((_sorted(each) for each in value), key=repr)
    return value
