"""Pieces of TOML as locks have them: one line for each item, the same for equal values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def basic_string(text: str) -> str:
    """A basic string: what JSON escapes, TOML understands, but for one character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def string_list(name: str, texts: Iterable[str]) -> list[str]:
    """The lines of a list of texts; none if it is empty."""
    items = [f"    {basic_string(text)}," for text in texts]
    return [f"{name} = [", *items, "]"] if items else []


def dependency_list(names: Iterable[str]) -> list[str]:
    """The lines of `dependencies` (PEP 751); none if there are none."""
    items = [f"    {{ name = {basic_string(name)} }}," for name in names]
    return ["dependencies = [", *items, "]"] if items else []
