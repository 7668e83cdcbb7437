"""Versions out of git tags, and the variables by which build backends are told them.

A backend that takes its version from git finds no repository in the sandbox. What it
would have found is worked out here, after the rules of setuptools-scm: the version of
a tag; between tags the next one, as a development release that names the commit.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Iterable

COMMIT_DIGITS: Final = 9
"""Digits of a commit in a local version; fixed, as git's own number of them grows with
a repository."""

_TAG: Final = re.compile(
    r"(?:.*[/@]|(?!\d)[\w.]+(?:-[\w.]+)*?-)?[vV]?(?P<version>\d.*)"
)
_LAST_NUMBER: Final = re.compile(r"(.*\D|)(\d+)(\D*)")


def version_of_tag(tag: str) -> Version | None:
    """The version that a tag names: `1.2`, `v1.2`, `demo-1.2`, `release/1.2`."""
    found = _TAG.fullmatch(tag)
    if found is None:
        return None
    try:
        return Version(found["version"])
    except InvalidVersion:
        return None


def newest_version(tags: Iterable[str]) -> Version | None:
    """The greatest version that one of these tags names."""
    found = [version for tag in tags if (version := version_of_tag(tag)) is not None]
    return max(found, default=None)


def development_version(
    tagged: Version | None, distance: int, commit: str, *, changed: bool = False
) -> Version:
    """The version of a commit, `distance` commits after the one that is tagged.

    `changed` is for a working folder that is not what its commit says.
    """
    if tagged is not None and not distance and not changed:
        return tagged
    guess = "0.1" if tagged is None else _next(tagged)
    local = f"g{commit[:COMMIT_DIGITS]}" + (".changed" if changed else "")
    return Version(f"{guess}.dev{distance}+{local}")


def _next(version: Version) -> str:
    """The version that probably comes after one: its last number raised."""
    if version.dev is not None:
        return version.public.rpartition(".dev")[0]
    text = version.public
    if version.post is not None:
        text = text.rpartition(".post")[0]
    found = _LAST_NUMBER.fullmatch(text)
    assert found is not None
    before, number, after = found.groups()
    return f"{before}{int(number) + 1}{after}"


def version_variables(
    name: str | None, version: Version
) -> tuple[tuple[str, str], ...]:
    """Variables that tell a version to backends that would ask git for it, sorted.

    Those of setuptools-scm (and hatch-vcs, flit-scm, vcs-versioning), pbr, pdm-backend
    and poetry-dynamic-versioning.
    """
    text = str(version)
    found = {
        "PBR_VERSION": text,
        "PDM_BUILD_SCM_VERSION": text,
        "POETRY_DYNAMIC_VERSIONING_BYPASS": text,
        "SETUPTOOLS_SCM_PRETEND_VERSION": text,
    }
    if name is not None:
        own = canonicalize_name(name).replace("-", "_").upper()
        found[f"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_{own}"] = text
    return tuple(sorted(found.items()))
