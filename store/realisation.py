"""Realisations: the claim that a resolved derivation gave these bytes.

A key may have several: other builders, or rounds of a check. All are kept, they
are the evidence of reproducibility. As JSON a realisation is canonical: equal
claims are equal bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Final

from fromager.store.digest import RECORD_CONTEXT, Digest, derived_digest
from fromager.store.errors import InvalidName, InvalidRecord
from fromager.store.path import StorePath

RECORD_VERSION: Final = 1

PURPOSE_CHECK: Final = "check"
"""The fact `purpose` of a claim that a check made."""

ORIGIN_SUBSTITUTED: Final = "substituted"
"""The fact `origin` of a claim that somebody else made; it was not built here."""

NOT_A_RECORD: Final = (
    *(KeyError, TypeError, ValueError, AttributeError),
    *(RecursionError, OverflowError, InvalidName),
)
"""What reading JSON that is no record may raise."""


@dataclass(frozen=True, slots=True)
class Realisation:
    """One build of one resolved derivation."""

    key: Digest
    """The digest of the resolved derivation."""
    derivation: StorePath
    """The `.drv` object that holds it."""
    kind: str
    """What the derivation does: `fetch`, `source`, `wheel`, …"""
    subject: str
    """What it does that for, as people name it: `stevedore==5.10.0`."""
    output: StorePath
    """The object that it gave."""
    output_digest: Digest
    """The digest of that object."""
    level: str = "full"
    """How closed the sandbox was."""
    started: int = 0
    """Seconds since the epoch, UTC."""
    duration: float = 0.0
    """Seconds from start to output."""
    inputs: tuple[tuple[str, Digest], ...] = ()
    """Role and key of the realisations whose outputs went in, sorted by role."""
    facts: tuple[tuple[str, str], ...] = ()
    """What else the builder knows of the output, sorted: raw digest, log, builder."""
    stored: bool = field(default=True, compare=False)
    """False while it was not yet committed by a store."""

    def fact(self, name: str) -> str | None:
        """A fact by name, or None."""
        return dict(self.facts).get(name)

    @property
    def is_evidence(self) -> bool:
        """True for what a check found: kept, and never used in place of a build."""
        return self.fact("purpose") == PURPOSE_CHECK

    @property
    def is_substituted(self) -> bool:
        """True for what was built elsewhere, and taken over from there."""
        return self.fact("origin") == ORIGIN_SUBSTITUTED

    @property
    def record_digest(self) -> Digest:
        """The digest of the record; names its file in a store."""
        return derived_digest(RECORD_CONTEXT, dump_realisation(self))


def dump_realisation(realisation: Realisation) -> bytes:
    """The canonical JSON of a realisation."""
    return json.dumps(
        {
            "version": RECORD_VERSION,
            "key": str(realisation.key),
            "derivation": str(realisation.derivation),
            "kind": realisation.kind,
            "subject": realisation.subject,
            "outputs": {
                "out": {
                    "path": str(realisation.output),
                    "digest": str(realisation.output_digest),
                }
            },
            "level": realisation.level,
            "started": realisation.started,
            "duration_ms": round(realisation.duration * 1000),
            "inputs": {role: str(key) for role, key in realisation.inputs},
            "facts": dict(realisation.facts),
        },
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=True,
    ).encode("ascii")


def is_evidence_record(content: bytes) -> bool:
    """Whether a record is of what a check found; see `Realisation.is_evidence`."""
    # Quotes in texts are escaped, and members are written without blanks.
    return b'"purpose":"%b"' % PURPOSE_CHECK.encode() in content


def load_realisation(content: bytes) -> Realisation:
    """The realisation that `dump_realisation` wrote.

    Raises:
        InvalidRecord: any other bytes, a newer version included.
    """
    try:
        value = json.loads(content)
        if value["version"] != RECORD_VERSION:
            raise InvalidRecord("realisation", f"version {value['version']} is unknown")
        loaded = Realisation(
            key=Digest.parse(value["key"]),
            derivation=StorePath.parse(value["derivation"]),
            kind=str(value["kind"]),
            subject=str(value["subject"]),
            output=StorePath.parse(value["outputs"]["out"]["path"]),
            output_digest=Digest.parse(value["outputs"]["out"]["digest"]),
            level=str(value["level"]),
            started=int(value["started"]),
            duration=int(value["duration_ms"]) / 1000,
            inputs=tuple(
                sorted(
                    (role, Digest.parse(key)) for role, key in value["inputs"].items()
                )
            ),
            facts=tuple(sorted((str(k), str(v)) for k, v in value["facts"].items())),
        )
    except NOT_A_RECORD as error:
        raise InvalidRecord("realisation", f"not a record: {error}") from error
    if dump_realisation(loaded) != content:
        raise InvalidRecord("realisation", "it is not in canonical form")
    return loaded
