"""Commits of git repositories: found, fetched, and read without being checked out.

Repositories are kept in a cache, bare. What a commit holds is read from git's objects
as they are: no filter, attribute or hook has a say, so every machine gets the same.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from fromager.derivations.errors import NetworkError, SourceError
from fromager.derivations.sources.direct import COMMIT
from fromager.derivations.sources.git_command import GitFailed
from fromager.derivations.sources.git_refs import (
    Refs,
    TreeRow,
    read_submodules,
    read_tree_rows,
    submodule_url,
)
from fromager.store import blob_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fromager.derivations.index.address import Credentials
    from fromager.derivations.index.retries import Retries
    from fromager.derivations.sources.direct import GitSource
    from fromager.derivations.sources.git_command import GitCommand

LFS_POINTER: Final = b"version https://git-lfs.github.com/spec/v1\n"
_MAX_POINTER: Final = 1024
_HEADS: Final = "+refs/heads/*:refs/heads/*"
_TAGS: Final = "+refs/tags/*:refs/tags/*"
_QUIET: Final = ("--quiet", "--no-write-fetch-head", "--no-recurse-submodules")


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit, and what the server says of it."""

    identity: str
    """All its hexadecimal digits."""
    ref: str | None = None
    """The full name by which it was found."""
    tags: tuple[str, ...] | None = None
    """Tags on it; None where nobody was asked."""


@dataclass(frozen=True, slots=True)
class GitFile:
    """A file or link of a commit, and what it holds."""

    path: str
    content: bytes
    """A link's target, if it is one."""
    is_link: bool
    is_executable: bool


