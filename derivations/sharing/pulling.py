"""Pull: a closure taken out of a cache, with the claims that are believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fromager.derivations.errors import (
    CacheRefused,
    DerivationError,
    InputError,
    Untrusted,
)
from fromager.derivations.realising.events import Noted
from fromager.derivations.sharing.claims import Standing, agreement
from fromager.derivations.sharing.fetching import Fetcher
from fromager.derivations.sharing.statement import taken_over
from fromager.store import InvalidRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fromager.derivations.realising.events import Reporter
    from fromager.derivations.sharing.cache import Cache
    from fromager.derivations.sharing.claims import Claim
    from fromager.derivations.sharing.layout import Push
    from fromager.derivations.sharing.offering import Offer
    from fromager.derivations.sharing.substituting import Belief
    from fromager.store import Digest, LocalStore, Realisation, StorePath


@dataclass(frozen=True, slots=True)
class _Source:
    """A push in one of several caches, by its number."""

    cache: int
    push: Push


@dataclass(frozen=True)
class Puller:
    """Takes closures out of caches, where trusted builders vouch for them."""

    store: LocalStore
    caches: Sequence[Cache]
    belief: Belief
    report: Reporter

    def pull(self, offers: Sequence[Offer]) -> list[Realisation]:
        """Have the closures of offers in the store, and their claims registered.

        Raises:
            Untrusted: nobody who is trusted says what one is, or they disagree.
            NetworkError, CacheRefused: no cache has all of it, as it should be.
        """
        together: dict[_Source, list[Offer]] = {}
        for offer in offers:
            together.setdefault(self._sources(offer)[0], []).append(offer)
        for source, several in together.items():
            try:
                self._take(source, several)
            except DerivationError as error:
                if isinstance(error, Untrusted):
                    raise
                for offer in several:
                    # What failed on its own is not tried again.
                    sources = self._sources(offer)[len(several) == 1 :]
                    self._take_from_any(offer, sources, error)
                # Told only where it is not the end of it.
                self._tell(several[0], error)
        return [self.store.realisations(offer.key)[0] for offer in offers]

    def _take_from_any(
        self, offer: Offer, sources: Sequence[_Source], failure: DerivationError
    ) -> None:
        """Take an offer from the first place that has all of it; what failed before is
        raised if none has."""
        for source in sources:
            try:
                self._take(source, [offer])
            except DerivationError as error:
                if isinstance(error, Untrusted):
                    raise
            else:
                return
        raise failure

    def _sources(self, offer: Offer) -> list[_Source]:
        found = [
            _Source(number, push)
            for number, cache in enumerate(self.caches)
            for push in cache.covering([offer.key])
        ]
        if not found:
            raise InputError(f"no cache has {offer}")
        return found

    def _take(self, source: _Source, offers: Sequence[Offer]) -> None:
        believed = self._believed(source.push.keys)
        wanted: dict[Digest, Claim] = {}
        for offer in offers:
            said = believed.get(offer.key)
            if said is None or offer.output not in (None, said.object):
                raise self._untrusted(offer)
            wanted.update(_closure(offer.key, believed))
        fetcher = Fetcher(self.store, self.caches[source.cache], source.push)
        realisations = [
            taken_over(claim.statement, claim.content)
            for claim in wanted.values()
            if claim.statement is not None
        ]
        paths = [
            path for each in realisations for path in (each.derivation, each.output)
        ]
        fetcher.take(fetcher.closure(_offered(fetcher, paths)))
        with self.store.transaction() as transaction:
            for each in realisations:
                if self._is_welcome(each):
                    transaction.register(each)
        for offer in offers:
            if not self.store.realisations(offer.key):
                reason = f"it does not have the output of {offer}"
                raise CacheRefused(self.caches[source.cache].url, reason)

    def _said(self, keys: Iterable[Digest]) -> list[Claim]:
        """What is said of keys in all caches."""
        wanted = list(keys)
        found = dict.fromkeys(
            content for cache in self.caches for content in cache.envelopes(wanted)
        )
        return [self.belief.examine(content) for content in found]

    def _believed(self, keys: frozenset[Digest]) -> dict[Digest, Claim]:
        """Of each key the claim that is believed, if one is."""
        by_key: dict[Digest, list[Claim]] = {}
        for claim in self._said(keys):
            if claim.key is not None:
                by_key.setdefault(claim.key, []).append(claim)
        found = {}
        for key, claims in by_key.items():
            output = agreement(claims, key).accepted(self.belief.trust.threshold)
            for claim in claims:
                trusted = claim.standing is Standing.TRUSTED and not claim.is_evidence
                if trusted and output is not None and claim.output == output:
                    found[key] = claim
        return found

    def _untrusted(self, offer: Offer) -> Untrusted:
        claims = self._said([offer.key])
        said = agreement(claims, offer.key)
        if not said.unanimous:
            names = ", ".join(name for _, names in said.outputs for name in names)
            return Untrusted(f"{offer}: {names} do not agree on what it gives")
        agreed = len(said.outputs[0][1]) if said.outputs else 0
        needed = self.belief.trust.threshold
        reasons = "; ".join(sorted({claim.reason for claim in claims if claim.reason}))
        return Untrusted(
            f"{offer}: {agreed} of {needed} trusted builders that are needed say what "
            f"it gives{f': {reasons}' if reasons else ''}",
            hint="Trust the key of who built it, if that is to be believed",
        )

    def _tell(self, offer: Offer, error: Exception) -> None:
        self.report(Noted(str(offer), str(error)))

    def _is_welcome(self, realisation: Realisation) -> bool:
        """Whether a claim does not take the place of what is in use here."""
        try:
            known = self.store.realisations(realisation.key)
        except InvalidRecord:
            known = ()
        used = [claim for claim in known if not claim.is_evidence]
        if used and used[0].output != realisation.output:
            text = "the store has another output of the same key; it stays in use"
            what = f"{realisation.subject} ({realisation.kind})"
            self.report(Noted(what, text))
            return False
        return realisation not in known and all(
            self.store.info(path) is not None
            for path in (realisation.output, realisation.derivation)
        )


def _offered(fetcher: Fetcher, paths: Iterable[StorePath]) -> list[StorePath]:
    """Those that the push lists; what is missing is told by their closure."""
    return [path for path in paths if fetcher.offers(path)]


def _closure(root: Digest, believed: Mapping[Digest, Claim]) -> dict[Digest, Claim]:
    """The claims of a key, of all that went into it, and of what backends answered."""
    found: dict[Digest, Claim] = {}
    queue = [root]
    while queue:
        key = queue.pop()
        said = believed.get(key)
        if said is not None and said.statement is not None and key not in found:
            found[key] = said
            queue.extend(inner for _, inner in said.statement.realisation.inputs)
    return found
