"""Sources: what an index names, or a requirement itself, prepared for a backend."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from fromager.derivations.customisation.effects import NO_EFFECTS
from fromager.derivations.derivation import decode
from fromager.derivations.errors import SourceError
from fromager.derivations.realising import instantiate
from fromager.derivations.realising.archives import IndexFile, take_file
from fromager.derivations.realising.customised import with_submodules, within
from fromager.derivations.realising.downloads import downloaded_from
from fromager.derivations.realising.events import Noted
from fromager.derivations.realising.outside import DOWNLOAD
from fromager.derivations.realising.overriding import OverriddenSteps
from fromager.derivations.realising.plugin_calls import PREPARE
from fromager.derivations.realising.preparation import Preparation, Preparations
from fromager.derivations.realising.said import SaidByFiles
from fromager.derivations.realising.served_metadata import ServedMetadata
from fromager.derivations.realising.source_recipe import (
    prepare_source,
    prepare_tree,
    source_facts,
)
from fromager.derivations.realising.steps import Made, Step, Steps
from fromager.derivations.sources.archive import DEFAULT_LIMITS, unpack_into
from fromager.derivations.sources.direct import ArchiveSource, FolderSource
from fromager.derivations.sources.project import static_metadata
from fromager.derivations.sources.sink import TreeSink
from fromager.store import Directory, File

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from packaging.version import Version

    from fromager.derivations.customisation.effects import Effects
    from fromager.derivations.derivation import ResolvedDerivation
    from fromager.derivations.index.client import IndexClient
    from fromager.derivations.plugins.use import Override
    from fromager.derivations.realising.checkouts import Checkouts
    from fromager.derivations.realising.customised import Customised
    from fromager.derivations.realising.outside import OutsideWork
    from fromager.derivations.realising.overriding import Workshop
    from fromager.derivations.resolution.candidate import Release
    from fromager.derivations.sources.direct import GitSource
    from fromager.derivations.sources.members import Limits
    from fromager.derivations.sources.project import StaticMetadata
    from fromager.store import Digest, ObjectInfo, Transaction


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A prepared source, and the file that it was in."""

    source: Step
    archive: Step | None
    """None if it was no file."""
    filename: str


