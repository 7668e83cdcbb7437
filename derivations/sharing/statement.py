"""Statements: what a builder says of one build (in-toto Statement v1, SLSA provenance v1).

What honest builders must agree on stands in `buildDefinition`, but for the output
itself, which is the subject; all that may differ stands in `runDetails`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from fromager.derivations.realising.host_facts import VERSION
from fromager.store import (
    NOT_A_RECORD,
    ORIGIN_SUBSTITUTED,
    Digest,
    InvalidRecord,
    Realisation,
    StorePath,
)

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://slsa.dev/provenance/v1"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
BUILD_TYPE: Final = "urn:fromager:build-type:{}:1"
BUILDER: Final = "urn:fromager:builder:{}"
RECORD: Final = "urn:fromager:record:{}"
DERIVATION_MEDIA_TYPE: Final = "application/vnd.fromager.derivation+json"

OBJECT: Final = "fromagerObject"
"""The digest algorithm of store objects: BLAKE3 of a blob or of a tree's listing."""
DERIVATION: Final = "fromagerDerivation"
"""The digest algorithm of derivations: their key."""

LOCAL_FACTS: Final = frozenset({"builder", "envelope", "origin"})
"""Facts of how a claim came into this store; no builder states them."""

_BUILD_TYPE_PREFIX, _BUILD_TYPE_SUFFIX = BUILD_TYPE.split("{}")


@dataclass(frozen=True, slots=True)
class Statement:
    """What one builder says of one build."""

    builder: str
    """Who says so: an URI that a key stands for."""
    realisation: Realisation
    """What was built, without what only one store knows of it."""
    dependencies: tuple[tuple[str, Digest], ...] = ()
    """Role and content of all that went in, sorted; as the derivation has it."""


def builder_id(name: str) -> str:
    """The identity of the builder that a key of this name stands for."""
    return BUILDER.format(name)


def state(
    realisation: Realisation, inputs: tuple[tuple[str, Digest], ...], builder: str
) -> Statement:
    """What a builder says of a build of its own.

    Raises:
        InvalidRecord: it was not built here: only who built may say so.
    """
    if realisation.is_substituted:
        raise InvalidRecord(
            f"realisation of {realisation.subject}", "it was not built here"
        )
    facts = tuple((k, v) for k, v in realisation.facts if k not in LOCAL_FACTS)
    return Statement(builder, replace(realisation, facts=facts), tuple(sorted(inputs)))


def dump_statement(statement: Statement) -> bytes:
    """The canonical JSON: keys sorted, no blanks, all outside ASCII escaped."""
    return json.dumps(
        {
            "_type": STATEMENT_TYPE,
            "subject": [statement_subject(statement.realisation)],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "buildDefinition": _definition(statement),
                "runDetails": _details(statement),
            },
        },
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=True,
    ).encode("ascii")


def load_statement(content: bytes) -> Statement:
    """The statement in JSON of any spelling.

    Members that are not known are left out, but for external parameters: a builder
    that was given more than the derivation did not do what the key says.

    Raises:
        InvalidRecord: anything else than a statement about one build.
    """
    try:
        value = json.loads(content)
        if value["_type"] != STATEMENT_TYPE or value["predicateType"] != PREDICATE_TYPE:
            raise InvalidRecord("statement", "it is not about a build")
        predicate = value["predicate"]
        definition, details = predicate["buildDefinition"], predicate["runDetails"]
        (subject,) = value["subject"]
        return Statement(
            str(details["builder"]["id"]),
            _realisation(subject, definition, details),
            _dependencies(definition),
        )
    except NOT_A_RECORD as error:
        raise InvalidRecord("statement", f"it cannot be read: {error}") from error


def statement_subject(realisation: Realisation) -> dict[str, Any]:
    """The output of a build, as in-toto names what a statement is about."""
    digest = {OBJECT: realisation.output_digest.hex}
    if sha256 := realisation.fact("sha256"):
        digest["sha256"] = sha256
    return {
        # Of a wheel its own name, as readers of such statements about files expect.
        "name": realisation.fact("filename") or realisation.output.name,
        "digest": digest,
        "annotations": {"path": str(realisation.output)},
    }


def _definition(statement: Statement) -> dict[str, object]:
    realisation = statement.realisation
    key = {DERIVATION: realisation.key.hex}
    return {
        "buildType": BUILD_TYPE.format(realisation.kind),
        "externalParameters": {"derivation": key},
        "internalParameters": {
            "level": realisation.level,
            "subject": realisation.subject,
        },
        "resolvedDependencies": [
            {
                "name": "derivation",
                "digest": key,
                "mediaType": DERIVATION_MEDIA_TYPE,
                "annotations": {"path": str(realisation.derivation)},
            },
            *(
                {"name": f"input {role}", "digest": {OBJECT: digest.hex}}
                for role, digest in statement.dependencies
            ),
        ],
    }


