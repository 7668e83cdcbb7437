"""The form of requirement files: lines, comments, continuations, options, variables."""

from __future__ import annotations

import codecs
import re
import shlex
from typing import TYPE_CHECKING, Final

from fromager.derivations.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_COMMENT: Final = re.compile(r"(^|\s+)#.*$")
_CODING: Final = re.compile(rb"coding[:=]\s*([-\w.]+)")
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    # Before UTF-16, whose mark this one begins with.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
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
    """A file's text: in the encoding that a byte order mark or one of the first two
    lines tells (`# -*- coding: latin-1 -*-`), else UTF-8.

    Raises:
        Misunderstood: it cannot be read, or is no text.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Misunderstood(f"{path} cannot be read: {error.strerror}") from error
    return decode_text(content, str(path))


def decode_text(content: bytes, name: str) -> str:
    """The text that a file holds; errors call it by the name.

    Raises:
        Misunderstood: it is no text.
    """
    encoding = _encoding(content)
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except LookupError as error:
        raise Misunderstood(
            f"{name} names an unknown encoding, {encoding!r}", "Save it in UTF-8"
        ) from error
    except UnicodeDecodeError as error:
        shown = "UTF-8" if encoding == "utf-8" else encoding
        raise Misunderstood(f"{name} is not text in {shown}", "Save it so") from error


def _encoding(content: bytes) -> str:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding
    for line in content.split(b"\n")[:2]:
        found = _CODING.search(line) if line.startswith(b"#") else None
        if found is not None:
            return found[1].decode("ascii")
    return "utf-8"


def read_lines(text: str, environ: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """Lines that say something, joined and without comments, with their numbers.

    `${NAME}` is replaced where `environ` has the name, and it is not empty.
    """
    for number, line in _joined(text):
        yield (
            number,
            _VARIABLE.sub(lambda found: environ.get(found[1]) or found[0], line),
        )


def _joined(text: str) -> Iterator[tuple[int, str]]:
    parts: list[str] = []
    first = 0
    for number, line in enumerate(text.splitlines(), 1):
        first = first if parts else number
        is_comment = _COMMENT.match(line) is not None
        if line.endswith("\\") and not is_comment:
            parts.append(line.strip("\\"))
            continue
        # A comment stays one, whatever it is joined to.
        parts.append(f" {line}" if is_comment else line)
        if found := _COMMENT.sub("", "".join(parts)).strip():
            yield first, found
        parts = []
    if found := _COMMENT.sub("", "".join(parts)).strip():
        yield first, found


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
