"""Claims as they are shown to others: in the envelopes that builders signed."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fromager.derivations.errors import DerivationError
from fromager.derivations.realising.events import Noted
from fromager.derivations.sharing.pushing import sign_claim
from fromager.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fromager.derivations.realising.events import Reporter
    from fromager.derivations.sharing.signing import EnvelopeSigner
    from fromager.store import Digest, LocalStore, Realisation


@dataclass
class Attestor:
    """Gives claims of others as they came, and signs those of this machine.

    Each is signed once. Used by many threads.
    """

    store: LocalStore
    signer: EnvelopeSigner | None
    """Without one nothing is said of what was built here."""
    report: Reporter
    _signed: dict[Digest, bytes | None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def builder(self) -> str:
        """Who says what was built here; empty if nobody does."""
        return "" if self.signer is None else self.signer.key.builder

    def envelopes(self, claims: Iterable[Realisation]) -> tuple[bytes, ...]:
        """The envelopes of those claims that have one, as JSON, in their order."""
        found = (self._envelope(claim) for claim in claims)
        return tuple(each for each in found if each is not None)

    def _envelope(self, claim: Realisation) -> bytes | None:
        if claim.is_substituted:
            envelope = claim.fact("envelope")
            return None if envelope is None else envelope.encode("ascii")
        if self.signer is None:
            return None
        record = claim.record_digest
        with self._lock:
            if record not in self._signed:
                self._signed[record] = self._sign(claim, self.signer)
            return self._signed[record]

    def _sign(self, claim: Realisation, signer: EnvelopeSigner) -> bytes | None:
        try:
            return sign_claim(self.store, claim, signer)
        except (DerivationError, StoreError) as error:
            # What it is about may just have been collected as garbage.
            text = f"nothing is said of it: {error}"
            self.report(Noted(f"{claim.subject} ({claim.kind})", text))
            return None
