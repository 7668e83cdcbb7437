"""A plugin that has a say in a build: what the build sees of it, and what went wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fromager.derivations.building.sandbox import BUILD, ENVIRONMENT
from fromager.derivations.building.unsandboxed import UnsandboxedRunner
from fromager.derivations.plugins.calling import (
    TREE,
    failed,
    mounts,
    places_inside,
    replaced,
)
from fromager.derivations.plugins.scripts import INSIDE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fromager.derivations.building.hooks import HookPlace
    from fromager.derivations.building.sandbox import Mount, Sandbox
    from fromager.derivations.plugins.use import PluginUse

SCRIPT: Final = f"{INSIDE}/stand_in.py"
"""What the runner loads in place of the script of pyproject-hooks."""


@dataclass(frozen=True)
class Overriding:
    """A plugin in a build."""

    use: PluginUse
    folder: Path
    mounts: tuple[Mount, ...]
    environment: Mapping[str, str]
    """Variables that say where things are; the backend does not see them."""
    script: str = SCRIPT

    @classmethod
    def write(
        cls,
        place: HookPlace,
        use: PluginUse,
        code: Path,
        sandbox: Sandbox,
        config_settings: Mapping[str, object],
        build_dir: str,
        environment: Path,
    ) -> Overriding:
        """Put what the plugin is told into the folder of a build."""
        values: object = places_inside(build_dir)
        if sandbox.level == UnsandboxedRunner().level:
            real = {BUILD: str(place.folder), ENVIRONMENT: str(environment)}
            values = replaced(values, real)
        assert isinstance(values, dict)
        request = use.request(
            {**values, "config_settings": dict(config_settings)},
            config_settings=config_settings,
            build_dir=build_dir,
        )
        (place.folder / "plugin.json").write_text(json.dumps(request))
        variables = {
            "FROMAGER_PLUGIN": TREE,
            "FROMAGER_PLUGIN_HOOKS": f"{INSIDE}/_in_process.py",
        }
        return cls(use, place.folder, mounts(code), variables)

    def check(self) -> None:
        """Raise what the plugin did wrong, if it did.

        Raises:
            PluginFailed: it did.
        """
        path = self.folder / "plugin-failure.json"
        try:
            found = json.loads(path.read_bytes())
            function, status = str(found["function"]), str(found["status"])
            detail = str(found["detail"])
        except (OSError, ValueError, KeyError, TypeError):
            return
        raise failed(self.use, function, detail, status)
