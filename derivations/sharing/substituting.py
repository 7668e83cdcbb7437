"""Substitution: what others built is taken, where trusted builders vouch for it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fromager.derivations.derivation import encode
from fromager.derivations.errors import DerivationError
from fromager.derivations.realising.events import Noted, StepSubstituted
from fromager.derivations.realising.instantiate import object_name
from fromager.derivations.sharing.claims import (
    Agreement,
    Claim,
    Standing,
    agreement,
    examine,
)
from fromager.derivations.sharing.fetching import Fetcher
from fromager.derivations.sharing.statement import taken_over
from fromager.store import InvalidRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

    from fromager.derivations.derivation import ResolvedDerivation
    from fromager.derivations.realising.events import Reporter
    from fromager.derivations.sharing.cache import Cache
    from fromager.derivations.sharing.keys import Trust
    from fromager.derivations.sharing.signing import Verifier
    from fromager.store import Digest, LocalStore, Realisation, StorePath


@dataclass(frozen=True)
class Belief:
    """Whom to believe, and how that is found out."""

    trust: Trust
    verifier: Verifier
    today: date
    _examined: dict[bytes, Claim] = field(default_factory=dict, repr=False)

    def examine(self, content: bytes) -> Claim:
        """What an envelope is worth; each is verified once."""
        claim = self._examined.get(content)
        if claim is None:
            claim = examine(content, self.trust, self.verifier, self.today)
            self._examined[content] = claim
        return claim


@dataclass
class Substituter:
    """Takes outputs out of caches instead of building them; used by many threads.

    A cache that fails, lies or cannot be reached is told of, and the step is built.
    """

    store: LocalStore
    open_caches: Callable[[], Sequence[Cache]]
    """Called once, when something is looked for that is not in the store."""
    belief: Belief
    report: Reporter
    _caches: list[Cache] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(
        self,
        resolved: ResolvedDerivation,
        inputs: Sequence[tuple[str, Digest]],
    ) -> Realisation | None:
        """The realisation of a key, its output in the store; None if it is to be built.

        `inputs` are the keys of what went in, by role.
        """
        claims = self._claims(resolved.key)
        said = agreement(claims, resolved.key)
        wanted = said.accepted(self.belief.trust.threshold)
        if wanted is None:
            self._tell_why_not(resolved, claims, said)
            return None
        for claim in claims:
            if claim.standing is not Standing.TRUSTED or claim.is_evidence:
                continue
            if claim.key == resolved.key and claim.output == wanted:
                taken = self._take(resolved, claim, inputs)
                if taken is not None:
                    return taken
        return None

    def close(self) -> None:
        """Give connections up."""
        for cache in self._caches or ():
            cache.close()

    def _take(
        self,
        resolved: ResolvedDerivation,
        claim: Claim,
        inputs: Sequence[tuple[str, Digest]],
    ) -> Realisation | None:
        assert claim.statement is not None, "a trusted claim can be read"
        output = claim.statement.realisation.output
        origin = self._fetch(resolved, output)
        if origin is None:
            return None
        with self.store.transaction() as transaction:
            drv = transaction.add_bytes(
                encode(resolved),
                f"{object_name(resolved.subject)}-{resolved.kind.value}.drv",
            )
            realisation = replace(
                taken_over(claim.statement, claim.content),
                derivation=drv.path,
                kind=resolved.kind.value,
                subject=resolved.subject,
                inputs=_with_answers(claim.statement.realisation, inputs),
            )
            transaction.register(realisation)
        self.report(
            StepSubstituted(resolved.kind.value, resolved.subject, origin, str(output))
        )
        return realisation

    def _fetch(self, resolved: ResolvedDerivation, output: StorePath) -> str | None:
        """Have an object in the store; where it came from, or None."""
        if self.store.info(output) is not None:
            return "the store"
        for cache in list(self._asked()):
            try:
                for push in cache.covering([resolved.key]):
                    fetcher = Fetcher(self.store, cache, push)
                    if fetcher.offers(output):
                        fetcher.take(fetcher.closure([output]))
                        return cache.url
            except (DerivationError, InvalidRecord) as error:
                self.report(
                    Noted(f"{resolved.subject} ({resolved.kind.value})", str(error))
                )
        return None

    def _claims(self, key: Digest) -> tuple[Claim, ...]:
        found: dict[bytes, None] = {}
        for cache in list(self._asked()):
            try:
                found.update(dict.fromkeys(cache.envelopes([key])))
            except (DerivationError, InvalidRecord) as error:
                self._leave(cache, error)
        return tuple(self.belief.examine(content) for content in found)

    def _asked(self) -> list[Cache]:
        with self._lock:
            if self._caches is None:
                self._caches = list(self.open_caches())
            return self._caches

    def _leave(self, cache: Cache, error: Exception) -> None:
        """Ask a cache no more in this run; told once."""
        with self._lock:
            if self._caches is None or cache not in self._caches:
                return
            self._caches.remove(cache)
        self.report(Noted(cache.url, f"not asked any more: {error}"))

    def _tell_why_not(
        self, resolved: ResolvedDerivation, claims: Sequence[Claim], said: Agreement
    ) -> None:
        """Disagreement and forgery are never passed over in silence."""
        what = f"{resolved.subject} ({resolved.kind.value})"
        if not said.unanimous:
            names = ", ".join(name for _, names in said.outputs for name in names)
            text = f"built here, since {names} do not agree on what it gives"
            self.report(Noted(what, text))
        for claim in claims:
            if claim.standing in (Standing.FORGED, Standing.LAPSED):
                self.report(Noted(what, f"a claim is not believed: {claim.reason}"))


def _with_answers(
    said: Realisation, inputs: Sequence[tuple[str, Digest]]
) -> tuple[tuple[str, Digest], ...]:
    """What went in here, and the answers of the backend, as the builder names them."""
    answers = [each for each in said.inputs if each[0].startswith("answer ")]
    return tuple(sorted([*answers, *inputs]))
