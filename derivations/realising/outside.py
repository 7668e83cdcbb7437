"""What plugins do on this machine: say which versions there are, fetch, hear of wheels.

Nothing of it decides about bytes by itself: versions go through resolution, and what
is fetched is known by its hash from then on.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from fromager.derivations.errors import BuildError, DerivationError, HashMismatch
from fromager.derivations.index.releases import SDIST_SUFFIXES
from fromager.derivations.plugins.broken import PluginBroken, PluginFailed
from fromager.derivations.plugins.calling import Outside, failed
from fromager.derivations.plugins.code import collect
from fromager.derivations.plugins.protocol import BUILD_TAG, EVENTS, HOOKS
from fromager.derivations.plugins.use import PluginUse
from fromager.derivations.realising.build_log import TAIL_BYTES, last_lines
from fromager.derivations.realising.downloads import promised_sha256
from fromager.derivations.realising.events import LogOutput, Noted
from fromager.derivations.realising.wheel_file import wheel_file
from fromager.derivations.resolution.candidate import ProjectReleases, Release
from fromager.derivations.sources.direct import GitSource, check_git_url
from fromager.derivations.sources.versions_of_tags import version_variables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.derivations.customisation.customisation import Customisation
    from fromager.derivations.plugins.entry_points import EntryPoint
    from fromager.derivations.plugins.protocol import Hook
    from fromager.derivations.plugins.use import Override
    from fromager.derivations.realising.knowledge import AskOverride
    from fromager.derivations.realising.steps import Step, Steps
    from fromager.derivations.resolution.request import GivenRequirement

RESOLVE: Final = "get_resolver_provider"
DOWNLOAD: Final = "download_source"
ARCHIVE: Final = "expected_source_archive_name"
TOLD: Final = "hook-told"
"""Remembers which hooks heard of which wheels."""
DOWNLOADED: Final = "plugin-download"
"""Remembers what plugins fetched first."""


class Wheel(Protocol):
    """A wheel in the store."""

    @property
    def name(self) -> str:
        """The project's, normalised."""
        ...

    @property
    def version(self) -> Version:
        """The release's."""
        ...

    @property
    def filename(self) -> str:
        """The file's."""
        ...

    @property
    def step(self) -> Step:
        """What made it."""
        ...


