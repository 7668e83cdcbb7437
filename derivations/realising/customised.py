"""The role of what says how single packages are made otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from packaging.version import Version

    from fromager.derivations.customisation.effects import Effects


class Customised(Protocol):
    """What says how single packages are made otherwise; `Customisation` does."""

    def effects(self, name: str, version: Version) -> Effects:
        """What is done otherwise for one version."""
        ...
