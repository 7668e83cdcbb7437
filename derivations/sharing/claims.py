"""Claims: what builders say of keys, by whom, and whether that is to be believed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from fromager.derivations.sharing.envelope import Envelope, load_envelope
from fromager.derivations.sharing.failing import FailedBuild, load_failure
from fromager.derivations.sharing.results import Result, load_result
from fromager.derivations.sharing.statement import (
    PAYLOAD_TYPE,
    Statement,
    load_statement,
)
from fromager.store import InvalidRecord

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from fromager.derivations.sharing.keys import Trust, TrustedKey
    from fromager.derivations.sharing.signing import Verifier
    from fromager.store import Digest, StorePath


class Standing(Enum):
    """What a claim is worth."""

    TRUSTED = "trusted"
    """Signed by a key of the list, as the builder that the key stands for."""
    UNKNOWN = "unknown"
    """Whoever signed it is not in the list."""
    LAPSED = "lapsed"
    """Signed by a key of the list that has expired, or was revoked."""
    FORGED = "forged"
    """It says that it is of a builder in the list, who did not sign it."""
    UNREADABLE = "unreadable"
    """It is no claim about a build."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What somebody said, as it was found, and what it is worth."""

    content: bytes
    """The envelope as JSON."""
    standing: Standing
    statement: Statement | None = None
    """None if it is unreadable, or says something else than what a build gave."""
    signer: str | None = None
    """The name of the trusted key that signed it."""
    reason: str = ""
    """Why it is not trusted."""
    failure: FailedBuild | None = None
    """Instead of a statement about a build: that it failed."""
    result: Result | None = None
    """Instead of a statement about a build: what somebody who compared found."""

    @property
    def key(self) -> Digest | None:
        """The key that it is about."""
        if (other := self.failure or self.result) is not None:
            return other.key
        return None if self.statement is None else self.statement.realisation.key

    @property
    def builder(self) -> str | None:
        """Whose claim it says that it is."""
        said = self.failure or self.result or self.statement
        return None if said is None else said.builder

    @property
    def output(self) -> Digest | None:
        """What the key gave, as it says."""
        if self.statement is None:
            return None
        return self.statement.realisation.output_digest

    @property
    def object(self) -> StorePath | None:
        """The object that it gave, as it says."""
        return None if self.statement is None else self.statement.realisation.output

    @property
    def is_evidence(self) -> bool:
        """True for what a check found: it never stands for a build."""
        return self.statement is not None and self.statement.realisation.is_evidence


def examine(content: bytes, trust: Trust, verifier: Verifier, today: date) -> Claim:
    """What an envelope, as it was found somewhere, is worth."""
    try:
        envelope = load_envelope(content)
        if envelope.payload_type != PAYLOAD_TYPE:
            reason = f"its payload is {envelope.payload_type:.80}"
            return Claim(content, Standing.UNREADABLE, reason=reason)
        said = load_said(envelope.payload)
    except InvalidRecord as error:
        return Claim(content, Standing.UNREADABLE, reason=str(error))
    match said:
        case FailedBuild():
            bare = Claim(content, Standing.UNKNOWN, failure=said)
        case Result():
            bare = Claim(content, Standing.UNKNOWN, result=said)
        case Statement():
            bare = Claim(content, Standing.UNKNOWN, said)
    builder = said.builder
    signer = _signer(envelope, builder, trust, verifier)
    if signer is None:
        if builder in [trusted.key.builder for trusted in trust.keys]:
            reason = f"it says that it is of {builder}, who did not sign it"
            return replace(bare, standing=Standing.FORGED, reason=reason)
        return replace(bare, reason=f"{builder} is not trusted")
    name = signer.key.name
    if signer.key.builder != builder:
        reason = f"{name} signed it, and it says that it is of {builder}"
        return replace(bare, standing=Standing.FORGED, signer=name, reason=reason)
    lapsed = signer.why_not(today)
    standing = Standing.LAPSED if lapsed else Standing.TRUSTED
    return replace(bare, standing=standing, signer=name, reason=lapsed or "")


def load_said(payload: bytes) -> Statement | FailedBuild | Result:
    """What a payload says: what a build gave, that it failed, or what was found of it.

    Raises:
        InvalidRecord: none of these.
    """
    try:
        return load_statement(payload)
    except InvalidRecord:
        for load in (load_failure, load_result):
            try:
                return load(payload)
            except InvalidRecord:
                continue
        raise


def result_in(content: bytes) -> Result:
    """What an envelope says that somebody found; its signature is not verified.

    Raises:
        InvalidRecord: it holds something else.
    """
    envelope = load_envelope(content)
    if envelope.payload_type != PAYLOAD_TYPE:
        raise InvalidRecord("envelope", f"its payload is {envelope.payload_type:.80}")
    said = load_said(envelope.payload)
    if not isinstance(said, Result):
        raise InvalidRecord("statement", "it is a claim about a build")
    return said


def _signer(
    envelope: Envelope, builder: str, trust: Trust, verifier: Verifier
) -> TrustedKey | None:
    """The trusted key that signed it; the builder's own, if that did."""
    ordered = sorted(trust.keys, key=lambda each: each.key.builder != builder)
    return next(
        (each for each in ordered if verifier.verifies(each.key, envelope)), None
    )


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the trusted builders say of one key."""

    outputs: tuple[tuple[Digest, tuple[str, ...]], ...]
    """Each output and the builders that say so, most builders first."""
    equivocating: tuple[str, ...]
    """Builders that say several things; none of them is counted."""

    @property
    def unanimous(self) -> bool:
        """Whether nobody disagrees, not even with himself."""
        return len(self.outputs) <= 1 and not self.equivocating

    def accepted(self, threshold: int) -> Digest | None:
        """The output that enough builders agree on, if nobody disagrees."""
        if self.unanimous and self.outputs and len(self.outputs[0][1]) >= threshold:
            return self.outputs[0][0]
        return None


def agreement(claims: Iterable[Claim], key: Digest) -> Agreement:
    """What is said of a key by trusted builders about builds of theirs.

    One builder counts once, however often it says the same.
    """
    said: dict[str, set[Digest]] = {}
    for claim in claims:
        if claim.standing is not Standing.TRUSTED or claim.is_evidence:
            continue
        if claim.key == key and claim.signer is not None and claim.output is not None:
            said.setdefault(claim.signer, set()).add(claim.output)
    by_output: dict[Digest, list[str]] = {}
    for name, outputs in sorted(said.items()):
        for output in outputs:
            by_output.setdefault(output, []).append(name)
    equivocating = tuple(name for name, outputs in said.items() if len(outputs) > 1)
    ranked = sorted(by_output.items(), key=lambda item: (-len(item[1]), item[0]))
    return Agreement(
        tuple((output, tuple(names)) for output, names in ranked),
        tuple(sorted(equivocating)),
    )
