"""Core metadata: the header lines that METADATA, PKG-INFO and WHEEL consist of.

The format is that of the core metadata specification: RFC 822 headers in UTF-8, of
which some may be there more than once; what follows the first empty line is text.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Headers:
    """The header lines, by name in lower case, in the order they were found."""

    fields: dict[str, tuple[str, ...]]

    def first(self, name: str) -> str | None:
        """The value of a header that is there once, or None."""
        return next(iter(self.all(name)), None)

    def all(self, name: str) -> tuple[str, ...]:
        """All values of a header."""
        return self.fields.get(name.lower(), ())


def parse_headers(content: bytes) -> Headers:
    """The headers of core metadata; lines that are none are passed over.

    Folded lines are joined with a blank, bytes that are not UTF-8 are replaced.
    """
    found: dict[str, list[str]] = {}
    values: list[str] | None = None
    text = content.decode("utf-8", "replace").removeprefix("\ufeff")
    # Not splitlines(): a form feed or U+2028 ends no line here.
    for line in text.split("\n"):
        line = line.removesuffix("\r")
        if not line:
            break
        if line[0] in " \t":
            if values:
                values[-1] = f"{values[-1]} {line.strip()}".strip()
            continue
        name, colon, value = line.partition(":")
        if not colon:
            values = None
            continue
        values = found.setdefault(name.strip().lower(), [])
        values.append(value.strip())
    return Headers({name: tuple(texts) for name, texts in found.items()})
