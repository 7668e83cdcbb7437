"""The part of upstream's modules that says which versions of a project there are.

Providers are described as values; whoever asked resolves with them. Tags are read
from the repository itself, which knows no page, limit or token of an API.

Standard library only, Python 3.9 or newer; `packaging` is among what plugins are given.
"""

from __future__ import annotations

import enum
import re
import subprocess
from importlib import import_module

# The typing module is not worth its time here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class RequirementType(enum.Enum):
    """Why a version is looked for."""

    INSTALL = "install"
    TOP_LEVEL = "toplevel"
    BUILD_SYSTEM = "build-system"
    BUILD_BACKEND = "build-backend"
    BUILD_SDIST = "build-sdist"


class BaseProvider:
    """Says which versions there are."""


class PyPIProvider(BaseProvider):
    """The files of a package index."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def described(self, name: str) -> dict[str, Any]:
        """As the one who asked reads it."""
        names = ("include_sdists", "include_wheels", "ignore_platform")
        given = {key: self.options[key] for key in names if key in self.options}
        index = self.options.get("sdist_server_url")
        return {"provider": "index", "index": index, **given}


class GenericProvider(BaseProvider):
    """Versions that a function gives."""

    def __init__(
        self, version_source: Any, constraints: Any = None, **options: Any
    ) -> None:
        self.source, self.matcher = version_source, options.get("matcher")

    def described(self, name: str) -> dict[str, Any]:
        """As the one who asked reads it."""
        found = []
        for item in self.source(name):
            url, text = item if isinstance(item, tuple) else (str(item), item)
            version = _version(self.matcher, name, text)
            if version is not None:
                found.append([str(version), str(url)])
        return {"provider": "versions", "versions": found}


class VersionMapProvider(GenericProvider):
    """Versions that a table gives."""

    def __init__(self, version_map: Any, **options: Any) -> None:
        super().__init__(lambda name: [(u, v) for v, u in version_map.items()])


class VersionMap(dict):  # type: ignore[type-arg]
    """A table of versions and what they are fetched by."""


class _Tags(BaseProvider):
    """The tags of a repository."""

    repository = ""
    matcher: Any = None

    def described(self, name: str) -> dict[str, Any]:
        """As the one who asked reads it."""
        found = {}
        for line in _tags(self.repository):
            commit, _, ref = line.partition("\trefs/tags/")
            tag = ref.removesuffix("^{}")
            version = _version(self.matcher, name, tag) if ref else None
            if version is not None:
                # The commit that a tag object stands for comes after it.
                found[tag] = [str(version), tag, commit]
        versions = list(found.values())
        return {
            "provider": "tags",
            "repository": self.repository,
            "versions": versions,
        }


class GitHubTagProvider(_Tags):
    """Of a project on GitHub."""

    def __init__(self, organization: str, repo: str, **options: Any) -> None:
        self.repository = f"https://github.com/{organization}/{repo}.git"
        self.matcher = options.get("matcher")


class GitLabTagProvider(_Tags):
    """Of a project on a GitLab server."""

    def __init__(
        self,
        project_path: str,
        server_url: str = "https://gitlab.com",
        **options: Any,
    ) -> None:
        self.repository = f"{server_url.rstrip('/')}/{project_path}.git"
        self.matcher = options.get("matcher")


def _version(matcher: Any, name: str, item: Any) -> Any:
    """The version that an item stands for, as the matcher has it; None if none."""
    versions = import_module("packaging.version")
    try:
        if isinstance(matcher, re.Pattern):
            found = matcher.match(str(item))
            return versions.Version(found[1]) if found else None
        if matcher is not None:
            return matcher(name, item)
        return versions.Version(str(item))
    except versions.InvalidVersion:
        return None


def _tags(repository: str) -> list[str]:
    command = ["git", "ls-remote", "--tags", "--", repository]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return done.stdout.decode("utf-8", "replace").splitlines()


MEMBERS = {
    each.__name__: each
    for each in (
        *(BaseProvider, GenericProvider, GitHubTagProvider, GitLabTagProvider),
        *(PyPIProvider, RequirementType, VersionMapProvider),
    )
}