@dataclass
class OutsideWork:
    """Calls plugins on this machine for one run."""

    steps: Steps
    customisation: Customisation
    timeout: float | None
    keeps_going: bool = False
    """Whether a plugin that is of no use stops its own package only."""
    failed: dict[str, DerivationError] = field(default_factory=dict)
    """By project, why its plugin does not say which versions there are."""
    _hearing: dict[str, asyncio.Lock] = field(default_factory=dict)

    def teller(self, name: str) -> AskOverride | None:
        """Asks the plugin that says which versions of a project there are, if one does.

        Raises:
            PluginBroken: it cannot be used.
        """
        try:
            override = self.customisation.override(name, None)
            if override is None or not override.plugin.overrides(RESOLVE):
                return None
        except PluginBroken as error:
            self._pass_over(name, error)
            return None
        return partial(self._told, name, override)

    async def _told(self, name: str, override: Override) -> ProjectReleases | None:
        try:
            return await self.releases(name, override)
        except PluginFailed as error:
            self._pass_over(name, error)
            return None

    def _pass_over(self, name: str, error: DerivationError) -> None:
        if not self.keeps_going:
            raise error
        # An index may have the project, so that what needs it can be resolved.
        self.failed[name] = error

    def check(self, name: str) -> None:
        """Refuse a project whose versions its plugin should have said.

        Raises:
            DerivationError: why it did not.
        """
        if name in self.failed:
            raise self.failed[name]

    def left(
        self, given: tuple[GivenRequirement, ...]
    ) -> tuple[GivenRequirement, ...] | None:
        """The requirements but those for projects whose plugins failed; None if it is
        for none of them.

        Raises:
            DerivationError: what a plugin did wrong that another project needs.
        """
        rest = tuple(
            each
            for each in given
            if canonicalize_name(each.requirement.name) not in self.failed
        )
        if len(rest) < len(given):
            return rest
        for error in self.failed.values():
            raise error
        return None

    async def releases(self, name: str, override: Override) -> ProjectReleases | None:
        """The versions of a project; None if an index has them."""
        use = override.using(RESOLVE)
        self.customisation.ask_anew()
        index = self.customisation.index(name)
        found = await self._call(
            use,
            HOOKS[RESOLVE],
            RESOLVE,
            {
                "ignore_platform": False,
                "include_sdists": True,
                "include_wheels": False,
                "sdist_server_url": index or "",
            },
        )
        match found:
            case {"provider": "index", "index": address}:
                if address:
                    self.customisation.use_index(name, str(address))
                return None
            case {"provider": "versions", "versions": list(rows)}:
                releases = tuple(_listed(use, name, row) for row in rows)
            case {"provider": "tags", "repository": str(place), "versions": list(rows)}:
                fetches = override.plugin.overrides(DOWNLOAD)
                releases = tuple(
                    _tagged(use, name, place, row, fetches=fetches) for row in rows
                )
            case _:
                raise failed(use, RESOLVE, f"{found!r} says nothing of versions")
        text = f"its versions are those that the plugin {use.module} tells"
        self.steps.report(Noted(name, text))
        place = f"the plugin {use.module}"
        return ProjectReleases(name, releases, place, undated=True)

    async def download(
        self, override: Override, release: Release, folder: Path
    ) -> Path:
        """The file or the folder that a plugin fetches for a release."""
        use = override.using(DOWNLOAD)
        values = {
            "download_url": release.url,
            "output": str(folder),
            "sdists_downloads_dir": str(folder),
        }
        found = await self._call(use, HOOKS[DOWNLOAD], DOWNLOAD, values)
        name = None
        if override.plugin.overrides(ARCHIVE):
            named = override.using(ARCHIVE)
            name = await self._call(named, HOOKS[ARCHIVE], ARCHIVE, {})
        if found is None and not name:
            raise failed(use, DOWNLOAD, "it gave no path of a file or a folder")
        path = Path(str(folder / name if found is None and name else found))
        if not path.exists():
            raise failed(use, DOWNLOAD, f"there is no {path.name if name else found}")
        if not path.resolve().is_relative_to(folder.resolve()):
            raise failed(use, DOWNLOAD, f"{path} is not where it was to be put")
        if name and path.is_file() and path.name != name:
            if "/" in name:
                raise failed(named, ARCHIVE, f"{name!r} is no name of a file")
            path = path.rename(folder / name)
        return path

    def remembered(
        self, override: Override, release: Release
    ) -> tuple[str, str] | None:
        """The name and the sha256 of what a plugin fetched before for a release."""
        if release.locked and release.sha256 is not None:
            return release.filename, release.sha256
        content = self.steps.store.recall(DOWNLOADED, _download_key(override, release))
        if content is None:
            return None
        filename, sha256 = json.loads(content)
        return str(filename), str(sha256)

    def remember(self, override: Override, release: Release, path: Path) -> str:
        """Keep what was fetched first, by its hash.

        Raises:
            HashMismatch: it is not what a lock says.
        """
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if release.locked and release.sha256 is not None:
            if release.sha256 != sha256:
                raise HashMismatch(path.name, release.sha256, sha256)
            return sha256
        value = json.dumps([path.name, sha256]).encode()
        store, key = self.steps.store, _download_key(override, release)
        store.remember(DOWNLOADED, key, value)
        text = f"fetched by a plugin; sha256 {sha256} is trusted from now on"
        self.steps.report(Noted(path.name, text))
        return sha256

    async def tell(self, built: Wheel, *, prebuilt: bool, sdist: Path | None) -> None:
        """Let all who hear of wheels hear of this one, each once."""
        plugins = self.customisation.plugins
        if plugins is None:
            return
        first = "prebuilt_wheel" if prebuilt else "post_build"
        for event in (first, "post_bootstrap"):
            for entry in plugins.listening(event):
                await self._tell(event, entry, built, sdist)

    async def _tell(
        self, event: str, entry: EntryPoint, built: Wheel, sdist: Path | None
    ) -> None:
        store = self.steps.store
        key = f"{event} {entry} {built.step.realisation.key}"
        async with self._hearing.setdefault(key, asyncio.Lock()):
            if store.recall(TOLD, key) is not None:
                return
            use = self._use(entry.module, built)
            path, _ = wheel_file(store, built.step.output)
            values = {
                "sdist_filename": None if sdist is None else str(sdist),
                "wheel_filename": str(path),
            }
            if entry.problem or not entry.attribute:
                reason = entry.problem or "it names no function"
                raise failed(use, event, reason)
            await self._call(use, EVENTS[event], entry.attribute, values)
            store.remember(TOLD, key, b"")

    async def build_tag_suffix(self, hook: str, built: Wheel) -> str:
        """What a hook adds to the build tag of a wheel."""
        try:
            return await self._suffix(hook, built)
        except DerivationError as error:
            given = self.customisation.assignments(built.name, built.version)
            for each in given:
                if each.setting == "build-tag-hook" and each.value == hook:
                    error.add_note(f"{each.origin} names it as build tag hook")
            raise

    async def _suffix(self, hook: str, built: Wheel) -> str:
        from packaging.utils import parse_wheel_filename

        module, _, function = hook.partition(":")
        code = collect(module, self.customisation.paths or tuple(sys.path))
        self.customisation.watch(code.places)
        use = self._use(module, built)
        _, _, _, tags = parse_wheel_filename(built.filename)
        values = {"wheel_tags": sorted(map(str, tags))}
        parts = await self._call(use, BUILD_TAG, function, values)
        return "".join(f"_{part}" for part in parts)

    def _use(self, module: str, built: Wheel) -> PluginUse:
        variant = self.customisation.around.variant
        return PluginUse(module, (), built.name, str(built.version), variant)

    def _timeout(self, use: PluginUse) -> float | None:
        """Seconds that functions for a package may take, as its builds may."""
        version = None if use.version is None else Version(use.version)
        given = self.customisation.assignments(use.package, version)
        found = [a.value for a in given if a.setting == "timeout"]
        return int(str(found[-1])) if found else self.timeout

    async def _call(
        self,
        use: PluginUse,
        hook: Hook,
        function: str,
        values: Mapping[str, object],
    ) -> Any:
        tail = b""

        def output(content: bytes) -> None:
            nonlocal tail
            tail = (tail + content)[-TAIL_BYTES:]
            self.steps.report(LogOutput(use.package, content))

        paths, environ = self.customisation.paths, self.customisation.environ
        timeout = self._timeout(use)
        outside = Outside(paths, environ, timeout, output, self.steps.stop)

        def work() -> Any:
            with self.steps.store.scratch("plugin") as scratch:
                return outside.call(use, hook, function, values, scratch.path)

        try:
            return await self.steps.in_thread(work, network=True)
        except BuildError as error:
            error.log_tail = last_lines(tail.decode("utf-8", "replace"))
            raise


