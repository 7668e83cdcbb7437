"""Tracing outputs back to sources whose content was named before."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from fromager.derivations.derivation import Kind, decode
from fromager.derivations.errors import InvalidDerivation
from fromager.derivations.sharing.proving import Origin
from fromager.store import Digest, InvalidRecord, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fromager.derivations.derivation import ResolvedDerivation
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


def _is(text: str, digest: Digest) -> bool:
    try:
        return Digest.parse(text) == digest
    except InvalidRecord:
        return False
