"""Where the versions of a run come from: from what indexes say, or from a lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from packaging.version import Version

    from fromager.derivations.resolution.candidate import Metadata, Release
    from fromager.derivations.resolution.outcome import Resolved
    from fromager.derivations.resolution.request import Request
    from fromager.store import Digest

AskMetadata: TypeAlias = "Callable[[str, Version, Release], Awaitable[Metadata]]"
"""Gives a release's metadata, by whatever it takes."""


class Resolutions(Protocol):
    """Gives one consistent set for each request of a run."""

    metadata: dict[tuple[str, Version], Metadata]
    """What was believed of releases."""

    @property
    def page_digests(self) -> Mapping[str, Digest]:
        """By project, what the pages said that were read."""
        ...

    async def of_request(
        self,
        request: Request,
        ask: AskMetadata,
        metadata: dict[tuple[str, Version], Metadata] | None = None,
    ) -> Resolved:
        """The set that is installed.

        `metadata` holds what `ask` gave; by default it is shared by all requests.

        Raises:
            ResolutionError: there is none; the message says why.
        """
        ...

    async def of_environment(
        self, subject: str, request: Request, ask: AskMetadata
    ) -> Resolved:
        """The set that a package is built with.

        Raises:
            ResolutionError: there is none; the message says why.
        """
        ...

    def comes_from_place(self, name: str, version: Version) -> bool:
        """Whether a release is from no index, but from where a requirement said."""
        ...

    def check_source(
        self, subject: str, source: Digest, content: Digest | None
    ) -> None:
        """Refuse a prepared source that is not the one that is expected.

        `content` is the tree that it was taken from, where that is no file.

        Raises:
            LockMismatch: it is another one.
        """
        ...
