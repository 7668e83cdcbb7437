"""Sources: the file that an index names, patched and unpacked for a backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from fromager.derivations.realising import instantiate
from fromager.derivations.realising.downloads import downloaded_from
from fromager.derivations.realising.events import Noted
from fromager.derivations.realising.preparation import Preparation, Preparations
from fromager.derivations.realising.source_recipe import source_facts
from fromager.derivations.realising.steps import Made, Step, Steps
from fromager.derivations.sources.archive import DEFAULT_LIMITS, unpack_into
from fromager.derivations.sources.project import static_metadata
from fromager.derivations.sources.sink import TreeSink
from fromager.store import Directory, File

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.version import Version

    from fromager.derivations.customisation.effects import Effects
    from fromager.derivations.derivation import ResolvedDerivation
    from fromager.derivations.index.client import IndexClient
    from fromager.derivations.resolution.candidate import Release
    from fromager.derivations.sources.members import Limits
    from fromager.derivations.sources.project import StaticMetadata
    from fromager.store import ObjectInfo, Transaction


class Customised(Protocol):
    """What says how single packages are made otherwise; `Customisation` does."""

    def effects(self, name: str, version: Version) -> Effects:
        """What is done otherwise for one version."""
        ...


@dataclass
class Sources:
    """Makes source trees out of what an index offers."""

    steps: Steps
    client: IndexClient
    customisation: Customised
    limits: Limits = DEFAULT_LIMITS

    async def archive(self, release: Release) -> Step:
        """The file of a release, its sha256 checked."""
        sha256 = release.sha256 or await self._trust_first_use(release)
        return await self._file(release.filename, sha256, release.url, release.size)

    async def _file(
        self, filename: str, sha256: str, url: str, size: int | None = None
    ) -> Step:
        derivation = instantiate.fetch(filename, sha256, [url])

        def make(transaction: Transaction, resolved: ResolvedDerivation) -> Made:
            with self.steps.store.scratch("fetch") as scratch:
                folder = scratch.path / "out"
                folder.mkdir()
                self.client.download(url, folder / filename, sha256=sha256, size=size)
                name = instantiate.object_name(filename)
                return Made(transaction.add_directory(folder, name, consume=True))

        return await self.steps.step(derivation, (), make)

    async def tree(self, name: str, version: Version, release: Release) -> Step:
        """The source tree of a release; its facts tell the `epoch`."""
        subject = f"{name}=={version}"
        effects = self.customisation.effects(name, version)
        release = downloaded_from(release, name, effects)
        archive = await self.archive(release)
        preparations = Preparations(self.steps, self._file)
        prepared = await preparations.of(name, version, effects)
        inputs = (archive, *prepared.inputs.values())
        derivation = instantiate.source(
            subject,
            archive.derivation,
            release.filename,
            {role: step.derivation for role, step in prepared.inputs.items()},
            prepared.options,
        )

        def make(transaction: Transaction, resolved: ResolvedDerivation) -> Made:
            packed = self.steps.store.place(archive.output) / release.filename
            called = instantiate.object_name(f"{name}-{version}-source")
            if prepared.is_nothing:
                output, newest = self._unpacked(transaction, packed, called)
            else:
                output, newest = self._prepared(transaction, packed, called, prepared)
            return Made(output, source_facts(newest))

        return await self.steps.step(derivation, inputs, make)

    async def metadata(
        self, name: str, version: Version, release: Release
    ) -> StaticMetadata | None:
        """What a release says of itself without being built, if it commits to it.

        It is read from the prepared source, so that patches have their say.
        """
        if release.prebuilt:
            return None
        tree = await self.tree(name, version, release)
        effects = self.customisation.effects(name, version)
        return static_metadata(
            self.member(tree, effects.in_project("PKG-INFO")),
            self.member(tree, effects.in_project("pyproject.toml")),
        )

    def member(self, tree: Step, path: str) -> bytes | None:
        """A file of a source tree; None if it has none of that name."""
        store = self.steps.store
        content = store.tree(tree.output)
        node = content.get(path) if isinstance(content, Directory) else None
        if not isinstance(node, File):
            return None
        return store.read_file(tree.output, path)

    def has_folder(self, tree: Step, path: str) -> bool:
        """Whether a source tree has a folder of that name."""
        content = self.steps.store.tree(tree.output)
        return isinstance(content, Directory) and isinstance(
            content.get(path), Directory
        )

    async def _trust_first_use(self, release: Release) -> str:
        """The sha256 of a file for which the index promises none."""
        store = self.steps.store
        known = store.recall("first-use", release.url)
        if known is not None:
            return known.decode()

        def look() -> str:
            with store.scratch("fetch") as scratch:
                return self.client.download(
                    release.url, scratch.path / "file", sha256=None, size=release.size
                )

        sha256 = await self.steps.in_thread(look, network=True)
        store.remember("first-use", release.url, sha256.encode())
        text = f"the index promises no hash; sha256 {sha256} is trusted from now on"
        self.steps.report(Noted(release.filename, text))
        return sha256

    def _unpacked(
        self, transaction: Transaction, packed: Path, called: str
    ) -> tuple[ObjectInfo, int]:
        """An archive's tree and newest time; its files are written once, into the store."""
        builder = transaction.build_tree(called)
        _, newest = unpack_into(TreeSink(builder), packed, packed.name, self.limits)
        return builder.add(), newest

    def _prepared(
        self, transaction: Transaction, packed: Path, called: str, prepared: Preparation
    ) -> tuple[ObjectInfo, int]:
        store = self.steps.store
        with store.scratch("source") as scratch:
            place = scratch.path / "out"
            unpacked = prepared.prepare(packed, place, store, self.limits)
            output = transaction.add_directory(unpacked.root, called, consume=True)
        return output, unpacked.newest
