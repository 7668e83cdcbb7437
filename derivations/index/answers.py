"""What an index's answers hold, and for how long they may be believed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from fromager.derivations.errors import NetworkError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fromager.derivations.index.transport import Answer

DEFAULT_FRESHNESS: Final = 600.0
"""Seconds for which a page is fresh where its server does not say."""

MAX_PAGE_SECONDS: Final = 300.0

MAX_PAGE_SIZE: Final = 64 << 20
"""Bytes; the largest projects' pages have a tenth of that."""


def body_of(
    answer: Answer,
    clock: Callable[[], float],
    noun: str = "page",
    most: int = MAX_PAGE_SIZE,
) -> bytes:
    """All that is answered, `most` bytes; errors call it by the noun.

    Raises:
        NetworkError: it is too large, or takes too long.
    """
    deadline = clock() + MAX_PAGE_SECONDS
    content = bytearray()
    for chunk in answer.body:
        content += chunk
        if len(content) > most:
            reason = f"the {noun} is larger than {most >> 20} MiB"
            raise NetworkError(answer.url, reason)
        if clock() > deadline:
            reason = f"the {noun} took longer than {MAX_PAGE_SECONDS:g} s"
            raise NetworkError(answer.url, reason, hint="Try again later")
    return bytes(content)


def lifetime(headers: Mapping[str, str], default: float = DEFAULT_FRESHNESS) -> float:
    """Seconds for which an answer is fresh (RFC 9111, section 4.2); `default` where it
    does not say."""
    directives = (headers.get("Cache-Control") or "").lower().replace(" ", "")
    if re.search(r"(^|,)no-(cache|store)(,|$)", directives):
        return 0.0
    found = re.search(r"(?:^|,)max-age=(\d+)", directives)
    if found is None:
        return default
    age = headers.get("Age") or ""
    return max(0.0, float(found[1]) - (float(age) if age.isdigit() else 0.0))
