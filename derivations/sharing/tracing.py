"""Tracing outputs back to sources whose content was named before."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from fromager.derivations.derivation import Kind, decode
from fromager.derivations.errors import InvalidDerivation
from fromager.derivations.sharing.claims import Standing
from fromager.derivations.sharing.proving import Origin
from fromager.store import Digest, InvalidRecord, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fromager.derivations.derivation import ResolvedDerivation
    from fromager.derivations.sharing.claims import Claim
    from fromager.store import LocalStore, Realisation


class Tracer:
    """Tells where outputs come from, by what the store holds."""

    def __init__(self, store: LocalStore, steps: Sequence[Realisation]) -> None:
        self._store = store
        self._gave = {step.output_digest for step in steps}

    def origin(self, step: Realisation) -> Origin:
        """Where a step's output comes from.

        Raises:
            StoreError: the store does not hold what it should.
        """
        try:
            derivation = decode(self._store.read_file(step.derivation))
        except InvalidDerivation:
            return Origin(untraced=("its derivation",))
        if derivation.key != step.key:
            return Origin(untraced=("its derivation",))
        untraced = tuple(
            role for role, digest in derivation.inputs if digest not in self._gave
        )
        if derivation.kind is Kind.PATCH_SET:
            return Origin(by_hash=True, untraced=untraced)
        if derivation.kind is not Kind.FETCH:
            return Origin(untraced=untraced)
        return self._fetched(step, derivation)

    def _fetched(self, step: Realisation, derivation: ResolvedDerivation) -> Origin:
        """What was fetched is checked against the name it was fetched by."""
        sha256, tree = derivation.option("sha256"), derivation.option("tree")
        if isinstance(tree, str):
            return Origin(by_hash=_is(tree, step.output_digest))
        if not isinstance(sha256, str):
            # A commit names its files by hashes of git's own, which builders check.
            return Origin()
        filename = derivation.option("filename")
        try:
            content = self._store.read_file(step.output, str(filename))
        except StoreError:
            return Origin(untraced=(f"{filename} is not what it should be",))
        actual = hashlib.sha256(content).hexdigest()
        if actual != sha256:
            return Origin(untraced=(f"{filename} has the sha256 {actual}",))
        return Origin(by_hash=True)


def held_against_keys(
    store: LocalStore, steps: Sequence[Realisation], claims: Iterable[Claim]
) -> list[Claim]:
    """Claims of trusted builders about steps, as they are; but for those that name
    other inputs than the derivation of their key has: no such build can have been.
    """
    by_key = {step.key: step for step in steps}
    inputs: dict[Digest, tuple[tuple[str, Digest], ...] | None] = {}
    found = []
    for claim in claims:
        said, step = claim.statement, by_key.get(claim.key) if claim.key else None
        if said is not None and step is not None:
            if step.key not in inputs:
                inputs[step.key] = _inputs(store, step)
            known = inputs[step.key]
            if claim.standing is Standing.TRUSTED and known is not None:
                claim = _held(claim, said.dependencies == known)
        found.append(claim)
    return found


def _held(claim: Claim, holds: bool) -> Claim:
    if holds:
        return claim
    reason = f"{claim.signer} says that something else went in than its key does"
    return replace(claim, standing=Standing.FORGED, reason=reason)


def _inputs(
    store: LocalStore, step: Realisation
) -> tuple[tuple[str, Digest], ...] | None:
    """What goes into a step by its derivation; None if that is not to be had here."""
    try:
        derivation = decode(store.read_file(step.derivation))
    except (InvalidDerivation, StoreError):
        return None
    return tuple(sorted(derivation.inputs)) if derivation.key == step.key else None


def _is(text: str, digest: Digest) -> bool:
    try:
        return Digest.parse(text) == digest
    except InvalidRecord:
        return False
