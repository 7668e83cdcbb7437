"""Challenge: what was built here beside what others say of the same keys; values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from fromager.derivations.realising.host_facts import host_differences
from fromager.derivations.sharing.claims import Standing
from fromager.derivations.sharing.results import DIFFERS
from fromager.derivations.sharing.statement import OBJECT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fromager.derivations.realising.host_facts import HostDifference
    from fromager.derivations.sharing.claims import Claim
    from fromager.store import Digest, Realisation, StorePath


class Outcome(Enum):
    """What others say of a key."""

    MATCH = "match"
    """Trusted builders say the same, and none says anything else."""
    MISMATCH = "mismatch"
    """A trusted builder says that it gave something else."""
    NOT_COMPARABLE = "not comparable"
    """Nobody else did this step, since something that goes into it differs."""
    INCONCLUSIVE = "inconclusive"
    """Nobody else says anything of it."""
    UNTRUSTED = "untrusted"
    """A claim is forged, or all there are come from builders that are not trusted."""


@dataclass(frozen=True, slots=True)
class Item:
    """One step, and what others say of it."""

    recorded: Realisation
    outcome: Outcome
    agreeing: tuple[str, ...] = ()
    """Trusted builders that say the same, sorted."""
    others: tuple[Claim, ...] = ()
    """Claims of trusted builders that say something else."""
    reasons: tuple[str, ...] = ()
    """Why claims are not believed."""
    because: tuple[str, ...] = ()
    """The steps that differ, where this one cannot be compared for that."""
    results: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Who is trusted and compared it elsewhere, and what they found; it decides nothing."""

    @property
    def is_contested(self) -> bool:
        """Whether somebody who compared it elsewhere found that it differs."""
        return any(DIFFERS in properties for _, properties in self.results)

    @property
    def other_outputs(self) -> tuple[tuple[StorePath, tuple[str, ...]], ...]:
        """What else it gave, and who says so."""
        found: dict[StorePath, list[str]] = {}
        for claim in self.others:
            if claim.object is not None and claim.signer is not None:
                found.setdefault(claim.object, []).append(claim.signer)
        return tuple((output, tuple(sorted(set(who)))) for output, who in found.items())

    @property
    def other_hosts(self) -> tuple[tuple[str, HostDifference], ...]:
        """Builders that say something else, and how their machines are others."""
        found = (
            (claim.signer, difference)
            for claim in self.others
            if claim.signer is not None and claim.statement is not None
            for difference in host_differences(
                self.recorded, claim.statement.realisation
            )
        )
        return tuple(dict.fromkeys(found))

    @property
    def row(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "kind": self.recorded.kind,
            "subject": self.recorded.subject,
            "key": str(self.recorded.key),
            "digest": str(self.recorded.output_digest),
            "outcome": self.outcome.value,
            "agreeing": list(self.agreeing),
            "others": [
                {
                    "output": str(output),
                    "builders": list(builders),
                    "hosts": [
                        {"builder": builder, **difference.row}
                        for builder, difference in self.other_hosts
                        if builder in builders
                    ],
                }
                for output, builders in self.other_outputs
            ],
            "reasons": list(self.reasons),
            "because": list(self.because),
            "results": [
                {"verifier": name, "properties": list(properties)}
                for name, properties in self.results
            ],
        }


@dataclass(frozen=True, slots=True)
class Challenge:
    """What others say of all steps of a closure."""

    items: tuple[Item, ...]
    """Inputs first."""

    def having(self, outcome: Outcome) -> tuple[Item, ...]:
        """The items with an outcome: the first of them is no consequence of others."""
        return tuple(item for item in self.items if item.outcome is outcome)

    @property
    def outcome(self) -> Outcome:
        """That of all together: the worst, where a difference is worse than a forgery."""
        for outcome in (Outcome.MISMATCH, Outcome.UNTRUSTED, Outcome.INCONCLUSIVE):
            if self.having(outcome):
                return outcome
        return Outcome.MATCH


def challenge(
    steps: Sequence[Realisation], claims: Iterable[Claim], own: Iterable[str] = ()
) -> Challenge:
    """Compare steps, inputs first, with the claims of others about their keys.

    What the builders named `own` say is not heard: they are this machine. Nor is the
    builder heard from whom a step was taken, as it would be compared with itself.
    """
    by_key: dict[Digest, list[Claim]] = {}
    for claim in claims:
        if claim.key is not None:
            by_key.setdefault(claim.key, []).append(claim)
    ours = frozenset(own)
    causes: dict[Digest, tuple[str, ...]] = {}
    items = []
    for step in steps:
        inherited = _inherited(step, causes)
        item = _judge(step, by_key.get(step.key, ()), ours, inherited)
        if item.outcome is Outcome.MISMATCH:
            causes[step.key] = (f"{step.subject} ({step.kind})",)
        elif inherited:
            causes[step.key] = inherited
        items.append(item)
    return Challenge(tuple(items))


def _inherited(
    step: Realisation, causes: Mapping[Digest, tuple[str, ...]]
) -> tuple[str, ...]:
    found = (cause for _, key in step.inputs for cause in causes.get(key, ()))
    return tuple(sorted(set(found)))


def _judge(
    step: Realisation,
    claims: Iterable[Claim],
    own: frozenset[str],
    inherited: tuple[str, ...],
) -> Item:
    claims = tuple(claims)
    results = _results(step, claims, own)
    # Who compared what others built is no witness of a build, unless of a forgery.
    heard = [
        claim
        for claim in claims
        if claim.result is None or claim.standing is Standing.FORGED
        if not _is_own(step, claim, own)
    ]
    trusted = [claim for claim in heard if claim.standing is Standing.TRUSTED]
    others = tuple(
        claim
        for claim in trusted
        if claim.output not in (None, step.output_digest) and not claim.is_evidence
    )
    same = (claim for claim in trusted if claim.output == step.output_digest)
    agreeing = tuple(
        sorted({c.signer for c in same if c.signer is not None and not c.is_evidence})
    )
    failed = {claim.signer for claim in trusted if claim.failure is not None}
    reasons = (
        *sorted({claim.reason for claim in heard if claim.reason}),
        *(f"its build failed at {name}" for name in sorted(filter(None, failed))),
    )
    forged = any(claim.standing is Standing.FORGED for claim in heard)
    if others:
        outcome = Outcome.MISMATCH
    elif forged or (heard and not trusted):
        outcome = Outcome.UNTRUSTED
    elif agreeing:
        outcome = Outcome.MATCH
    elif inherited:
        return Item(step, Outcome.NOT_COMPARABLE, because=inherited, results=results)
    else:
        outcome = Outcome.INCONCLUSIVE
    return Item(step, outcome, agreeing, others, reasons, results=results)


def _results(
    step: Realisation, claims: Iterable[Claim], own: frozenset[str]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What was found of the very output that is here."""
    this = (OBJECT, step.output_digest.hex)
    found = {
        (claim.signer, claim.result.properties)
        for claim in claims
        if claim.standing is Standing.TRUSTED and claim.signer is not None
        if claim.result is not None and this in claim.result.digests
        if claim.result.builder not in own
    }
    return tuple(sorted(found))


def _is_own(step: Realisation, claim: Claim, own: frozenset[str]) -> bool:
    if claim.builder is None or claim.standing is Standing.FORGED:
        return False
    builder = claim.builder
    return builder in own or (step.is_substituted and builder == step.fact("builder"))
