"""Lengths of time as people write them: `60s`, `90m`, `12h`, `30d`, `2w`."""

from __future__ import annotations

import re
from typing import Final

import click

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhdw])")


def seconds(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> float | None:
    """A click callback: the seconds that a text means; parts may follow each other.

    Raises:
        BadParameter: it is no length of time.
    """
    if value is None:
        return None
    text = value.strip().lower()
    parts = _PART.findall(text)
    if not parts or "".join(map("".join, parts)) != text:
        message = f"{value!r} is no length of time; write 60s, 90m, 12h, 30d or 2w."
        raise click.BadParameter(message, ctx, param)
    return float(sum(float(number) * _UNITS[unit] for number, unit in parts))
