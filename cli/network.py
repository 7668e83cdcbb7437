"""What makes requests: the client of the indexes, and repositories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fromager.derivations import (
    Freshness,
    Retries,
    find_http_settings,
    open_client,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from fromager.derivations import (
        HttpIndexClient,
        IndexConfiguration,
        RealiseRequest,
        Reporter,
        Repositories,
        StopSignal,
        Surroundings,
    )
    from fromager.store import LocalStore


@dataclass(frozen=True)
class Network:
    """How the outside is reached by one command."""

    store: LocalStore
    indexes: IndexConfiguration
    surroundings: Surroundings
    report: Callable[[], Reporter]
    """Who hears of what is tried again; made when there is something to tell."""
    stop: StopSignal
    """Ends pauses, and programs that wait for a server."""
    offline: bool

    def client(
        self, *, refresh: bool, request: RealiseRequest | None = None
    ) -> HttpIndexClient:
        """Reads pages of the indexes, and files; a request may hold passwords."""
        return open_client(
            self.indexes.indexes,
            lambda: find_http_settings(self.surroundings),
            self.store.cache("index"),
            self._policy(refresh),
            self._retries(),
            () if request is None else request.logins,
            dict(self.indexes.assigned),
        )

    def document(self, url: str, *, refresh: bool) -> bytes:
        """A file of requirements at an address; see `Documents.fetch`."""
        from fromager.derivations import Documents

        client, policy = self.client(refresh=refresh), self._policy(refresh)
        folder, retries = self.store.cache("index"), self._retries()
        try:
            return Documents(client.transport, folder, policy, retries).fetch(url)
        finally:
            client.close()

    def repositories(
        self, client: HttpIndexClient, request: RealiseRequest
    ) -> Repositories:
        """Fetches repositories, and tells their tags."""
        from fromager.derivations import open_repositories

        return open_repositories(
            self.surroundings,
            client,
            self.store.cache("git"),
            self._retries(),
            self.stop,
            indexes=self.indexes.indexes,
            logins=request.logins,
            offline=self.offline,
        )

    def _policy(self, refresh: bool) -> Freshness:
        if self.offline:
            return Freshness.OFFLINE
        return Freshness.REFRESH if refresh else Freshness.CACHED

    def _retries(self) -> Retries:
        def pause(seconds: float) -> None:
            from fromager.derivations import Stopped

            if self.stop.wait(seconds):
                raise Stopped("a request was not repeated")

        def tell(url: str, reason: str, seconds: float) -> None:
            from fromager.derivations import Noted

            self.report()(Noted(url, f"{reason}; tried again in {seconds:.1f} s"))

        return Retries(sleep=pause, notify=tell)
