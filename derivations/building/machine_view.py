"""The machine as a sandbox on a base sees it, looked at from outside."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from fromager.derivations.building.platform import HostBase
    from fromager.derivations.building.sandbox import Mount

_MOST_LINKS: Final = 8


@dataclass(frozen=True)
class MachineView:
    """Finds what lies at a path inside."""

    base: HostBase

    def find(self, path: str) -> Path | None:
        """Where on this machine what is seen at a path lies; None if nothing is."""
        path = self._followed(path)
        mount = self.mount(path)
        if mount is None:
            return None
        found = Path(mount.host + path[len(mount.inside) :])
        return found if found.exists() else None

    def mount(self, path: str) -> Mount | None:
        """The innermost mount of the base that a path lies in."""
        found = [
            mount
            for mount in self.base.mounts
            if path == mount.inside or path.startswith(f"{mount.inside}/")
        ]
        return max(found, key=lambda mount: len(mount.inside), default=None)

    def within(self, path: str) -> str | None:
        """The first place at or below a path where the base has something."""
        places = [mount.inside for mount in self.base.mounts]
        places += [place for place, _ in self.base.links]
        found = (p for p in places if p == path or p.startswith(f"{path}/"))
        return min(found, default=None)

    def programs(self) -> tuple[str, ...]:
        """The names of the programs in `/usr/bin`, sorted."""
        folder = self.find("/usr/bin")
        return () if folder is None else tuple(sorted(p.name for p in folder.iterdir()))

    def folders(self, parent: str) -> tuple[str, ...]:
        """The paths of the folders in a folder, sorted."""
        found = self.find(parent)
        if found is None:
            return ()
        with os.scandir(found) as entries:
            return tuple(sorted(f"{parent}/{e.name}" for e in entries if e.is_dir()))

    def _followed(self, path: str) -> str:
        for _ in range(_MOST_LINKS):
            for place, target in self.base.links:
                if path == place or path.startswith(f"{place}/"):
                    start = os.path.normpath(Path(place).parent / target)
                    path = start + path[len(place) :]
                    break
            else:
                return path
        return path
