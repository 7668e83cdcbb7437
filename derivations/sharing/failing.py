"""Failures: what a builder says of a build that gave nothing.

An in-toto statement must have a subject; here it is the derivation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fromager.derivations.sharing.results import Result, dump_result, load_result
from fromager.store import Digest, InvalidRecord

PROPERTY: Final = "FROMAGER_BUILD_FAILED"


@dataclass(frozen=True, slots=True)
class FailedBuild:
    """What one builder says of one build that failed."""

    builder: str
    key: Digest
    subject: str
    """What it was for, as people name it."""
    time: int
    """Seconds since the epoch, UTC."""


def dump_failure(failure: FailedBuild) -> bytes:
    """The canonical JSON; see `dump_result`."""
    return dump_result(
        Result(failure.builder, failure.key, failure.subject, (PROPERTY,), failure.time)
    )


def load_failure(content: bytes) -> FailedBuild:
    """The failure in JSON of any spelling; what is not known is left out.

    Raises:
        InvalidRecord: anything else than a statement that a build failed.
    """
    found = load_result(content)
    if PROPERTY not in found.properties:
        raise InvalidRecord("statement", "it does not say that a build failed")
    if found.digests:
        raise InvalidRecord("statement", "a build that failed gave nothing")
    return FailedBuild(found.builder, found.key, found.name, found.time)
