"""Plugins that cannot be used, or that do not do what they are called for."""

from __future__ import annotations

from fromager.derivations.errors import BuildError, DerivationError


class PluginBroken(DerivationError):
    """A plugin that cannot be used at all: which, and why."""

    def __init__(self, plugin: str, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"the plugin {plugin} cannot be used: {reason}", hint=hint)
        self.plugin, self.reason = plugin, reason


class PluginFailed(BuildError):
    """A plugin did not do what it was called for: which one, what, and for what."""

    def __init__(self, subject: str, plugin: str, function: str, reason: str) -> None:
        super().__init__(subject, f"the plugin {plugin} failed in {function}: {reason}")
        self.plugin, self.function = plugin, function
