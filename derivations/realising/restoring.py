"""Restoring objects by doing the steps that gave them again."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fromager.derivations.errors import DerivationError, Stopped
from fromager.derivations.realising.again import build_again
from fromager.store import NotRestored, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from fromager.derivations.realising.rebuilding import RebuildMeans
    from fromager.store import LocalStore, StorePath


@dataclass(frozen=True, slots=True)
class RestoreByBuilding:
    """Plays the role `Restorer`: what a recorded step gives now, if it is the same."""

    find_means: Callable[[], RebuildMeans]
    """What steps are done again with; asked for when there is one to be done."""
    store: LocalStore
    """The store that is repaired."""

    @property
    def name(self) -> str:
        """What people call it."""
        return "building again"

    def restore(self, path: StorePath, folder: Path) -> Path:
        """The output of the newest step that still gives it.

        Raises:
            NotRestored: no step is recorded, none can be done here, or it gives
                other bytes now.
            Stopped: it was told to stop.
        """
        reasons = []
        for claim in self.store.producers(path):
            try:
                with build_again(self.find_means(), claim) as rebuilt:
                    if rebuilt.same:
                        return Path(shutil.move(rebuilt.path, folder / "object"))
                    reasons.append(
                        f"{claim.kind} {claim.subject} gives other bytes now"
                    )
            except Stopped:
                raise
            except (DerivationError, StoreError) as error:
                reasons.append(str(error))
        raise NotRestored("; ".join(reasons) or "no step is recorded that gave it")
