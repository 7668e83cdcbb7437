"""Sizes and durations as people write them: `50G`, `30d`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

_BYTES: Final = {
    "": 1,
    **{unit: 1024**power for power, unit in enumerate("kmgt", start=1)},
}
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])", re.IGNORECASE)


def parse_size(
    ctx: click.Context, parameter: click.Parameter, text: str | None
) -> int | None:
    """Bytes; k, M, G and T are powers of 1024. A callback of an option."""
    return _parsed(text, _SIZE, _BYTES, "size, such as 500M or 50G")


def parse_duration(
    ctx: click.Context, parameter: click.Parameter, text: str | None
) -> int | None:
    """Seconds; the units are s, m, h, d and w. A callback of an option."""
    return _parsed(text, _DURATION, _SECONDS, "duration, such as 12h or 30d")


def _parsed(
    text: str | None, pattern: re.Pattern[str], units: Mapping[str, int], what: str
) -> int | None:
    if text is None:
        return None
    match = pattern.fullmatch(text.strip())
    if match is None:
        raise click.BadParameter(f"{text!r} is no {what}")
    return int(float(match[1]) * units[match[2].lower()])


def show_size(size: int) -> str:
    """A size in the unit that suits it."""
    if size < 1024:
        return f"{size} B"
    value, units = float(size), ["TiB", "GiB", "MiB", "KiB"]
    while units and value >= 1024:
        value, unit = value / 1024, units.pop()
    return f"{value:.1f} {unit}"


def show_duration(seconds: float) -> str:
    """A duration in the largest unit that it fills."""
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{int(seconds // length)}{unit}"
    return f"{max(0, int(seconds))}s"


def count(number: int, thing: str) -> str:
    """A number of things: `1 file`, `1,200 files`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
