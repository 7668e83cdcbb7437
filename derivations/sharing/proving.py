"""Verification: is every step of a closure what enough builders say, down to sources?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fromager.derivations.sharing.claims import Standing, agreement
from fromager.derivations.sharing.policy import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date

    from fromager.derivations.sharing.claims import Claim
    from fromager.derivations.sharing.policy import Exemption, Policy
    from fromager.store import Digest, Realisation


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of where a step's output comes from, apart from claims."""

    by_hash: bool = False
    """Its content was named before it was fetched, and is what was named."""
    untraced: tuple[str, ...] = ()
    """Roles of inputs that no step of the closure gave."""


@dataclass(frozen=True, slots=True)
class Proven:
    """One step, and what its proof is or lacks."""

    recorded: Realisation
    builders: tuple[str, ...]
    """Who says what is recorded, sorted."""
    by_hash: bool
    faults: tuple[tuple[Fault, str], ...] = ()
    """What keeps it from being verified, and in which way."""
    exempted: tuple[tuple[Fault, Exemption], ...] = ()
    """Faults that the policy accepts."""
    others: tuple[Claim, ...] = ()
    """Claims of builders that say something else."""

    @property
    def row(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "kind": self.recorded.kind,
            "subject": self.recorded.subject,
            "key": str(self.recorded.key),
            "digest": str(self.recorded.output_digest),
            "builders": list(self.builders),
            "by_hash": self.by_hash,
            "faults": [{"fault": f.value, "detail": text} for f, text in self.faults],
            "exempted": [
                {
                    "fault": fault.value,
                    "reason": exemption.reason,
                    "expires": exemption.expires.isoformat(),
                }
                for fault, exemption in self.exempted
            ],
        }


@dataclass(frozen=True, slots=True)
class Proof:
    """What a policy says of all steps of a closure, inputs first."""

    steps: tuple[Proven, ...]

    @property
    def faults(self) -> frozenset[Fault]:
        """What keeps the closure from being verified; nothing if it is."""
        return frozenset(fault for step in self.steps for fault, _ in step.faults)


def prove(
    steps: Sequence[Realisation],
    claims: Iterable[Claim],
    policy: Policy,
    origin: Callable[[Realisation], Origin],
    today: date,
    own: str | None = None,
) -> Proof:
    """Hold steps, inputs first, against a policy.

    `claims` were examined with the trust of the policy. `own` is the name of the builder
    that this machine is: what was built here, it says.
    """
    by_key: dict[Digest, list[Claim]] = {}
    for claim in claims:
        if claim.key is not None:
            by_key.setdefault(claim.key, []).append(claim)
    return Proof(
        tuple(
            _prove(step, by_key.get(step.key, ()), policy, origin(step), today, own)
            for step in steps
        )
    )


def _prove(
    step: Realisation,
    claims: Sequence[Claim],
    policy: Policy,
    origin: Origin,
    today: date,
    own: str | None,
) -> Proven:
    said = dict(agreement(claims, step.key).outputs)
    agreeing = set(said.pop(step.output_digest, ()))
    names = [trusted.key.name for trusted in policy.trust.keys]
    if own is not None and own in names and not step.is_substituted:
        agreeing.add(own)
    found = dict(_faults(step, claims, origin))
    if said:
        found[Fault.DIFFERS] = _dissent(said)
    if not origin.by_hash and len(agreeing) < policy.trust.threshold:
        found[Fault.MISSING] = "; ".join(
            (f"{len(agreeing)} of {policy.trust.threshold} say so", *_not_heard(claims))
        )
    faults, exempted = [], []
    for fault, detail in found.items():
        exemption = _exemption(policy, step, fault, today)
        if exemption is not None:
            exempted.append((fault, exemption))
        else:
            faults.append((fault, detail + _lapsed(policy, step, fault)))
    others = tuple(
        claim
        for claim in claims
        if claim.standing is Standing.TRUSTED
        and not claim.is_evidence
        and claim.output not in (None, step.output_digest)
    )
    return Proven(
        step,
        tuple(sorted(agreeing)),
        origin.by_hash,
        tuple(faults),
        tuple(exempted),
        others,
    )


def _faults(
    step: Realisation, claims: Iterable[Claim], origin: Origin
) -> Iterable[tuple[Fault, str]]:
    prebuilt = step.fact("prebuilt")
    if prebuilt is not None:
        yield Fault.PREBUILT, f"taken from {prebuilt}"
    if step.level not in ("full", "none-needed"):
        yield Fault.UNSANDBOXED, f"built at the level {step.level}"
    if origin.untraced:
        yield Fault.UNTRACED, f"nobody knows whence {', '.join(origin.untraced)}"
    forged = {c.reason for c in claims if c.standing is Standing.FORGED}
    if forged:
        yield Fault.FORGED, "; ".join(sorted(forged))


def _not_heard(claims: Iterable[Claim]) -> list[str]:
    """Why claims of builders of the policy do not count."""
    return sorted({c.reason for c in claims if c.standing is Standing.LAPSED})


def _dissent(said: Mapping[Digest, tuple[str, ...]]) -> str:
    return "; ".join(
        f"{', '.join(names)} {'say' if len(names) > 1 else 'says'} {output}"
        for output, names in said.items()
    )


def _exemption(
    policy: Policy, step: Realisation, fault: Fault, today: date
) -> Exemption | None:
    for exemption in policy.exemptions:
        if exemption.covers(step, fault, today):
            return exemption
    return None


def _lapsed(policy: Policy, step: Realisation, fault: Fault) -> str:
    """What to say of exemptions that were for this, and have expired."""
    days = [e.expires for e in policy.exemptions if e.names(step, fault)]
    return f" (its exemption has expired on {max(days)})" if days else ""
