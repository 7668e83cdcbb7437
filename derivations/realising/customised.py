"""What says how single packages are made otherwise, and what a requirement adds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from fromager.derivations.sources.direct import FolderSource

if TYPE_CHECKING:
    from packaging.version import Version

    from fromager.derivations.customisation.effects import Effects
    from fromager.derivations.sources.direct import DirectSource, GitSource


class Customised(Protocol):
    """What says how single packages are made otherwise; `Customisation` does."""

    def effects(self, name: str, version: Version) -> Effects:
        """What is done otherwise for one version."""
        ...


def within(effects: Effects, source: DirectSource | None) -> Effects:
    """The effects for a project that lies in a folder of its source."""
    if source is None or isinstance(source, FolderSource) or not source.subdirectory:
        return effects
    parts = (source.subdirectory, effects.build_dir)
    return replace(effects, build_dir="/".join(part for part in parts if part))


def with_submodules(
    source: GitSource | FolderSource, effects: Effects
) -> GitSource | FolderSource:
    """The source with the submodules that settings name, if they do.

    Those that a requirement names itself count more.
    """
    if (
        isinstance(source, FolderSource)
        or not effects.changes_submodules
        or source.submodules is not None
    ):
        return source
    return replace(source, submodules=effects.submodules)
