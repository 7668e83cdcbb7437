"""TOML files with the lines of their keys, which the parser does not tell."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Final, TypeAlias

from fromager.derivations.customisation.document import Node, Origin, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Place: TypeAlias = "tuple[str | int, ...]"

_WORD: Final = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\])*"|'[^']*')"""
_DOTTED: Final = rf"{_WORD}(?:\s*\.\s*{_WORD})*"
_HEADER: Final = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]\]?\s*(?:#.*)?$")
_KEY: Final = re.compile(rf"\s*({_DOTTED})\s*=")
_TOKEN: Final = re.compile(
    r'"""|\'\'\'|"(?:\\.|[^"\\])*"|\'[^\']*\'|#.*|[\[\]{}]', re.MULTILINE
)

_SET_BEFORE: Final = re.compile(r"Cannot (?:overwrite|declare|mutate|redefine) ")
_INLINE_TWICE: Final = re.compile(r"Duplicate inline table key ('.*?'|\".*?\") \(at")


def parse_toml(text: str, file: str) -> Node:
    """The table that a TOML file is.

    Raises:
        SettingsError: no TOML, a key that is there twice, or a date.
    """
    return located(load_toml(text, file), text, file)


def load_toml(text: str, file: str) -> dict[str, object]:
    """What a TOML file says, without the lines of its keys.

    Raises:
        SettingsError: no TOML, or a key that is there twice.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _error(str(error), text, file) from error
    except RecursionError as error:
        raise SettingsError(Origin(file, 1), "it is nested too deeply") from error


def located(table: Mapping[str, object], text: str, file: str) -> Node:
    """What was parsed from a text, every value with the line of its key."""
    return _node(table, (), _lines(text), file)


def _error(message: str, text: str, file: str) -> SettingsError:
    """A parser's error; a key that it cannot set is named, with where it was set."""
    found = re.search(r"at line (\d+)", message)
    # Else it is "at end of document".
    line = int(found[1]) if found else max(1, len(text.splitlines()))
    if _INLINE_TWICE.match(message) is None and _SET_BEFORE.match(message) is None:
        return SettingsError(Origin(file, line), message)
    # What is told is where the value ends.
    statements = [each for each in _statements(text) if each[0] <= line]
    number, place, _ = statements.pop()
    if twice := _INLINE_TWICE.match(message):
        reason = f"{twice[1]} is there twice in {_named(place)!r}"
        return SettingsError(Origin(file, line), reason)
    first: dict[Place, int] = {}
    for where, known, _ in statements:
        for end in range(1, len(known) + 1):
            first.setdefault(known[:end], where)
    ways = [place[:end] for end in range(len(place), 0, -1) if place[:end] in first]
    if ways[:1] == [place]:
        reason = f"{_named(place)!r} is there twice, first in line {first[place]}"
    else:
        reason = f"{_named(place)!r} cannot be set"
        if ways:
            reason += f": {_named(ways[0])!r} was, in line {first[ways[0]]}"
    return SettingsError(Origin(file, number), reason)


def _named(place: Place) -> str:
    return ".".join(word for word in place if isinstance(word, str))


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
    for number, place, words in _statements(text):
        # A header is the line of its table alone, a key also of what it is in.
        for end in range(len(place) - max(0, words - 1), len(place) + 1):
            found.setdefault(place[:end], number)
    return found


def _statements(text: str) -> Iterator[tuple[int, Place, int]]:
    """Headers and keys: their lines, what they name, and how many words a key has."""
    counts: dict[Place, int] = {}
    table: Place = ()
    depth, quote = 0, ""
    for number, line in enumerate(text.splitlines(), start=1):
        if not depth and not quote:
            if header := _HEADER.match(line):
                table = _table(_words(header[2]), header[1] == "[[", counts)
                yield number, table, 0
                continue
            if key := _KEY.match(line):
                words = _words(key[1])
                yield number, (*table, *words), len(words)
        depth, quote = _open_at_end(line, depth, quote)


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
