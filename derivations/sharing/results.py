"""Results: what somebody says that they found out about something (in-toto SVR v0.2)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from fromager.derivations.sharing.envelope import dump_envelope
from fromager.derivations.sharing.statement import (
    DERIVATION,
    PAYLOAD_TYPE,
    STATEMENT_TYPE,
    statement_subject,
)
from fromager.store import NOT_A_RECORD, Digest, InvalidRecord

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from fromager.derivations.sharing.signing import EnvelopeSigner
    from fromager.store import Realisation

PREDICATE_TYPE: Final = "https://in-toto.io/attestation/svr/v0.2"

DIFFERS: Final = "FROMAGER_DIFFERS"
"""The property of what came out otherwise at least once."""


@dataclass(frozen=True, slots=True)
class Result:
    """Properties that something was found to have; it is no claim of a build."""

    builder: str
    """Who says so: an URI that a key stands for, whether it ever built anything."""
    key: Digest
    """That of the derivation of which something was found out."""
    name: str
    """What was looked at: a file or an object, as people name it."""
    properties: tuple[str, ...]
    time: int
    """Seconds since the epoch, UTC."""
    digests: tuple[tuple[str, str], ...] = ()
    """Algorithm and hex digits of what the derivation gave, sorted; nothing if it is the
    derivation itself of which this is said."""
    annotations: tuple[tuple[str, str], ...] = ()
    """What else is told of what it gave, sorted."""
    policies: tuple[tuple[str, str], ...] = ()
    """Name and SHA-256 of each file that says what is demanded, sorted."""


def result_about(
    realisation: Realisation,
    builder: str,
    properties: tuple[str, ...],
    time: int,
    policies: tuple[tuple[str, str], ...] = (),
) -> Result:
    """What was found of the output of a build, whoever did that."""
    subject = statement_subject(realisation)
    return Result(
        builder,
        realisation.key,
        subject["name"],
        properties,
        time,
        _pairs(subject["digest"]),
        _pairs(subject["annotations"]),
        tuple(sorted(policies)),
    )


def dump_result(result: Result) -> bytes:
    """The canonical JSON: keys sorted, no blanks, all outside ASCII escaped."""
    moment = datetime.fromtimestamp(result.time, UTC).replace(tzinfo=None)
    key = {DERIVATION: result.key.hex}
    subject: dict[str, object] = {"name": result.name, "digest": key}
    if result.digests:
        subject["digest"] = dict(result.digests)
        subject["annotations"] = {**dict(result.annotations), **key}
    verifier: dict[str, object] = {"id": result.builder}
    if result.policies:
        verifier["policies"] = [
            {"uri": name, "digest": {"sha256": sha256}}
            for name, sha256 in result.policies
        ]
    return json.dumps(
        {
            "_type": STATEMENT_TYPE,
            "subject": [subject],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "verifier": verifier,
                "timeCreated": f"{moment.isoformat()}Z",
                "properties": list(result.properties),
            },
        },
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=True,
    ).encode("ascii")


def load_result(content: bytes) -> Result:
    """The result in JSON of any spelling; what is not known is left out.

    Raises:
        InvalidRecord: anything else than a result about one derivation.
    """
    try:
        value = json.loads(content)
        if value["_type"] != STATEMENT_TYPE or value["predicateType"] != PREDICATE_TYPE:
            raise InvalidRecord("statement", "it is not about a build")
        predicate, verifier = value["predicate"], value["predicate"]["verifier"]
        if not isinstance(predicate["properties"], list):
            raise InvalidRecord("statement", "its properties are no list")
        (subject,) = value["subject"]
        digests = {str(k): str(v) for k, v in subject["digest"].items()}
        annotations = dict(subject.get("annotations", {}))
        key = digests.pop(DERIVATION, None) or annotations.pop(DERIVATION)
        return Result(
            str(verifier["id"]),
            Digest.parse(f"blake3:{key}"),
            str(subject["name"]),
            tuple(str(each) for each in predicate["properties"]),
            int(datetime.fromisoformat(predicate["timeCreated"]).timestamp()),
            _pairs(digests),
            _pairs(annotations),
            tuple(
                sorted(
                    (str(each["uri"]), str(each["digest"]["sha256"]))
                    for each in verifier.get("policies", ())
                )
            ),
        )
    except NOT_A_RECORD as error:
        raise InvalidRecord("statement", f"it cannot be read: {error}") from error


def sign_result(
    signer: EnvelopeSigner,
    realisation: Realisation,
    properties: tuple[str, ...],
    time: int,
    policies: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """An envelope about what was found of an output, whoever built it, as JSON."""
    builder = signer.key.builder
    result = result_about(realisation, builder, properties, time, policies)
    return dump_envelope(signer.sign(PAYLOAD_TYPE, dump_result(result)))


def _pairs(table: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((str(key), str(value)) for key, value in table.items()))
