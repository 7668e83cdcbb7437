"""The one thing that the rest asks: what is done otherwise for a version of a package."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, cast

from fromager.derivations.customisation.overrides import Overrides
from fromager.derivations.customisation.rules import Circumstances, precedence, settle
from fromager.derivations.sources.patch_folder import PatchFolder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.version import Version

    from fromager.derivations.customisation.effects import Effects
    from fromager.derivations.customisation.rules import Assignment, Rule
    from fromager.derivations.plugins.plugins import Plugins
    from fromager.derivations.plugins.use import Override
    from fromager.derivations.sources.edits import AddFile
    from fromager.derivations.sources.tag_rules import TagRule

NOWHERE = Circumstances("", "", {})


@dataclass(frozen=True)
class Customisation:
    """Settings and patches, asked under certain circumstances."""

    overrides: Overrides = field(default_factory=Overrides)
    patches: PatchFolder = field(default_factory=PatchFolder)
    around: Circumstances = NOWHERE
    host: Mapping[str, str] = field(default_factory=dict)
    """Variables of the caller that templates may name."""
    plugins: Plugins | None = None
    """Overrides in code; None where there are none."""
    paths: tuple[str, ...] = ()
    """Where modules of code that runs on this machine are looked for."""
    environ: Mapping[str, str] = field(default_factory=dict)
    """Variables of that code."""

    def effects(self, name: str, version: Version) -> Effects:
        """What is done otherwise for one version; `name` is normalised.

        Raises:
            SettingsError: the package's settings cannot be understood.
        """
        from fromager.derivations.customisation.effects import NO_EFFECTS, effects_of

        known = self._known
        if (name, version) not in known:
            patches = self.patches.find(name, version, self.around.variant)
            found = self.assignments(name, version)
            effects = (
                effects_of(found, patches, name, version, self._beside, self.host)
                if found or patches
                else NO_EFFECTS
            )
            override = self.override(name, version)
            if override is not None:
                effects = replace(effects, override=override)
            known[name, version] = effects
        return known[name, version]

    def override(self, name: str, version: Version | None) -> Override | None:
        """What code overrides for a package; None if there is no plugin for it.

        Raises:
            PluginBroken: the plugin cannot be used.
        """
        plugin = None if self.plugins is None else self.plugins.of(name)
        if plugin is None:
            return None
        from fromager.derivations.plugins.use import Override

        remarks = {
            a.key: str(a.value)
            for a in self.assignments(name, version)
            if a.setting == "annotations"
        }
        self._read.update(plugin.code.places)
        return Override(plugin, version, self.around.variant, remarks)

    def assignments(self, name: str, version: Version | None) -> tuple[Assignment, ...]:
        """The settings in force, each with where it was given."""
        rules = self.rules(name)
        if not rules:
            return ()
        found = settle(rules, version, self.around)
        if any(a.setting == "defaults" and a.value is False for a in found):
            own = [rule for rule in rules if not rule.is_default]
            return settle(own, version, self.around)
        return found

    def rules(self, name: str) -> tuple[Rule, ...]:
        """The rules for a package and those for all, in the order of precedence."""
        if name not in self._rules:
            found = (*self._general, *self.overrides.rules(name))
            self._rules[name] = tuple(sorted(found, key=precedence))
        return self._rules[name]

    def index(self, name: str) -> str | None:
        """The only index that is asked for a project; None for those configured."""
        if name in self._indexes:
            return self._indexes[name]
        found = {a.setting: a.value for a in self.assignments(name, None)}
        wheels = found.get("prebuilt-index") if found.get("prebuilt") else None
        address = wheels or found.get("index")
        return None if address is None else str(address)

    def use_index(self, name: str, address: str) -> None:
        """Ask this index for a project from now on, since its plugin says so."""
        self._indexes[name] = address

    def ask_anew(self) -> None:
        """Remember that code was asked which may answer otherwise the next time."""
        self._aged.add("")

    @property
    def may_change(self) -> bool:
        """Whether code was asked that may answer otherwise the next time."""
        return "" in self._aged

    def min_age(self, name: str) -> int | None:
        """Days that a project's files must have been on the index; None: not set."""
        found = [a for a in self.assignments(name, None) if a.setting == "min-age"]
        if not found:
            return None
        self._aged.add(name)
        return int(str(found[-1].value))

    @property
    def depends_on_the_day(self) -> bool:
        """Whether settings that were asked for count days back from today."""
        return bool(self._aged - {""})

    def tags(self, name: str) -> TagRule | None:
        """The repository whose tags are a project's versions; None: there is none."""
        for each in self.assignments(name, None):
            if each.setting == "tags":
                return cast("TagRule", each.value)
        return None

    def signature(self) -> tuple[str, ...]:
        """Equal as long as the answers are the same; no settings file is opened."""
        return (
            self.around.variant,
            *(f"{name}={value}" for name, value in sorted(self.host.items())),
            *(":".join(map(str, row)) for row in self.patches.signature()),
            *self.overrides.signature(),
            *(() if self.plugins is None else self.plugins.signature),
        )

    def watched(self) -> frozenset[str]:
        """Files and folders beside the settings on which the effects rest that were
        asked for: what is opened or demanded of the machine, what edits drop in.
        """
        found = set(self._read)
        for effects in self._known.values():
            found |= {opening.path for opening in effects.openings}
            for need in effects.system:
                found |= set(need.places)
        return frozenset(found)

    def watch(self, paths: Iterable[str]) -> None:
        """Let what was asked for rest on these files, too."""
        self._read.update(paths)

    def _beside(self, edit: AddFile) -> bytes:
        path, content = self.overrides.beside(edit.origin, edit.source)
        self._read.add(str(path))
        return content

    @cached_property
    def _known(self) -> dict[tuple[str, Version], Effects]:
        return {}

    @cached_property
    def _read(self) -> set[str]:
        return set()

    @cached_property
    def _indexes(self) -> dict[str, str]:
        return {}

    @cached_property
    def _aged(self) -> set[str]:
        return set()

    @cached_property
    def _rules(self) -> dict[str, tuple[Rule, ...]]:
        return {}

    @cached_property
    def _general(self) -> tuple[Rule, ...]:
        return self.overrides.general_rules()
