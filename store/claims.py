"""What was claimed of derivations, read back from a store's database."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from fromager.store.database import newest_first, prefix_range
from fromager.store.digest import ALGORITHM
from fromager.store.listing import Listing
from fromager.store.realisation import load_realisation

if TYPE_CHECKING:
    from fromager.store.digest import Digest
    from fromager.store.path import StorePath
    from fromager.store.realisation import Realisation

# Not `output IN (…)`: SQLite would read the paths of all objects for each key.
_FOUND: Final = (
    "key = ? AND EXISTS (SELECT 1 FROM sound WHERE path = realisations.output)"
)


class Claims(Listing):
    """The part of a store that answers who made what; what checks found comes last."""

    def realisations(self, key: Digest) -> tuple[Realisation, ...]:
        """All claims for a key, newest first, whose outputs are valid here."""
        found = self._claims(_FOUND, str(key))
        return tuple(claim for claim in found if self._is_there(claim.output))

    def history(self, kind: str, subject: str) -> tuple[Realisation, ...]:
        """All claims of a kind for a subject, newest first, valid or not."""
        return self._claims("kind = ? AND subject = ?", kind, subject)

    def producers(self, output: StorePath) -> tuple[Realisation, ...]:
        """All claims that gave this object, newest first."""
        return self._claims("output = ?", str(output))

    def realised(self, derivation: StorePath) -> tuple[Realisation, ...]:
        """All claims of the derivation that this object holds, newest first."""
        return self._claims("derivation = ?", str(derivation))

    def keyed(self, prefix: str) -> tuple[Realisation, ...]:
        """All claims whose key (`blake3:…` or hex) begins with this, newest first."""
        start = f"{ALGORITHM}:{prefix.removeprefix(f'{ALGORITHM}:')}"
        return self._claims("key >= ? AND key < ?", *prefix_range(start))

    def subjects(self, kind: str) -> tuple[str, ...]:
        """What claims of a kind are for, the newest first."""
        return newest_first(self.newest_by_subject(kind))

    def newest_by_subject(self, kind: str) -> dict[str, int]:
        """What claims of a kind are for, and when the newest of each was started."""
        return self._database.subjects(kind)

    def _is_there(self, path: StorePath) -> bool:
        return os.path.lexists(self._layout.object(path))

    def _claims(self, where: str, *values: str) -> tuple[Realisation, ...]:
        found = [load_realisation(c) for c in self._database.claims(where, values)]
        # Stable: whoever takes the first takes the newest that is no mere evidence.
        return tuple(sorted(found, key=lambda claim: claim.is_evidence))
