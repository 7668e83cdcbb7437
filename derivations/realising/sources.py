"""Sources: the file that an index names, patched and unpacked for a backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fromager.derivations.errors import SourceError
from fromager.derivations.realising import instantiate
from fromager.derivations.realising.events import Noted
from fromager.derivations.realising.steps import Made, Step, Steps
from fromager.derivations.sources.archive import DEFAULT_LIMITS, unpack, unpack_into
from fromager.derivations.sources.epoch import source_date_epoch
from fromager.derivations.sources.patch import apply_patch
from fromager.derivations.sources.project import static_metadata
from fromager.derivations.sources.sink import TreeSink
from fromager.store import Directory, File, blob_digest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from packaging.version import Version

    from fromager.derivations.derivation import ResolvedDerivation
    from fromager.derivations.index.client import IndexClient
    from fromager.derivations.resolution.candidate import Release
    from fromager.derivations.sources.archive import Unpacked
    from fromager.derivations.sources.members import Limits
    from fromager.derivations.sources.patch_folder import PatchFolder
    from fromager.derivations.sources.project import StaticMetadata
    from fromager.store import LocalStore, ObjectInfo, StorePath, Transaction


@dataclass
class Sources:
    """Makes source trees out of what an index offers."""

    steps: Steps
    client: IndexClient
    patches: PatchFolder
    limits: Limits = DEFAULT_LIMITS

    async def archive(self, release: Release) -> Step:
        """The file of a release, its sha256 checked."""
        sha256 = release.sha256 or await self._trust_first_use(release)
        derivation = instantiate.fetch(release.filename, sha256, [release.url])

        def make(transaction: Transaction, resolved: ResolvedDerivation) -> Made:
            with self.steps.store.scratch("fetch") as scratch:
                folder = scratch.path / "out"
                folder.mkdir()
                self.client.download(
                    release.url,
                    folder / release.filename,
                    sha256=sha256,
                    size=release.size,
                )
                name = instantiate.object_name(release.filename)
                return Made(transaction.add_directory(folder, name, consume=True))

        return await self.steps.step(derivation, (), make)

    async def tree(self, name: str, version: Version, release: Release) -> Step:
        """The source tree of a release; its facts tell the `epoch`."""
        subject = f"{name}=={version}"
        archive = await self.archive(release)
        patches = await self._patch_set(subject, name, version)
        inputs = (archive,) if patches is None else (archive, patches)
        derivation = instantiate.source(
            subject,
            archive.derivation,
            release.filename,
            patches.derivation if patches else None,
        )

        def make(transaction: Transaction, resolved: ResolvedDerivation) -> Made:
            root = self.steps.store.root
            packed = archive.output.below(root) / release.filename
            called = instantiate.object_name(f"{name}-{version}-source")
            if patches is None:
                output, newest = self._unpacked(transaction, packed, called)
            else:
                output, newest = self._patched(transaction, packed, called, patches)
            return Made(output, source_facts(newest))

        return await self.steps.step(derivation, inputs, make)

    async def metadata(
        self, name: str, version: Version, release: Release
    ) -> StaticMetadata | None:
        """What a release says of itself without being built, if it commits to it.

        It is read from the prepared source, so that patches have their say.
        """
        tree = await self.tree(name, version, release)
        return static_metadata(
            self.member(tree, "PKG-INFO"), self.member(tree, "pyproject.toml")
        )

    def member(self, tree: Step, path: str) -> bytes | None:
        """A file of a source tree; None if it has none of that name."""
        store = self.steps.store
        content = store.tree(tree.output)
        node = content.get(path) if isinstance(content, Directory) else None
        if not isinstance(node, File):
            return None
        return store.read_file(tree.output, path)

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

    async def _patch_set(
        self, subject: str, name: str, version: Version
    ) -> Step | None:
        patches = self.patches.find(name, version)
        if not patches:
            return None
        contents = [
            (f"{number:04}-{patch.name}", patch.read())
            for number, patch in enumerate(patches, start=1)
        ]
        derivation = instantiate.patch_set(
            subject, [(name, blob_digest(content)) for name, content in contents]
        )

        def make(transaction: Transaction, resolved: ResolvedDerivation) -> Made:
            files: dict[str, File] = {
                name: transaction.put_blob(content) for name, content in contents
            }
            return Made(
                transaction.add_tree(
                    Directory.of(files),
                    instantiate.object_name(f"{name}-{version}-patches"),
                )
            )

        return await self.steps.step(derivation, (), make)

    def _unpacked(
        self, transaction: Transaction, packed: Path, called: str
    ) -> tuple[ObjectInfo, int]:
        """An archive's tree and newest time; its files are written once, into the store."""
        builder = transaction.build_tree(called)
        _, newest = unpack_into(TreeSink(builder), packed, packed.name, self.limits)
        return builder.add(), newest

    def _patched(
        self, transaction: Transaction, packed: Path, called: str, patches: Step
    ) -> tuple[ObjectInfo, int]:
        store = self.steps.store
        with store.scratch("source") as scratch:
            place = scratch.path / "out"
            contents = read_patches(store, patches.output)
            unpacked = prepare_source(packed, place, contents, self.limits)
            output = transaction.add_directory(unpacked.root, called, consume=True)
        return output, unpacked.newest


def prepare_source(
    archive: Path, folder: Path, patches: Iterable[tuple[str, bytes]], limits: Limits
) -> Unpacked:
    """Do what a `source` derivation says: unpack an archive into a folder, patch it.

    `patches` are names and contents, in the order in which they are applied.
    """
    unpacked = unpack(archive, archive.name, folder, limits)
    for name, content in patches:
        apply_patch(unpacked.root, content, name)
    return unpacked


def source_facts(newest: int) -> tuple[tuple[str, str], ...]:
    """What is recorded of a source whose newest file has this time."""
    return (("epoch", str(source_date_epoch(newest, None))),)


def read_patches(
    store: LocalStore, patches: StorePath
) -> tuple[tuple[str, bytes], ...]:
    """The names and contents of a set of patches, in order."""
    tree = store.tree(patches)
    if not isinstance(tree, Directory):
        raise SourceError(f"{patches} is no set of patches")
    return tuple((name, store.read_file(patches, name)) for name, _ in tree.entries)
