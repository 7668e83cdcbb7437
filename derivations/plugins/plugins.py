"""All plugins of an installation: who overrides what, and who hears of what."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from fromager.derivations.plugins.broken import PluginBroken
from fromager.derivations.plugins.entry_points import HOOK_GROUP, PROJECT_GROUP
from fromager.derivations.plugins.protocol import EVENTS, HOOKS, Stage

if TYPE_CHECKING:
    from fromager.derivations.plugins.code import PluginCode
    from fromager.derivations.plugins.entry_points import EntryPoint


@dataclass(frozen=True)
class Plugin:
    """What overrides steps for one package."""

    package: str
    """Normalised."""
    entry: EntryPoint
    paths: tuple[str, ...] = field(repr=False)
    """Where modules are looked for."""

    @property
    def module(self) -> str:
        """Its module."""
        return self.entry.module

    @cached_property
    def code(self) -> PluginCode:
        """What it consists of.

        Raises:
            PluginBroken: that cannot be told.
        """
        if self.entry.problem:
            raise PluginBroken(
                str(self.entry), self.entry.problem, package=self.package
            )
        if self.entry.attribute:
            reason = "a module is wanted, not something in one"
            raise PluginBroken(str(self.entry), reason, package=self.package)
        # Only who has plugins pays for reading them.
        from fromager.derivations.plugins.code import collect

        try:
            return collect(self.module, self.paths)
        except PluginBroken as error:
            raise PluginBroken(
                error.plugin, error.reason, package=self.package, hint=error.hint
            ) from error

    def functions(self, *stages: Stage) -> tuple[str, ...]:
        """What it overrides at these stages, sorted."""
        known = self.code.functions & HOOKS.keys()
        return tuple(sorted(name for name in known if HOOKS[name].stage in stages))

    @property
    def all_functions(self) -> tuple[str, ...]:
        """All that it overrides, sorted."""
        return self.functions(*Stage)

    def among(self, *functions: str) -> tuple[str, ...]:
        """Those of some functions that it has, sorted."""
        return tuple(sorted(self.code.functions & {*functions}))

    def overrides(self, function: str) -> bool:
        """Whether it has a function."""
        return function in self.code.functions


@dataclass(frozen=True)
class Plugins:
    """The plugins that are installed beside this program."""

    entries: tuple[EntryPoint, ...] = ()
    paths: tuple[str, ...] = field(default=(), repr=False)
    """Where modules are looked for."""

    def of(self, package: str) -> Plugin | None:
        """The plugin of a package, by its normalised name.

        Raises:
            PluginBroken: there are several.
        """
        return self._found.get(package) if self._checked(package) else None

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages that have plugins, sorted."""
        return tuple(sorted(self._found))

    def listening(self, event: str) -> tuple[EntryPoint, ...]:
        """What hears of an event, in the order of distributions."""
        found = [e for e in self.entries if (e.group, e.name) == (HOOK_GROUP, event)]
        return tuple(sorted(found, key=lambda e: (e.distribution, e)))

    @property
    def unheard(self) -> tuple[EntryPoint, ...]:
        """What waits for events that there are not."""
        return tuple(
            e for e in self.entries if e.group == HOOK_GROUP and e.name not in EVENTS
        )

    @property
    def signature(self) -> tuple[str, ...]:
        """Equal as long as the same plugins are installed; their code may differ."""
        return tuple(
            f"plugin {e.group} {e.name} {e}"
            for e in self.entries
            if e.group in (PROJECT_GROUP, HOOK_GROUP)
        )

    def _checked(self, package: str) -> bool:
        rivals = [e for e in self._entries if canonicalize_name(e.name) == package]
        if len({(e.module, e.attribute) for e in rivals}) > 1:
            names = " and ".join(map(str, rivals))
            raise PluginBroken(names, f"each of them is for {package}")
        return bool(rivals)

    @cached_property
    def _entries(self) -> tuple[EntryPoint, ...]:
        return tuple(e for e in self.entries if e.group == PROJECT_GROUP and e.name)

    @cached_property
    def _found(self) -> dict[str, Plugin]:
        return {
            name: Plugin(name, entry, self.paths)
            for entry in self._entries
            for name in [canonicalize_name(entry.name)]
        }
