"""What commands that share with other machines work with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from fromager.cli.targets import find_realisations

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fromager.cli.wiring import Wiring
    from fromager.derivations import (
        Belief,
        Cache,
        Claim,
        Keyring,
        PlaceMeans,
        Pusher,
        SigningKey,
        Substituter,
    )
    from fromager.store import Digest, LocalStore, Realisation

TRIES: Final = 3
"""How often a cache is asked: there is always the other way, to build."""


@dataclass(frozen=True)
class Sharing:
    """Caches, keys and trust, as one run of the command has them."""

    wiring: Wiring

    @cached_property
    def keyring(self) -> Keyring:
        """The user's keys."""
        from platformdirs import user_config_path

        from fromager.derivations import Keyring

        return Keyring(user_config_path("fromager"))

    @cached_property
    def belief(self) -> Belief:
        """Whom to believe today."""
        from datetime import UTC, datetime

        from fromager.derivations import Belief, KeyVerifier

        today = datetime.now(UTC).date()
        return Belief(self.keyring.trust(), KeyVerifier(), today)

    @cached_property
    def means(self) -> PlaceMeans:
        """What caches are reached with."""
        from fromager.derivations import (
            Noted,
            PlaceMeans,
            Retries,
            find_http_settings,
        )

        def tell(url: str, reason: str, seconds: float) -> None:
            text = f"{reason}; tried again in {seconds:.1f} s"
            self.wiring.report(Noted(url, text))

        return PlaceMeans(
            self.wiring.folder,
            lambda: find_http_settings(self.wiring.surroundings),
            Retries(tries=TRIES, notify=tell),
            offline=self.wiring.settings.flag("offline"),
        )

    def cache(self, store: LocalStore, url: str) -> Cache:
        """The cache at an address."""
        from fromager.derivations import Cache, open_place

        return Cache(open_place(url, self.means), store.cache("parts"))

    def caches(self, store: LocalStore, urls: Iterable[str]) -> list[Cache]:
        """The caches at these addresses, or those of the settings if there are none.

        Raises:
            InputError: neither.
        """
        from fromager.derivations import InputError

        found = tuple(urls) or self.wiring.settings.texts("substituters")
        if not found:
            raise InputError(
                "no cache is named", hint="Name one, or set `substituters` in settings"
            )
        return [self.cache(store, url) for url in found]

    def claims(
        self,
        caches: Sequence[Cache],
        steps: Sequence[Realisation],
        belief: Belief | None = None,
    ) -> tuple[list[Claim], list[str]]:
        """What is said of steps in caches, each claim examined once; and the addresses
        of caches that could not be asked, about which a warning is given.

        Raises:
            NetworkError, CacheRefused: none of them could be asked.
        """
        from fromager.derivations import DerivationError

        believed = belief or self.belief
        keys = [step.key for step in steps]
        found: dict[bytes, None] = {}
        silent: dict[str, DerivationError] = {}
        for cache in caches:
            try:
                found.update(dict.fromkeys(cache.envelopes(keys)))
            except DerivationError as error:
                silent[cache.url] = error
        for reason in silent.values():
            if len(silent) == len(caches):
                raise reason
            self.wiring.console.warning(f"{reason}: what it has is not known")
        return [believed.examine(content) for content in found], list(silent)

    def own_builders(self) -> list[str]:
        """The identities of the builders that this user signs for."""
        return [key.public.builder for key in self.keyring.signing_keys()]

    def substituter(self, store: LocalStore) -> Substituter | None:
        """What may have built elsewhere; None if nobody is to be asked."""
        urls = self.wiring.settings.texts("substituters")
        if not urls:
            return None
        if not self.belief.trust.keys:
            self.wiring.console.warning(
                "caches are not asked, since no builder's key is trusted: see "
                "fromager key trust"
            )
            return None
        from fromager.derivations import Substituter

        def open_caches() -> Sequence[Cache]:
            from fromager.derivations import NetworkError

            found = []
            for url in urls:
                try:
                    found.append(self.cache(store, url))
                except NetworkError:
                    # Offline: what is not on this machine is not asked.
                    continue
            return found

        return Substituter(store, open_caches, self.belief, self.wiring.report)

    def signing_key(self) -> SigningKey:
        """The key that signs what was built here."""
        return self.keyring.signing_key(self.wiring.settings.text("signing-key"))

    def pusher(self, store: LocalStore, cache: Cache) -> Pusher:
        """What brings closures to a cache."""
        import time

        from fromager.derivations import EnvelopeSigner, Pusher

        key = self.signing_key()
        return Pusher(
            store,
            cache,
            lambda: EnvelopeSigner.open(key),
            key.public.builder,
            time.time,
        )

    def find_wheels(
        self, store: LocalStore, targets: Iterable[str]
    ) -> list[Realisation]:
        """The wheels that are meant: each target is one, or was put together from some.

        Raises:
            ObjectMissing: there is no build that is meant.
            InputError: it is neither.
        """
        from fromager.derivations import InputError

        found: dict[Digest, Realisation] = {}
        for named in find_realisations(store, targets):
            several = [named]
            if named.kind != "wheel":
                inner = (store.realisations(key)[:1] for _, key in named.inputs)
                several = [e for claims in inner for e in claims if e.kind == "wheel"]
            if not several:
                raise InputError(
                    f"{named.output} is a {named.kind}, in which there is no wheel",
                    hint="Name a requirement, or the store path of a wheel",
                )
            found.update((each.key, each) for each in several)
        return list(found.values())

    def closure(
        self, store: LocalStore, roots: Sequence[Realisation]
    ) -> tuple[list[Realisation], list[Realisation]]:
        """The roots with what they need at run time; and all that these were made from,
        inputs first."""
        from fromager.derivations import build_steps, runtime_closure

        markers = self.wiring.interpreter(store).marker_environment
        wheels, unmet = runtime_closure(store, roots, markers)
        for requirement in unmet:
            self.wiring.console.warning(
                f"nothing here meets {requirement}: it is left out"
            )
        return list(wheels), list(build_steps(store, wheels))
