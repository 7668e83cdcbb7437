"""The form of requirement files: lines, comments, continuations, options, variables."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final

from fromager.derivations.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_COMMENT: Final = re.compile(r"(^|\s+)#.*$")
_VARIABLE: Final = re.compile(r"\$\{([A-Z0-9_]+)\}")
_SHORT: Final = {
    "-r": "--requirement",
    "-c": "--constraint",
    "-i": "--index-url",
    "-e": "--editable",
    "-f": "--find-links",
    "-C": "--config-settings",
}


class Misunderstood(InputError):
    """What is wrong with a line, or a file; the place is added by who knows it."""

    def __init__(self, reason: str, hint: str | None = None) -> None:
        super().__init__(reason, hint=hint)


def read_text(path: Path) -> str:
    """A file's text: UTF-8, or what a byte order mark says.

    Raises:
        Misunderstood: it cannot be read, or is no text.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Misunderstood(f"{path} cannot be read: {error.strerror}") from error
    encoding = "utf-8-sig"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise Misunderstood(f"{path} is not text in UTF-8", "Save it so") from error


def read_lines(text: str, environ: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """Lines that say something, joined and without comments, with their numbers.

    `${NAME}` is replaced where `environ` has the name.
    """
    for number, line in _joined(text):
        yield (
            number,
            _VARIABLE.sub(lambda found: environ.get(found[1], found[0]), line),
        )


def _joined(text: str) -> Iterator[tuple[int, str]]:
    joined, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        first = first if joined else number
        # A backslash at the end of a comment is a part of the comment.
        if line.endswith("\\") and not _COMMENT.search(line):
            joined += line[:-1]
            continue
        found = _COMMENT.sub("", joined + line).strip()
        joined = ""
        if found:
            yield first, found
    if joined.strip():
        yield first, joined.strip()


def split_options(line: str) -> tuple[str, str]:
    """A requirement, and the options that stand behind it."""
    text, *rest = re.split(r"\s+(?=--?[a-zA-Z])", line, maxsplit=1)
    return text, rest[0] if rest else ""


def read_options(text: str) -> Iterator[tuple[str, str | None]]:
    """Options and their values: `--a=b`, `--a b`, `-a b`, `-ab` and `--a`.

    Raises:
        Misunderstood: anything else, or a quote without an end.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise Misunderstood(f"a quote is not closed: {error}") from error
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            raise Misunderstood(f"{word!r} was not expected here")
        if not word.startswith("--"):
            name, value = word[:2], word[2:].removeprefix("=")
            name, equals = _SHORT.get(name, name), value
        if not equals and words and not words[0].startswith("-"):
            equals, value = "=", words.pop(0)
        yield name, value if equals else None