@dataclass
class Sources:
    """Makes source trees out of what an index offers."""

    steps: Steps
    client: IndexClient
    customisation: Customised
    limits: Limits = DEFAULT_LIMITS
    checkouts: Checkouts | None = None
    """Takes what is no archive; None where only indexes are used."""
    refresh: bool = False
    """Whether files that were trusted at first sight are looked at anew."""
    workshop: Callable[[], Awaitable[Workshop]] | None = None
    """Where plugins are called in the sandbox; None where none are."""
    outside: OutsideWork | None = None
    """Calls plugins that fetch; None where none do."""
    only_reads: bool = False
    """Whether sources are mostly asked for what they say, and seldom built."""

    def __post_init__(self) -> None:
        self._fetches: dict[str, asyncio.Task[_Prepared]] = {}
        self._first: dict[str, Version] = {}
        self._trees: dict[tuple[str, Version, Release], Step] = {}

    def effects(self, name: str, version: Version, release: Release) -> Effects:
        """What is done otherwise for a release, and where its project lies."""
        return within(self.customisation.effects(name, version), release.source)

    async def archive(self, release: Release) -> Step:
        """The file of a release, its sha256 checked."""
        sha256 = release.sha256 or await self.trust_first_use(release)
        file = IndexFile(
            release.filename, sha256, release.url, release.size, release.provenance
        )
        return await take_file(self.steps, self.client, file)

    async def _file(self, filename: str, sha256: str, url: str) -> Step:
        file = IndexFile(filename, sha256, url)
        return await take_file(self.steps, self.client, file)

    async def tree(self, name: str, version: Version, release: Release) -> Step:
        """The source tree of a release; its facts tell the `epoch`.

        Raises:
            DerivationError: a plugin that should have said its version did not.
        """
        if self.outside is not None:
            self.outside.check(name)
        asked = (name, version, release)
        if asked not in self._trees:
            self._trees[asked] = await self._tree(name, version, release)
        return self._trees[asked]

    async def _tree(self, name: str, version: Version, release: Release) -> Step:
        effects = self.effects(name, version, release)
        if release.source is None:
            release = downloaded_from(release, name, effects)
        preparations = Preparations(self.steps, self._file)
        prepared = await preparations.of(name, version, effects)
        subject = f"{name}=={version}"
        override = effects.override
        if override is None or self.workshop is None:
            return await self.prepared(subject, release, prepared)
        found = await self._found(subject, release, prepared, override)
        if not override.plugin.overrides(PREPARE):
            return found.source
        return await OverriddenSteps(self.steps).source(
            subject,
            override,
            found.source,
            found.archive,
            found.filename,
            effects.build_dir,
            await self.workshop(),
        )

    async def _found(
        self, subject: str, release: Release, prepared: Preparation, override: Override
    ) -> _Prepared:
        """The source of a package that has a plugin, which may fetch it."""
        if release.source is not None or not override.plugin.overrides(DOWNLOAD):
            source = await self.prepared(subject, release, prepared)
            archive = None
            if release.source is None or isinstance(release.source, ArchiveSource):
                archive = await self.archive(release)
            return _Prepared(source, archive, release.filename)
        if subject not in self._fetches:
            self._fetches[subject] = asyncio.create_task(
                self._fetched(subject, release, prepared, override)
            )
        return await asyncio.shield(self._fetches[subject])

    async def _fetched(
        self, subject: str, release: Release, prepared: Preparation, override: Override
    ) -> _Prepared:
        """The source that a plugin fetches; what it fetched before is not fetched again.

        Raises:
            HashMismatch: it is not what a lock says.
        """
        assert self.outside is not None
        store = self.steps.store
        known = self.outside.remembered(override, release)
        if known is not None and not (self.refresh and not release.locked):
            derivation = instantiate.fetch(*known, ())
            resolved = self.steps.resolve(derivation, ())
            had = await self.steps.obtained(resolved, ())
            if had is not None:
                archive = Step(derivation, had, reused=True)
                return await self._of_archive(subject, known, prepared, archive)
        with store.scratch("download") as scratch:
            folder = scratch.path / "download"
            folder.mkdir()
            path = await self.outside.download(override, release, folder)
            if path.is_dir():
                source = await self._taken(subject, FolderSource(str(path)), prepared)
                return _Prepared(source, None, "")
            sha256 = self.outside.remember(override, release, path)

            def make(transaction: Transaction, resolved: ResolvedDerivation) -> Made:
                out = scratch.path / "out"
                out.mkdir()
                path.rename(out / path.name)
                name = instantiate.object_name(path.name)
                return Made(transaction.add_directory(out, name, consume=True))

            derivation = instantiate.fetch(path.name, sha256, ())
            archive = await self.steps.step(derivation, (), make)
        return await self._of_archive(subject, (path.name, sha256), prepared, archive)

    async def _of_archive(
        self, subject: str, named: tuple[str, str], prepared: Preparation, archive: Step
    ) -> _Prepared:
        source = await self._unpacked(subject, named[0], prepared, archive)
        return _Prepared(source, archive, named[0])

    async def prepared(
        self, subject: str, release: Release, prepared: Preparation
    ) -> Step:
        """The source tree of a release whose version need not be known; see `tree`."""
        source = release.source
        if source is None or isinstance(source, ArchiveSource):
            archive = await self.archive(release)
            return await self._unpacked(subject, release.filename, prepared, archive)
        return await self._taken(subject, source, prepared)

    async def _unpacked(
        self, subject: str, filename: str, prepared: Preparation, archive: Step
    ) -> Step:
        derivation = instantiate.source(
            subject,
            archive.derivation,
            filename,
            {role: step.derivation for role, step in prepared.inputs.items()},
            prepared.options,
        )

        def make(transaction: Transaction, resolved: ResolvedDerivation) -> Made:
            packed = self.steps.store.place(archive.output) / filename
            called = _object_name(subject)
            if prepared.is_nothing:
                output, newest = self._into_store(transaction, packed, called)
            else:
                output, newest = self._prepared(transaction, packed, called, prepared)
            return Made(output, source_facts(newest))

        inputs = (archive, *prepared.inputs.values())
        return await self.steps.step(derivation, inputs, make)

    async def _taken(
        self, subject: str, source: GitSource | FolderSource, prepared: Preparation
    ) -> Step:
        if self.checkouts is None:
            raise SourceError(f"{source}: only indexes are used here")
        taken, epoch = await self.checkouts.tree(
            with_submodules(source, prepared.effects)
        )
        derivation = instantiate.source_of_tree(
            subject,
            taken.derivation,
            epoch,
            {role: step.derivation for role, step in prepared.inputs.items()},
            prepared.options,
        )

        def make(transaction: Transaction, resolved: ResolvedDerivation) -> Made:
            store, called = self.steps.store, _object_name(subject)
            tree = store.tree(taken.output)
            if prepared.is_nothing and isinstance(tree, Directory):
                return Made(transaction.add_tree(tree, called), source_facts(epoch))
            with store.scratch("source") as scratch:
                root = scratch.path / "out"
                prepared.prepare(
                    store,
                    lambda recipe: prepare_tree(
                        store, taken.output, root, recipe, epoch, self.limits
                    ),
                )
                output = transaction.add_directory(root, called, consume=True)
            return Made(output, source_facts(epoch))

        inputs = (taken, *prepared.inputs.values())
        return await self.steps.step(derivation, inputs, make)

    async def metadata(
        self, name: str, version: Version, release: Release
    ) -> StaticMetadata | None:
        """What a release says of itself without being built, if it commits to it.

        Patches have their say. What a file without any says is remembered; as long as
        it was not read, what the index serves beside it counts.
        """
        if release.prebuilt:
            return None
        effects = self.effects(name, version, release)
        if effects is not NO_EFFECTS or release.sha256 is None:
            return self.static(await self.tree(name, version, release), effects)
        said = SaidByFiles(self.steps.store, self.limits)
        if known := said.recall(release.sha256):
            return known.metadata
        served = ServedMetadata(self.steps, self.client)
        if (told := await served.of(name, version, release)) is not None:
            return told
        # Versions after the first are mostly passed over: they are not unpacked.
        if self._first.setdefault(name, version) == version and not self.only_reads:
            tree = await self.tree(name, version, release)
            read = partial(self.static, tree, effects)
        else:
            place = self.steps.store.place((await self.archive(release)).output)
            read = partial(said.read, place, release.filename)
        learn = partial(said.learn, release.sha256, read)
        return await self.steps.in_thread(learn)

    def static(self, tree: Step, effects: Effects) -> StaticMetadata | None:
        """What a source tree says of itself, if it commits to it."""
        return static_metadata(
            self.member(tree, effects.in_project("PKG-INFO")),
            self.member(tree, effects.in_project("pyproject.toml")),
        )

    def content(self, tree: Step, release: Release) -> Digest | None:
        """The tree that a source tree was taken from; None if that was a file."""
        if release.source is None or isinstance(release.source, ArchiveSource):
            return None
        known = decode(self.steps.store.read_file(tree.realisation.derivation))
        return dict(known.inputs).get("tree")

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

    async def trust_first_use(self, release: Release) -> str:
        """The sha256 of a file for which nobody promises one.

        A file of this machine may change; for any other, what was seen first counts.
        """
        store = self.steps.store
        is_local = release.url.startswith("file:")
        known = None if is_local else store.recall("first-use", release.url)
        if known is not None and not self.refresh:
            return known.decode()

        def look() -> str:
            with store.scratch("fetch") as scratch:
                return self.client.download(
                    release.url, scratch.path / "file", sha256=None, size=release.size
                )

        sha256 = await self.steps.in_thread(look, network=True)
        if not is_local and (known is None or known.decode() != sha256):
            store.remember("first-use", release.url, sha256.encode())
            text = f"no hash is promised; sha256 {sha256} is trusted from now on"
            self.steps.report(Noted(release.filename, text))
        return sha256

    def _into_store(
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
            unpacked = prepared.prepare(
                store,
                lambda recipe: prepare_source(packed, place, recipe, self.limits),
            )
            output = transaction.add_directory(unpacked.root, called, consume=True)
        return output, unpacked.newest


def _object_name(subject: str) -> str:
    return instantiate.object_name(f"{subject.replace('==', '-')}-source")
