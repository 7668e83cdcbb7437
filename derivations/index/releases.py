"""The releases of a project: what an index offers, by version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fromager.derivations.index.page import ProjectFile, ProjectPage

SDIST_SUFFIXES: Final = (".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".zip")
"""What source archives end in, the preferred one (PEP 625) first."""


@dataclass(frozen=True, slots=True)
class Release:
    """A version of a project, as far as an index has it."""

    version: Version
    sdist: ProjectFile | None
    """Its source distribution; None if it exists as wheels only."""
    wheels: int
    """How many wheels it has."""
    yanked: str | None
    """Why it was yanked (PEP 592): the sdist, or all wheels where there is none."""

    @property
    def wheel_only(self) -> bool:
        """Whether it exists, but without its source."""
        return self.sdist is None


def releases(page: ProjectPage) -> tuple[Release, ...]:
    """All versions that can be read from the names of a page's files, newest first.

    Files of other projects, and names without a valid version (PEP 440), are left
    out. Of several sdists the preferred one counts, those not yanked first.
    """
    versions: dict[str, Version | None] = {}
    sdists: dict[Version, list[ProjectFile]] = {}
    wheels: dict[Version, list[ProjectFile]] = {}
    for file in page.files:
        is_wheel = file.filename.endswith(".whl")
        text = _version_text(file.filename, page.project, is_wheel)
        if text is None:
            continue
        if text not in versions:
            versions[text] = _parse(text)
        version = versions[text]
        if version is not None:
            (wheels if is_wheel else sdists).setdefault(version, []).append(file)
    return tuple(
        _release(version, sdists.get(version, ()), wheels.get(version, ()))
        for version in sorted({*sdists, *wheels}, reverse=True)
    )


def sdists(page: ProjectPage) -> Mapping[Version, ProjectFile]:
    """The source distribution of each version that has one, newest first."""
    return {
        release.version: release.sdist
        for release in releases(page)
        if release.sdist is not None
    }


def sdist_version(filename: str, project: str) -> Version | None:
    """The version in an sdist's name, given the project's normalised name.

    Names from before PEP 625 are understood: `Foo_Bar-1.0.zip` is `foo-bar`'s.
    """
    text = _version_text(filename, project, False)
    return None if text is None else _parse(text)


def _release(
    version: Version, sdists: Iterable[ProjectFile], wheels: Iterable[ProjectFile]
) -> Release:
    sdist = min(sdists, key=_preference, default=None)
    reasons = [wheel.yanked for wheel in wheels]
    if sdist is not None:
        yanked = sdist.yanked
    else:
        yanked = None if None in reasons else reasons[0]
    return Release(version, sdist, len(reasons), yanked)


def _preference(file: ProjectFile) -> tuple[bool, int, str]:
    rank = next(i for i, s in enumerate(SDIST_SUFFIXES) if file.filename.endswith(s))
    return file.yanked is not None, rank, file.filename


def _version_text(filename: str, project: str, is_wheel: bool) -> str | None:
    if is_wheel:
        parts = filename.split("-", 2)
        if len(parts) != 3 or canonicalize_name(parts[0]) != project:
            return None
        return parts[1].replace("_", "-")
    suffix = next((s for s in SDIST_SUFFIXES if filename.endswith(s)), None)
    if suffix is None:
        return None
    stem = filename[: -len(suffix)]
    # A name of several words may hold hyphens, and so may a version (1.0-1): only
    # the project's own name tells where the one ends and the other begins.
    end = stem.find("-", len(project))
    while end >= 0:
        if canonicalize_name(stem[:end]) == project:
            return stem[end + 1 :]
        end = stem.find("-", end + 1)
    return None


def _parse(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