def _download_key(override: Override, release: Release) -> str:
    code = override.plugin.code.tree.digest
    return f"{override.plugin.package}=={release.version} {release.url} {code}"


def _listed(use: PluginUse, name: str, row: object) -> Release:
    match row:
        case [str(text), str(url)]:
            version = _version(use, text)
            bare = url.partition("#")[0]
            filename = bare.partition("?")[0].rpartition("/")[2]
            if not filename.endswith(SDIST_SUFFIXES):
                filename = f"{name.replace('-', '_')}-{version}.tar.gz"
            return Release(version, filename, bare, sha256=promised_sha256(url))
    raise failed(use, RESOLVE, f"{row!r} is no version and address")


def _tagged(
    use: PluginUse, name: str, repository: str, row: object, *, fetches: bool
) -> Release:
    match row:
        case [str(text), str(tag), str(commit)]:
            version = _version(use, text)
            label = f"{name}@{commit[:12]}"
            if fetches:
                return Release(version, label, tag)
            source = GitSource(check_git_url(repository), commit)
            variables = version_variables(name, version)
            return Release(version, label, "", source=source, variables=variables)
    raise failed(use, RESOLVE, f"{row!r} is no version, tag and commit")


def _version(use: PluginUse, text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion as error:
        raise failed(use, RESOLVE, f"{text!r} is no version") from error
