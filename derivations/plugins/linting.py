"""What is wrong with plugins, or of no use: each is loaded, in a process of its own."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from fromager.derivations.customisation.lint import Remark
from fromager.derivations.plugins.broken import PluginBroken, PluginFailed
from fromager.derivations.plugins.calling import Outside
from fromager.derivations.plugins.entry_points import HOOK_GROUP, PROJECT_GROUP
from fromager.derivations.plugins.protocol import EVENTS, HOOKS, LOADING, Stage
from fromager.derivations.plugins.use import PluginUse

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from fromager.derivations.building.sandbox import Stop
    from fromager.derivations.plugins.entry_points import EntryPoint
    from fromager.derivations.plugins.plugins import Plugins

TIMEOUT = 60.0
"""Seconds that a plugin is given to be loaded."""


@dataclass(frozen=True)
class PluginLint:
    """Looks at all plugins of an installation."""

    plugins: Plugins
    environ: Mapping[str, str]
    stop: Stop

    def remarks(self, known: Collection[str]) -> tuple[Remark, ...]:
        """All findings; `known` are the packages that there are, if it is not empty."""
        found = [*self._overrides(known), *self._hooks()]
        return tuple(sorted(found, key=lambda f: (f.place, f.text)))

    def _overrides(self, known: Collection[str]) -> Iterator[Remark]:
        for package in self.plugins.packages:
            try:
                plugin = self.plugins.of(package)
                assert plugin is not None
                functions = plugin.functions(*Stage)
            except PluginBroken as error:
                yield Remark(f"plugin {error.plugin}", error.reason, is_error=True)
                continue
            place = f"plugin {plugin.entry}"
            yield from self._loaded(plugin.entry, package)
            if not functions:
                text = f"it overrides nothing; there are {', '.join(sorted(HOOKS))}"
                yield Remark(place, text, is_error=False)
            if known and package not in known:
                text = f"there is no package {package}"
                yield Remark(place, text, is_error=False)

    def _hooks(self) -> Iterator[Remark]:
        for entry in self.plugins.unheard:
            close = get_close_matches(entry.name, EVENTS, n=1)
            guess = f"; did you mean {close[0]}?" if close else ""
            text = f"nothing is called {entry.name!r}{guess}"
            yield Remark(f"plugin {entry}", text, is_error=False)
        for event in EVENTS:
            for entry in self.plugins.listening(event):
                if not entry.attribute:
                    reason = entry.problem or "it names no function"
                    yield Remark(f"plugin {entry}", reason, is_error=True)
                else:
                    yield from self._loaded(entry, event)

    def _loaded(self, entry: EntryPoint, subject: str) -> Iterator[Remark]:
        assert entry.group in (PROJECT_GROUP, HOOK_GROUP)
        use = PluginUse(entry.module, (), subject, None, "")
        outside = Outside(
            self.plugins.paths, self.environ, TIMEOUT, lambda content: None, self.stop
        )
        with TemporaryDirectory(prefix="fromager-") as folder:
            try:
                outside.call(use, LOADING, entry.attribute, {}, Path(folder))
            except PluginFailed as error:
                reason = error.reason.partition(" failed in ")[2].partition(": ")[2]
                yield Remark(f"plugin {entry}", reason, is_error=True)
