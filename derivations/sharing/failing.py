"""Failures: what a builder says of a build that gave nothing (in-toto SVR v0.2).

An in-toto statement must have a subject; here it is the derivation.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from fromager.derivations.sharing.statement import DERIVATION, STATEMENT_TYPE
from fromager.store import NOT_A_RECORD, Digest, InvalidRecord

PREDICATE_TYPE: Final = "https://in-toto.io/attestation/svr/v0.2"
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
    """The canonical JSON: keys sorted, no blanks, all outside ASCII escaped."""
    moment = datetime.fromtimestamp(failure.time, UTC).replace(tzinfo=None)
    return json.dumps(
        {
            "_type": STATEMENT_TYPE,
            "subject": [
                {"name": failure.subject, "digest": {DERIVATION: failure.key.hex}}
            ],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "verifier": {"id": failure.builder},
                "timeCreated": f"{moment.isoformat()}Z",
                "properties": [PROPERTY],
            },
        },
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=True,
    ).encode("ascii")


def load_failure(content: bytes) -> FailedBuild:
    """The failure in JSON of any spelling; what is not known is left out.

    Raises:
        InvalidRecord: anything else than a statement that a build failed.
    """
    try:
        value = json.loads(content)
        if value["_type"] != STATEMENT_TYPE or value["predicateType"] != PREDICATE_TYPE:
            raise InvalidRecord("statement", "it is not about a build")
        predicate = value["predicate"]
        if PROPERTY not in predicate["properties"]:
            raise InvalidRecord("statement", "it does not say that a build failed")
        (subject,) = value["subject"]
        return FailedBuild(
            str(predicate["verifier"]["id"]),
            Digest.parse(f"blake3:{subject['digest'][DERIVATION]}"),
            str(subject["name"]),
            int(datetime.fromisoformat(predicate["timeCreated"]).timestamp()),
        )
    except NOT_A_RECORD as error:
        raise InvalidRecord("statement", f"it cannot be read: {error}") from error
