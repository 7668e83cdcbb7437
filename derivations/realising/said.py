"""What files and source trees say of themselves, remembered by their hashes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fromager.derivations.sources.archive import metadata_files
from fromager.derivations.sources.project import StaticMetadata, static_metadata

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fromager.derivations.sources.members import Limits
    from fromager.store import Digest, LocalStore

_BUILD_REQUIRES: Final = "build-requires/1"
_NAMESPACE: Final = "static-metadata/1"
"""The number is that of the reading."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a file was found to say."""

    metadata: StaticMetadata | None
    """None: its backend must be asked."""


@dataclass(frozen=True)
class SaidByFiles:
    """Reads source archives that are taken as they are, and remembers what they say."""

    store: LocalStore
    limits: Limits

    def recall(self, sha256: str) -> Said | None:
        """What a file says; None if it was not read yet."""
        known = self.store.recall(_NAMESPACE, sha256)
        return None if known is None else Said(StaticMetadata.load(json.loads(known)))

    def learn(
        self, sha256: str, read: Callable[[], StaticMetadata | None]
    ) -> StaticMetadata | None:
        """What a file is read to say, kept from then on.

        That waits for others who write to the store.
        """
        found = read()
        value = None if found is None else found.dump()
        self.store.remember(_NAMESPACE, sha256, json.dumps(value).encode())
        return found

    def read(self, folder: Path, filename: str) -> StaticMetadata | None:
        """What the archive in a folder says, nothing unpacked.

        Raises:
            UnsafeArchive: it is broken, or a bomb.
        """
        return static_metadata(
            *metadata_files(folder / filename, filename, self.limits)
        )


@dataclass(frozen=True)
class SaidByTrees:
    """Remembers what prepared sources say that they are built with."""

    store: LocalStore

    def recall(self, tree: Digest, pyproject: str) -> tuple[str, ...] | None:
        """The requirements in a file of a tree; None if it was not read yet."""
        known = self.store.recall(_BUILD_REQUIRES, f"{tree} {pyproject}")
        return None if known is None else tuple(map(str, json.loads(known)))

    def remember(self, tree: Digest, pyproject: str, requires: tuple[str, ...]) -> None:
        """Keep what such a file says."""
        key = f"{tree} {pyproject}"
        self.store.remember(_BUILD_REQUIRES, key, json.dumps(requires).encode())
