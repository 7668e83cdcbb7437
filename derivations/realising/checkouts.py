"""Sources that are no archives: commits of git repositories, and folders, as trees."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fromager.derivations.errors import HashMismatch, SourceError
from fromager.derivations.realising import instantiate
from fromager.derivations.realising.events import Noted
from fromager.derivations.realising.steps import Made, Step, Steps
from fromager.derivations.sources.epoch import EARLIEST, source_date_epoch
from fromager.derivations.sources.folder import is_changed, nearest_tag, read_folder
from fromager.derivations.sources.git import Commit
from fromager.derivations.sources.members import Limits, leads_out
from fromager.derivations.sources.versions_of_tags import (
    development_version,
    newest_version,
    version_of_tag,
)
from fromager.store import Directory, File, InvalidRecord, Link, from_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from packaging.version import Version

    from fromager.derivations.derivation import ResolvedDerivation
    from fromager.derivations.sources.direct import FolderSource, GitSource
    from fromager.derivations.sources.folder import WorkingFolder
    from fromager.derivations.sources.git import Git
    from fromager.store import Node, Transaction

REFERENCES = "git-reference"


@dataclass
class Checkouts:
    """Makes trees of commits and folders, each once in a run."""

    steps: Steps
    git: Git | None
    """None where no repository can be asked."""
    limits: Limits

    def __post_init__(self) -> None:
        self._commits: dict[tuple[str, str | None], asyncio.Task[Commit]] = {}
        self._folders: dict[str, asyncio.Task[tuple[WorkingFolder, Step]]] = {}

    async def commit(self, source: GitSource) -> Commit:
        """The commit that a source means, the same during a run."""
        key = (source.url, source.ref)
        if key not in self._commits:
            self._commits[key] = asyncio.create_task(self._find(source))
        return await asyncio.shield(self._commits[key])

    async def version(self, source: GitSource, commit: Commit) -> Version:
        """The version of a commit after its tags, or the last one before it."""
        git = self._require_git()
        if commit.tags is None:
            refs = await self.steps.in_thread(
                lambda: git.refs(source.url), network=True
            )
            commit = Commit(commit.identity, commit.ref, refs.tags_of(commit.identity))
        tagged = newest_version(commit.tags or ())
        if tagged is not None:
            return tagged
        tag, distance = await self.steps.in_thread(
            lambda: git.nearest_tag(source.url, commit), network=True
        )
        before = None if tag is None else version_of_tag(tag)
        return development_version(before, distance, commit.identity)

    async def folder_version(self, source: FolderSource) -> Version | None:
        """The version that git gives a folder; None outside of a repository."""
        git = self._require_git().command
        folder, _ = await self._folder(source)
        if folder.commit is None:
            return None
        commit = folder.commit

        def look() -> Version:
            tag, distance = nearest_tag(folder, git)
            before = None if tag is None else version_of_tag(tag)
            changed = is_changed(folder, git)
            return development_version(before, distance, commit, changed=changed)

        return await self.steps.in_thread(look)

    async def tree(self, source: GitSource | FolderSource) -> tuple[Step, int]:
        """The files of a source, and SOURCE_DATE_EPOCH; of git it is a whole commit."""
        from fromager.derivations.sources.direct import FolderSource

        if isinstance(source, FolderSource):
            folder, step = await self._folder(source)
            when = folder.commit_time
            return step, EARLIEST if when is None else source_date_epoch(when, None)
        step = await self._checkout(source)
        return step, int(step.realisation.fact("epoch") or EARLIEST)

    async def _find(self, source: GitSource) -> Commit:
        git, store = self._require_git(), self.steps.store
        if source.is_fixed:
            return git.find(source)
        key = f"{source.url}@{source.ref or ''}"
        known = store.recall(REFERENCES, key)
        if git.offline and known is not None and not source.url.startswith("file:"):
            return Commit(known.decode())
        commit = await self.steps.in_thread(lambda: git.find(source), network=True)
        store.remember(REFERENCES, key, commit.identity.encode())
        return commit

    async def _checkout(self, source: GitSource) -> Step:
        git = self._require_git()
        commit = await self.commit(source)
        derivation = instantiate.fetch_commit(
            source.name, commit.identity, source.submodules, [source.url]
        )

        def make(transaction: Transaction, resolved: ResolvedDerivation) -> Made:
            def nodes() -> Iterator[tuple[str, Node]]:
                for file in git.files(source, commit):
                    if file.is_link:
                        target = file.content.decode("utf-8", "surrogateescape")
                        yield file.path, Link(target)
                    else:
                        executable = file.is_executable
                        yield (
                            file.path,
                            transaction.put_blob(file.content, executable=executable),
                        )

            tree = _tree(str(source), nodes(), self.limits)
            self._compare(resolved, tree)
            name = instantiate.object_name(f"{source.name}-{commit.identity[:12]}")
            epoch = source_date_epoch(git.commit_time(source.url, commit), None)
            return Made(transaction.add_tree(tree, name), (("epoch", str(epoch)),))

        return await self.steps.step(derivation, (), make)

    def _compare(self, resolved: ResolvedDerivation, tree: Directory) -> None:
        """A commit that was fetched before must hold the same files again."""
        for before in self.steps.store.history(resolved.kind.value, resolved.subject):
            if before.key == resolved.key and before.output_digest != tree.digest:
                raise HashMismatch(
                    resolved.subject, str(before.output_digest), str(tree.digest)
                )

    async def _folder(self, source: FolderSource) -> tuple[WorkingFolder, Step]:
        if source.path not in self._folders:
            task = asyncio.create_task(self._take(source))
            self._folders[source.path] = task
        return await asyncio.shield(self._folders[source.path])

    async def _take(self, source: FolderSource) -> tuple[WorkingFolder, Step]:
        """Read a folder once: what is built is what it was at that moment."""
        git = self._require_git().command
        name = Path(source.path).name or "folder"

        def look() -> tuple[WorkingFolder, Directory]:
            folder = read_folder(Path(source.path), git)
            # Only to know the digest; files that are held already cost nothing twice.
            with self.steps.store.transaction() as transaction:
                tree = self._tree_of(folder, transaction.put_blob)
                transaction.add_tree(tree, instantiate.object_name(name))
            return folder, tree

        folder, tree = await self.steps.in_thread(look)
        if folder.note is not None:
            self.steps.report(Noted(source.path, folder.note))

        def make(transaction: Transaction, resolved: ResolvedDerivation) -> Made:
            return Made(transaction.add_tree(tree, instantiate.object_name(name)))

        step = await self.steps.step(
            instantiate.take_folder(name, tree.digest), (), make
        )
        return folder, step

    def _tree_of(self, folder: WorkingFolder, put: Callable[..., File]) -> Directory:
        def nodes() -> Iterator[tuple[str, Node]]:
            for path in folder.files:
                place = folder.path / path
                if place.is_symlink():
                    yield path, Link(str(place.readlink()))
                elif place.is_file():
                    executable = bool(place.stat().st_mode & 0o100)
                    yield path, put(place.read_bytes(), executable=executable)
                else:
                    raise SourceError(f"{place} is no file, folder or link")

        return _tree(str(folder.path), nodes(), self.limits)

    def _require_git(self) -> Git:
        if self.git is None:
            raise SourceError("no repository can be asked here")
        return self.git


def _tree(source: str, nodes: Iterator[tuple[str, Node]], limits: Limits) -> Directory:
    """The nodes as a tree: no link leads out of it, and it keeps to the limits."""

    def checked() -> Iterator[tuple[str, Node]]:
        size = 0
        for files, (path, node) in enumerate(nodes, start=1):
            if isinstance(node, Link):
                if leads_out(node.target, path.count("/")):
                    reason = f"{path!r} is a link to {node.target!r}, out of the tree"
                    raise SourceError(f"{source}: {reason}")
            elif isinstance(node, File):
                size += node.size
            if files > limits.files or size > limits.total_bytes:
                raise SourceError(
                    f"{source}: more than {limits.files} files or "
                    f"{limits.total_bytes} bytes",
                    hint="Raise the limits of sources if it is to be trusted",
                )
            yield path, node

    try:
        return from_paths(checked())
    except InvalidRecord as error:
        raise SourceError(f"{source}: {error}") from error
