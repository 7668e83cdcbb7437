"""A plugin being used for one version of a package, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fromager.derivations.plugins.protocol import HOOKS, Stage
from fromager.derivations.plugins.scripts import caller_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packaging.version import Version

    from fromager.derivations.derivation import Value
    from fromager.derivations.plugins.plugins import Plugin


@dataclass(frozen=True)
class PluginUse:
    """A plugin that is called for one version of a package."""

    module: str
    functions: tuple[str, ...]
    """Those that are called, sorted."""
    package: str
    version: str | None
    variant: str
    annotations: Mapping[str, str] = field(default_factory=dict)
    build_requires: tuple[str, ...] = ()
    """What pyproject.toml says; no part of the key, since the source is."""

    @classmethod
    def parse(cls, value: Value, subject: str) -> PluginUse:
        """What a derivation for `name==version` says of a plugin.

        Raises:
            ValueError: it says nothing of one, or of one that is called otherwise.
        """
        name, _, version = subject.partition("==")
        match value:
            case {
                "annotations": Mapping() as annotations,
                "caller": str(caller),
                "functions": tuple(functions),
                "module": str(module),
                "variant": str(variant),
            }:
                if caller != caller_digest():
                    raise ValueError("plugins were called in another way")
                remarks = {key: str(text) for key, text in annotations.items()}
                called = tuple(map(str, functions))
                return cls(module, called, name, version or None, variant, remarks)
        raise ValueError(f"{value!r} says nothing of a plugin")

    @property
    def value(self) -> Mapping[str, Value]:
        """As it stands in a derivation."""
        return {
            "annotations": dict(self.annotations),
            "caller": caller_digest(),
            "functions": self.functions,
            "module": self.module,
            "variant": self.variant,
        }

    def told(self, build_requires: Sequence[str]) -> PluginUse:
        """The same, knowing what pyproject.toml says."""
        return replace(self, build_requires=tuple(build_requires))

    def request(
        self,
        values: Mapping[str, object],
        *,
        config_settings: Mapping[str, object],
        build_dir: str,
    ) -> dict[str, object]:
        """What the process is told that calls it."""
        return {
            "module": self.module,
            "functions": {name: dict(HOOKS[name].value) for name in self.functions},
            "package": self.package,
            "version": self.version,
            "variant": self.variant,
            "annotations": dict(self.annotations),
            "build_requires": list(self.build_requires),
            "config_settings": dict(config_settings),
            "build_dir": build_dir,
            "values": dict(values),
        }


@dataclass(frozen=True)
class Override:
    """What overrides steps for a version, beside settings."""

    plugin: Plugin
    version: Version | None
    variant: str
    annotations: Mapping[str, str]
    """As settings have them for that version."""

    def use(self, *stages: Stage) -> PluginUse | None:
        """The plugin with what it overrides at these stages; None if that is nothing."""
        functions = self.plugin.functions(*stages)
        return self.using(*functions) if functions else None

    def using(self, *functions: str) -> PluginUse:
        """The plugin with these functions."""
        return PluginUse(
            self.plugin.module,
            functions,
            self.plugin.package,
            None if self.version is None else str(self.version),
            self.variant,
            self.annotations,
        )
