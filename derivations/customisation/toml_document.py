"""TOML files with the lines of their keys, which the parser does not tell."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Final, TypeAlias

from fromager.derivations.customisation.document import Node, Origin, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

Place: TypeAlias = "tuple[str | int, ...]"

_WORD: Final = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\])*"|'[^']*')"""
_DOTTED: Final = rf"{_WORD}(?:\s*\.\s*{_WORD})*"
_HEADER: Final = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]\]?\s*(?:#.*)?$")
_KEY: Final = re.compile(rf"\s*({_DOTTED})\s*=")
_TOKEN: Final = re.compile(
    r'"""|\'\'\'|"(?:\\.|[^"\\])*"|\'[^\']*\'|#.*|[\[\]{}]', re.MULTILINE
)


def parse_toml(text: str, file: str) -> Node:
    """The table that a TOML file is.

    Raises:
        SettingsError: no TOML, a key that is there twice, or a date.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(
            Origin(file, _error_line(str(error), text)), str(error)
        ) from error
    except RecursionError as error:
        raise SettingsError(Origin(file, 1), "it is nested too deeply") from error
    return located(table, text, file)


def located(table: Mapping[str, object], text: str, file: str) -> Node:
    """What was parsed from a text, every value with the line of its key."""
    return _node(table, (), _lines(text), file)


def _error_line(message: str, text: str) -> int:
    found = re.search(r"at line (\d+)", message)
    # Else it is "at end of document".
    return int(found[1]) if found else max(1, len(text.splitlines()))


def _node(value: object, place: Place, lines: Mapping[Place, int], file: str) -> Node:
    origin = Origin(file, _line(place, lines))
    match value:
        case str() | bool() | int() | float():
            return Node(value, origin)
        case list():
            items = enumerate(value)
            return Node(
                tuple(_node(item, (*place, i), lines, file) for i, item in items),
                origin,
            )
        case dict():
            members = {
                key: _node(item, (*place, key), lines, file)
                for key, item in value.items()
            }
            return Node(members, origin)
    raise SettingsError(origin, f"{value} is a date or a time, which no setting is")


def _line(place: Place, lines: Mapping[Place, int]) -> int:
    """The line of a value, or of what it is a part of."""
    for end in range(len(place), 0, -1):
        if place[:end] in lines:
            return lines[place[:end]]
    return 1


def _lines(text: str) -> dict[Place, int]:
    found: dict[Place, int] = {}
    counts: dict[Place, int] = {}
    table: Place = ()
    depth, quote = 0, ""
    for number, line in enumerate(text.splitlines(), start=1):
        if not depth and not quote:
            if header := _HEADER.match(line):
                table = _table(_words(header[2]), header[1] == "[[", counts)
                found.setdefault(table, number)
                continue
            if key := _KEY.match(line):
                place: Place = table
                for word in _words(key[1]):
                    place = (*place, word)
                    found.setdefault(place, number)
        depth, quote = _open_at_end(line, depth, quote)
    return found


def _table(words: list[str], is_array: bool, counts: dict[Place, int]) -> Place:
    """Where a header leads: into the last element of each array on the way."""
    place: Place = ()
    for index, word in enumerate(words):
        place = (*place, word)
        if is_array and index == len(words) - 1:
            counts[place] = counts.get(place, 0) + 1
        if place in counts:
            place = (*place, counts[place] - 1)
    return place


def _words(dotted: str) -> list[str]:
    words = re.findall(_WORD, dotted)
    return [
        str(tomllib.loads(f"x = {word}")["x"]) if word[0] in "\"'" else word
        for word in words
    ]


def _open_at_end(line: str, depth: int, quote: str) -> tuple[int, str]:
    """How many brackets, and which long quotation, are open after a line."""
    position = 0
    while True:
        if quote:
            end = line.find(quote, position)
            if end < 0:
                return depth, quote
            position, quote = end + 3, ""
        token = _TOKEN.search(line, position)
        if token is None:
            return depth, quote
        position = token.end()
        if token[0] in ('"""', "'''"):
            quote = token[0]
        elif token[0] in "[{":
            depth += 1
        elif token[0] in "]}":
            depth = max(0, depth - 1)