@dataclass(frozen=True)
class Git:
    """Repositories, by their addresses; used by many threads and processes at once."""

    command: GitCommand
    cache: Path
    """The folder that they are kept in."""
    retries: Retries
    credentials: Callable[[], Credentials]
    """Who may see what; asked before each request."""
    offline: bool = False

    def find(self, source: GitSource) -> Commit:
        """The commit that a source means now; one named in full needs no request.

        Raises:
            SourceError: the repository has no such commit, tag or branch.
            NetworkError: the server cannot be asked.
        """
        if source.ref is not None and COMMIT.fullmatch(source.ref):
            return Commit(source.ref)
        refs = self.refs(source.url)
        found = refs.find(source.ref)
        if found is not None:
            name, commit = found
            return Commit(commit, name, refs.tags_of(commit))
        commit = self._abbreviated(source)
        return Commit(commit, None, refs.tags_of(commit))

    def refs(self, url: str) -> Refs:
        """All references of a repository."""
        return Refs.parse(self._request(url, ["ls-remote", "--quiet", "--", url], None))

    def fetch(self, url: str, commit: Commit) -> Path:
        """A repository that holds a commit with all its files.

        Raises:
            SourceError: the server has no such commit.
        """
        folder = self._folder(url)
        with self._alone(folder):
            if self._has(folder, commit.identity):
                return folder
            for depth, refspecs in self._ways(commit):
                words = ["fetch", *_QUIET, *depth, "--no-tags", "--", url, *refspecs]
                try:
                    self._request(url, words, folder)
                except GitFailed as error:
                    # Some servers give single commits, some references only, some
                    # nothing but everything.
                    failure = error
                    continue
                if self._has(folder, commit.identity):
                    return folder
                failure = GitFailed(f"{url}: there is no commit {commit.identity}")
        raise failure

    def files(self, source: GitSource, commit: Commit) -> Iterator[GitFile]:
        """Everything in a commit and in the submodules that the source asks for.

        Raises:
            SourceError: paths that no clean tree has, what lies in git LFS, or a
                submodule that cannot be fetched.
        """
        wanted = source.submodules
        left = set(wanted or ())
        for prefix, folder, row in self._walk(source.url, commit, "", wanted, left):
            content = folder(row.object)
            if not row.is_link and _is_pointer(content):
                raise SourceError(
                    f"{source}: {prefix}{row.path} lies in git LFS, which is not fetched",
                    hint="Use an archive that holds the file, or the sdist",
                )
            yield GitFile(prefix + row.path, content, row.is_link, row.is_executable)
        if left:
            names = ", ".join(sorted(left))
            raise SourceError(f"{source}: there is no submodule {names}")

    def commit_time(self, url: str, commit: Commit) -> int:
        """When a commit was made, in seconds since the epoch."""
        folder = self.fetch(url, commit)
        words = ["show", "--no-patch", "--format=%ct", commit.identity]
        return max(0, int(self.command.run(words, folder=folder).split()[0]))

    def nearest_tag(self, url: str, commit: Commit) -> tuple[str | None, int]:
        """The last tag with a digit before a commit, and how many commits lie between.

        Without one, None and the number of all commits before it, itself included.
        """
        with self._history(url) as folder:
            if not self._has(folder, commit.identity, whole=False):
                words = [
                    "fetch",
                    *_QUIET,
                    "--filter=tree:0",
                    "--",
                    url,
                    commit.identity,
                ]
                self._request(url, words, folder)
            return describe(self.command, folder, commit.identity)

    def _ways(
        self, commit: Commit
    ) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
        yield ("--depth=1",), (commit.identity,)
        if commit.ref is not None:
            yield ("--depth=1",), (commit.ref,)
        # All of them, also where only the newest were fetched before.
        yield ("--depth=2147483647",), (_HEADS, _TAGS)
        yield (), (_HEADS, _TAGS)

    def _abbreviated(self, source: GitSource) -> str:
        """The whole of a commit that is named by its first digits."""
        ref = source.ref or ""
        missing = SourceError(
            f"{source.url} has no commit, tag or branch {ref!r}",
            hint="Name a commit by all its digits, or a tag",
        )
        digits = "0123456789abcdef"
        if not 7 <= len(ref) <= 64 or set(ref.lower()) - set(digits):
            raise missing
        with self._history(source.url) as folder:
            words = ["rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"]
            try:
                return self.command.run(words, folder=folder).decode().strip()
            except GitFailed:
                raise missing from None

    @contextmanager
    def _history(self, url: str) -> Iterator[Path]:
        """A repository with all commits of all branches and tags, but no files.

        It is kept apart, since it is not what `fetch` promises.
        """
        folder = self._folder(f"{url} history")
        words = ["fetch", *_QUIET, "--filter=tree:0", "--", url, _HEADS, _TAGS]
        with self._alone(folder):
            self._request(url, words, folder)
            yield folder

    def _walk(
        self,
        url: str,
        commit: Commit,
        prefix: str,
        wanted: tuple[str, ...] | None,
        left: set[str],
    ) -> Iterator[tuple[str, Callable[[str], bytes], TreeRow]]:
        folder = self.fetch(url, commit)
        words = ["ls-tree", "-r", "-z", "--full-tree", commit.identity]
        rows = list(read_tree_rows(self.command.run(words, folder=folder)))
        with _objects(self.command, folder) as read:
            for row in rows:
                if not row.is_submodule:
                    yield prefix, read, row
        below = [row for row in rows if row.is_submodule]
        chosen = [
            row
            for row in below
            if wanted is None
            or any(_covers(prefix + row.path, each) for each in wanted)
        ]
        if not chosen:
            return
        words = ["config", "-z", "--blob", f"{commit.identity}:.gitmodules", "--list"]
        try:
            places = read_submodules(self.command.run(words, folder=folder))
        except GitFailed:
            places = {}
        for row in chosen:
            path = prefix + row.path
            if row.path not in places:
                raise SourceError(
                    f"{url}: the submodule {path} has no address",
                    hint="Name the submodules that are wanted, or submodules=none",
                )
            left.discard(path)
            inner = submodule_url(places[row.path], url)
            yield from self._walk(inner, Commit(row.object), f"{path}/", wanted, left)

    def _request(self, url: str, words: list[str], folder: Path | None) -> bytes:
        is_local = url.startswith("file:")
        if self.offline and not is_local:
            raise NetworkError(
                url,
                "not in the cache, and the network is not to be used",
                hint="Run the same command once with the network",
            )
        has_login = urlsplit(url).scheme in ("http", "https")
        login = self.credentials().for_url(url) if has_login else None
        return self.retries.run(
            url, lambda: self.command.run(words, folder=folder, url=url, login=login)
        )

    def _folder(self, url: str) -> Path:
        return self.cache / blob_digest(url.encode()).hex[:32]

    @contextmanager
    def _alone(self, folder: Path) -> Iterator[None]:
        """Hold a repository against others who fetch into it; it is made if need be."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = folder.with_name(f"{folder.name}.lock")
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not (folder / "HEAD").is_file():
                words = ["init", "--quiet", "--bare", "--template=", "--", str(folder)]
                self.command.run(words)
            yield
        finally:
            os.close(descriptor)

    def _has(self, folder: Path, commit: str, *, whole: bool = True) -> bool:
        words = ["cat-file", "-e", f"{commit}^{{tree}}" if whole else commit]
        try:
            self.command.run(words, folder=folder)
        except GitFailed:
            return False
        return True


def describe(command: GitCommand, folder: Path, commit: str) -> tuple[str | None, int]:
    """The last tag with a digit before a commit, as `Git.nearest_tag`."""
    words = ["describe", "--tags", "--long", "--match", "*[0-9]*", commit]
    try:
        text = command.run(words, folder=folder).decode("utf-8", "replace").strip()
    except GitFailed:
        words = ["rev-list", "--count", commit]
        return None, int(command.run(words, folder=folder))
    tag, distance, _ = text.rsplit("-", 2)
    return tag, int(distance)


def _covers(path: str, wanted: str) -> bool:
    """Whether a submodule is wanted, or on the way to one that is."""
    return path == wanted or wanted.startswith(f"{path}/")


def _is_pointer(content: bytes) -> bool:
    return len(content) < _MAX_POINTER and content.startswith(LFS_POINTER)


@contextmanager
def _objects(command: GitCommand, folder: Path) -> Iterator[Callable[[str], bytes]]:
    """Reads objects of a repository, one after the other, with one process."""
    with TemporaryFile() as err:
        process = command.start(
            ["cat-file", "--batch"],
            folder,
            stdin=subprocess.PIPE,
            out=subprocess.PIPE,
            err=err,
        )
        asking, answers = process.stdin, process.stdout
        assert asking is not None and answers is not None

        def read(identity: str) -> bytes:
            asking.write(f"{identity}\n".encode())
            asking.flush()
            header = answers.readline().split()
            if len(header) != 3:
                raise SourceError(f"{folder}: object {identity} cannot be read")
            content = answers.read(int(header[2]))
            answers.read(1)
            return content

        try:
            yield read
        finally:
            asking.close()
            answers.close()
            process.wait()
