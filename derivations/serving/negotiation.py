"""What a request asks for: a form of a page (PEP 691), a span of a file, something new.

All of it as RFC 9110 has it.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator


class Form(Enum):
    """The forms that a page is had in, by their content types."""

    JSON = "application/vnd.pypi.simple.v1+json"
    HTML = "application/vnd.pypi.simple.v1+html"
    OLD_HTML = "text/html"


LATEST: Final = {
    "application/vnd.pypi.simple.latest+json": Form.JSON,
    "application/vnd.pypi.simple.latest+html": Form.HTML,
}
_BY_TYPE: Final = {form.value: form for form in Form} | LATEST
_ANY: Final = {
    "*/*": Form.OLD_HTML,
    "text/*": Form.OLD_HTML,
    "application/*": Form.JSON,
}
_SPAN: Final = re.compile(r"bytes=(\d{1,18})-(\d{0,18})")


def choose_form(accept: str | None) -> Form | None:
    """The form that the client likes best; None if it likes none of them.

    Of those that it likes equally JSON comes first. Who does not say gets what every
    client can read.
    """
    if accept is None or not accept.strip():
        return Form.OLD_HTML
    best: tuple[float, int, Form] | None = None
    for name, quality in _wishes(accept):
        form = _BY_TYPE.get(name) or _ANY.get(name)
        if form is None or quality <= 0:
            continue
        # What is named counts for more than what is covered by a star.
        rank = -1 if name in _ANY else -list(Form).index(form) + len(Form)
        if best is None or (quality, rank) > best[:2]:
            best = quality, rank, form
    return best[2] if best else None


def _wishes(accept: str) -> Iterator[tuple[str, float]]:
    """Content types and how much each is liked, from 0 to 1."""
    for part in accept.split(",")[:100]:
        name, *parameters = (each.strip().lower() for each in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = min(1.0, max(0.0, float(parameter[2:])))
                except ValueError:
                    quality = 0.0
        yield name, quality


def is_known(etag: str, if_none_match: str | None) -> bool:
    """Whether the client has what this entity tag stands for (compared weakly)."""
    if if_none_match is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or etag in tags


def span_of(asked: str | None, size: int) -> tuple[int, int] | None:
    """Start and end of the bytes that are asked for; None for all of them.

    What cannot be understood, or is several spans, is all of them, too.

    Raises:
        ValueError: it begins behind the end.
    """
    found = _SPAN.fullmatch(asked.strip()) if asked else None
    if found is None:
        return None
    start = int(found[1])
    end = min(int(found[2]) + 1, size) if found[2] else size
    if found[2] and int(found[2]) < start:
        return None
    if start >= size:
        raise ValueError(f"there are {size} bytes")
    return start, end
