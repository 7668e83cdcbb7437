"""Core metadata that an index serves beside an sdist (PEP 658, 714).

It is believed as far as the file itself would be: only what PEP 643 makes static. What
is beside a wheel says nothing of what the sdist builds, and is not looked at.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from packaging.utils import canonicalize_name
from packaging.version import Version

from fromager.derivations.errors import HashMismatch, NetworkError, SourceError
from fromager.derivations.realising.events import Noted
from fromager.derivations.sources.project import StaticMetadata, static_metadata

if TYPE_CHECKING:
    from fromager.derivations.index.client import IndexClient
    from fromager.derivations.realising.steps import Steps
    from fromager.derivations.resolution.candidate import Release

_NAMESPACE: Final = "served-metadata/1"
"""The number is that of the reading."""


@dataclass(frozen=True)
class ServedMetadata:
    """Reads metadata beside files, and remembers what it read by its hash."""

    steps: Steps
    client: IndexClient

    async def of(
        self, name: str, version: Version, release: Release
    ) -> StaticMetadata | None:
        """What the index serves of a release; None if that settles nothing.

        Whatever is wrong with it, the file itself can be read instead.
        """
        if not release.metadata_served:
            return None
        sha256 = release.metadata_sha256
        known = None if sha256 is None else self.steps.store.recall(_NAMESPACE, sha256)
        if known is not None:
            found = StaticMetadata.load(json.loads(known))
        else:
            try:
                content = await self.steps.in_thread(
                    lambda: self._fetch(release), network=True
                )
            except HashMismatch:
                self._tell(release, "is not what the index promises")
                return None
            except (NetworkError, SourceError):
                return None
            found = static_metadata(content, None)
            if sha256 is not None:
                value = json.dumps(None if found is None else found.dump())
                self.steps.store.remember(_NAMESPACE, sha256, value.encode())
        if found is None or _is_of(found, name, version):
            return found
        self._tell(release, f"is that of {found.name} {found.version}")
        return None

    def _fetch(self, release: Release) -> bytes:
        with self.steps.store.scratch("fetch") as scratch:
            target = scratch.path / "metadata"
            url = _beside(release.url)
            self.client.download(url, target, sha256=release.metadata_sha256)
            return target.read_bytes()

    def _tell(self, release: Release, what: str) -> None:
        text = f"the metadata beside it {what}: the file is read instead"
        self.steps.report(Noted(release.filename, text))


def _beside(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path}.metadata"))


def _is_of(found: StaticMetadata, name: str, version: Version) -> bool:
    return canonicalize_name(found.name) == name and Version(found.version) == version
