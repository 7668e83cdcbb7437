"""Plugins that cannot be used, or that do not do what they are called for."""

from __future__ import annotations

from fromager.derivations.errors import BuildError, DerivationError


class PluginBroken(DerivationError):
    """A plugin that cannot be used at all: which, why, and what it was to build."""

    def __init__(
        self,
        plugin: str,
        reason: str,
        *,
        package: str | None = None,
        hint: str | None = None,
    ) -> None:
        text = f"the plugin {plugin} cannot be used: {reason}"
        super().__init__(f"{package}: {text}" if package else text, hint=hint)
        self.plugin, self.reason, self.package = plugin, reason, package


class PluginFailed(BuildError):
    """A plugin did not do what it was called for: which one, what, and for what."""

    def __init__(self, subject: str, plugin: str, function: str, reason: str) -> None:
        super().__init__(subject, f"the plugin {plugin} failed in {function}: {reason}")
        self.plugin, self.function = plugin, function
