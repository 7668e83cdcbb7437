"""Versions that are tags of a repository: which tags count, and what is taken of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from packaging.version import InvalidVersion, Version

from fromager.derivations.errors import InputError
from fromager.derivations.sources.direct import (
    ArchiveSource,
    GitSource,
    check_git_url,
)
from fromager.derivations.sources.versions_of_tags import version_of_tag

if TYPE_CHECKING:
    from fromager.derivations.sources.direct import DirectSource

_FIELDS: Final = re.compile(r"\{(\w+)\}")


class TagProvider(Enum):
    """Who tells the tags of a repository."""

    GIT = "git"
    """The repository itself; it knows no page, limit or token of an API."""
    GITHUB = "github"
    GITLAB = "gitlab"


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag of a repository."""

    name: str
    commit: str
    """In full."""


@dataclass(frozen=True, slots=True)
class TagRule:
    """Where a project's versions are tags, and how they are read."""

    provider: TagProvider
    project: str
    """`owner/name`, a path with groups on GitLab, or the address of a repository."""
    tag: str = ""
    """What a tag looks like: `v{version}`. Empty: in the usual ways, `v1.0`, `demo-1.0`."""
    pattern: str = ""
    """The same as a regular expression of the whole tag with one group, the version."""
    clone_url: str = ""
    """Where the repository is; empty for where the provider has it."""
    archive: str = ""
    """The address of an archive to take instead, with `{tag}`, `{version}`, `{commit}`
    or `{project}`; empty to take the commit."""
    subdirectory: str = ""
    submodules: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.tag and self.pattern:
            raise InputError("a rule for tags has a template or a pattern, not both")
        if self.tag and _FIELDS.findall(self.tag) != ["version"]:
            raise InputError(
                f"the template {self.tag!r} for tags must hold {{version}} once"
            )
        if self.pattern and self._pattern().groups != 1:
            raise InputError(
                f"the pattern {self.pattern!r} for tags must have one group"
            )
        unknown = set(_FIELDS.findall(self.archive)) - {
            *("tag", "version", "commit", "project")
        }
        if unknown:
            raise InputError(f"{self.archive!r}: {min(unknown)!r} is not known")

    def version(self, tag: str) -> Version | None:
        """The version that a tag stands for; None if it stands for none."""
        if not self.tag and not self.pattern:
            return version_of_tag(tag)
        found = self._pattern().fullmatch(tag)
        if found is None or not found[1]:
            return None
        try:
            return Version(found[1])
        except InvalidVersion:
            return None

    def source(self, tag: Tag, version: Version, server: str) -> DirectSource:
        """What is built for a tag; `server` is the address of the provider.

        Raises:
            InputError: the addresses that the rule gives are none.
        """
        if self.archive:
            values = {
                "tag": quote(tag.name, safe="/"),
                "version": str(version),
                "commit": tag.commit,
                "project": self.project,
            }
            url = _FIELDS.sub(lambda found: values[found[1]], self.archive)
            return ArchiveSource(url, None, self.subdirectory)
        return GitSource(
            self.repository(server), tag.commit, self.subdirectory, self.submodules
        )

    def repository(self, server: str) -> str:
        """The address of the repository.

        Raises:
            InputError: it is none.
        """
        if self.clone_url:
            return check_git_url(self.clone_url)
        if self.provider is TagProvider.GIT:
            return check_git_url(self.project)
        return check_git_url(f"{server.rstrip('/')}/{self.project}.git")

    def _pattern(self) -> re.Pattern[str]:
        if self.tag:
            before, _, after = self.tag.partition("{version}")
            return re.compile(f"{re.escape(before)}(.+){re.escape(after)}")
        try:
            return re.compile(self.pattern)
        except re.error as error:
            raise InputError(
                f"the pattern {self.pattern!r} for tags: {error}"
            ) from error
