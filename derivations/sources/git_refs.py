"""What git prints, read: references of a server, listings of trees, submodules."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from fromager.derivations.errors import InputError, SourceError
from fromager.derivations.sources.direct import COMMIT, check_git_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SCP: Final = re.compile(r"(?P<login>[\w.-]+@)?(?P<host>[\w.-]+):(?P<path>(?!//)\S+)")
_PEELED: Final = "^{}"


@dataclass(frozen=True)
class Refs:
    """The references of a repository: what each names, tags followed to their commits."""

    commits: Mapping[str, str]
    """By full name (`refs/tags/v1`, `HEAD`)."""

    @classmethod
    def parse(cls, output: bytes) -> Refs:
        """What `git ls-remote` prints."""
        found: dict[str, str] = {}
        peeled: dict[str, str] = {}
        for line in output.decode("utf-8", "replace").splitlines():
            commit, tab, name = line.partition("\t")
            if not tab or not COMMIT.fullmatch(commit):
                continue
            if name.endswith(_PEELED):
                peeled[name.removesuffix(_PEELED)] = commit
            else:
                found[name] = commit
        return cls({**found, **peeled})

    def find(self, ref: str | None) -> tuple[str, str] | None:
        """Full name and commit of what a short name means: tags go before branches."""
        wanted = ref or "HEAD"
        for name in (wanted, f"refs/{wanted}", f"refs/tags/{wanted}"):
            if name in self.commits:
                return name, self.commits[name]
        name = f"refs/heads/{wanted}"
        return (name, self.commits[name]) if name in self.commits else None

    def tags_of(self, commit: str) -> tuple[str, ...]:
        """Short names of the tags on a commit, sorted."""
        prefix = "refs/tags/"
        return tuple(
            sorted(
                name.removeprefix(prefix)
                for name, found in self.commits.items()
                if found == commit and name.startswith(prefix)
            )
        )


@dataclass(frozen=True, slots=True)
class TreeRow:
    """A file, link or submodule in the tree of a commit."""

    mode: str
    object: str
    path: str

    @property
    def is_submodule(self) -> bool:
        """Whether it is a commit of another repository."""
        return self.mode == "160000"

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return self.mode == "120000"

    @property
    def is_executable(self) -> bool:
        """Whether its owner may execute it."""
        return self.mode == "100755"


def read_tree_rows(output: bytes) -> Iterator[TreeRow]:
    """What `git ls-tree -r -z` prints.

    Raises:
        SourceError: a path that no clean tree has.
    """
    for row in output.split(b"\0"):
        if not row:
            continue
        facts, _, name = row.partition(b"\t")
        mode, _, identity = facts.decode("ascii").split(" ")
        path = name.decode("utf-8", "surrogateescape")
        parts = path.lower().split("/")
        if ".git" in parts or ".." in parts or "." in parts or "" in parts:
            raise SourceError(f"the repository holds {path!r}, which is no clean path")
        yield TreeRow(mode, identity, path)


def read_submodules(output: bytes) -> dict[str, str]:
    """Path and address of each submodule, from `git config -z --list`."""
    found: dict[str, dict[str, str]] = {}
    for row in output.decode("utf-8", "replace").split("\0"):
        key, _, value = row.partition("\n")
        section, _, variable = key.rpartition(".")
        if section.startswith("submodule.") and variable in ("path", "url"):
            found.setdefault(section, {})[variable] = value
    return {
        row["path"].strip("/"): row["url"]
        for row in found.values()
        if "path" in row and "url" in row
    }


def submodule_url(url: str, parent: str) -> str:
    """The address of a submodule of a repository: as given, or relative to that.

    Raises:
        SourceError: one that must not be asked: another scheme, or a folder of this
            machine where the repository itself came over a network.
    """
    parts = urlsplit(parent)
    if url.startswith(("./", "../")):
        path = posixpath.normpath(posixpath.join(parts.path, url))
        url = parts._replace(path=path).geturl()
    elif "://" not in url and not url.startswith("/"):
        found = _SCP.fullmatch(url)
        if found is not None:
            path = found["path"].lstrip("/")
            url = f"ssh://{found['login'] or ''}{found['host']}/{path}"
    elif url.startswith("/"):
        url = f"file://{url}"
    try:
        checked = check_git_url(url)
    except InputError as error:
        raise SourceError(f"{parent}: a submodule: {error}") from error
    if checked.startswith("file:") and parts.scheme != "file":
        raise SourceError(
            f"{parent}: a submodule lies in {checked}, a folder of this machine",
            hint="Take the submodule out, or name those that are wanted",
        )
    return checked
