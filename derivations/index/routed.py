"""An index of its own for some projects: no other one is asked for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fromager.derivations.index.address import IndexUrl
    from fromager.derivations.index.client import HttpIndexClient, Peek
    from fromager.derivations.index.page_cache import CachedPage


@dataclass(frozen=True)
class RoutedClient:
    """Plays the role `IndexClient`."""

    client: HttpIndexClient
    route: Callable[[str], IndexUrl | None]
    """The only index of a project, by its normalised name; None for those configured."""

    def lookup(self, project: str) -> CachedPage | None:
        """See `IndexClient.lookup`."""
        index = self.route(project)
        if index is None:
            return self.client.lookup(project)
        return self.client.page(index, project)

    def peek(self, project: str) -> Peek | None:
        """See `IndexClient.peek`."""
        index = self.route(project)
        if index is None:
            return self.client.peek(project)
        return self.client.peek_at([index], project)

    def download(
        self,
        url: str,
        target: Path,
        *,
        sha256: str | None = None,
        size: int | None = None,
        progress: Callable[[int], None] | None = None,
        login: str | None = None,
    ) -> str:
        """See `IndexClient.download`."""
        return self.client.download(
            url, target, sha256=sha256, size=size, progress=progress, login=login
        )

    def glance(self, url: str) -> bytes | None:
        """See `IndexClient.glance`."""
        return self.client.glance(url)