def _details(statement: Statement) -> dict[str, object]:
    realisation = statement.realisation
    finished = realisation.started + realisation.duration
    record = realisation.record_digest.hex
    inputs = {role: key.hex for role, key in realisation.inputs}
    facts = dict(realisation.facts)
    versions = {
        name.removeprefix(VERSION): facts.pop(name)
        for name in tuple(facts)
        if name.startswith(VERSION)
    }
    return {
        "builder": {
            "id": statement.builder,
            **({"version": versions} if versions else {}),
        },
        "metadata": {
            "invocationId": RECORD.format(record),
            "startedOn": _time(realisation.started),
            "finishedOn": _time(finished),
        },
        "byproducts": [
            {"name": "facts", "annotations": facts},
            {"name": "inputs", "annotations": inputs},
        ],
    }


def _realisation(
    subject: Mapping[str, Any],
    definition: Mapping[str, Any],
    details: Mapping[str, Any],
) -> Realisation:
    parameters = definition["externalParameters"]
    if set(parameters) != {"derivation"}:
        names = ", ".join(sorted(map(str, parameters)))
        raise InvalidRecord("statement", f"external parameters {names:.200}")
    inner = definition["internalParameters"]
    derivation = _named(definition["resolvedDependencies"], "derivation")
    versions = details["builder"].get("version", {})
    facts = {
        **_annotations(details, "facts"),
        **{f"{VERSION}{name}": version for name, version in versions.items()},
    }
    started = _seconds(details["metadata"]["startedOn"])
    finished = _seconds(details["metadata"]["finishedOn"])
    output = StorePath.parse(subject["annotations"]["path"])
    digest = _digest(subject["digest"][OBJECT])
    if output != StorePath.of(digest, output.name):
        raise InvalidRecord("statement", f"{output} does not have the digest claimed")
    return Realisation(
        key=_digest(parameters["derivation"][DERIVATION]),
        derivation=StorePath.parse(derivation["annotations"]["path"]),
        kind=_kind(definition["buildType"]),
        subject=_text(inner["subject"]),
        output=output,
        output_digest=digest,
        level=_text(inner["level"]),
        started=int(started),
        duration=round(max(0.0, finished - int(started)), 3),
        inputs=tuple(
            sorted((k, _digest(v)) for k, v in _annotations(details, "inputs").items())
        ),
        facts=tuple(
            sorted((k, _text(v)) for k, v in facts.items() if k not in LOCAL_FACTS)
        ),
    )


def taken_over(statement: Statement, envelope: bytes) -> Realisation:
    """A builder's claim as a store keeps it: with the envelope that proves it."""
    facts = {
        **dict(statement.realisation.facts),
        "builder": statement.builder,
        "envelope": envelope.decode("ascii"),
        "origin": ORIGIN_SUBSTITUTED,
    }
    return replace(statement.realisation, facts=tuple(sorted(facts.items())))


def _dependencies(definition: Mapping[str, Any]) -> tuple[tuple[str, Digest], ...]:
    found = []
    for each in definition["resolvedDependencies"]:
        prefix, _, role = _text(each["name"]).partition(" ")
        if prefix == "input":
            found.append((role, _digest(each["digest"][OBJECT])))
    return tuple(sorted(found))


def _named(rows: Any, name: str) -> Mapping[str, Any]:
    for row in rows:
        if row["name"] == name and isinstance(row, Mapping):
            return row
    raise InvalidRecord("statement", f"it names no {name}")


def _annotations(details: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = _named(details["byproducts"], name)["annotations"]
    if not isinstance(found, Mapping):
        raise InvalidRecord("statement", f"its {name} are no table")
    return found


def _kind(build_type: object) -> str:
    text = _text(build_type)
    kind = text.removeprefix(_BUILD_TYPE_PREFIX).removesuffix(_BUILD_TYPE_SUFFIX)
    if text != BUILD_TYPE.format(kind):
        raise InvalidRecord("statement", f"its build type is {text:.80}")
    return kind


def _digest(text: object) -> Digest:
    return Digest.parse(f"blake3:{_text(text)}")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise InvalidRecord("statement", f"{value!r:.60} is no text")
    return value


def _time(seconds: float) -> str:
    moment = datetime.fromtimestamp(round(seconds * 1000) / 1000, UTC)
    text = moment.isoformat(timespec="milliseconds").removesuffix("+00:00")
    return f"{text.removesuffix('.000')}Z"


def _seconds(text: object) -> float:
    return datetime.fromisoformat(_text(text)).timestamp()
