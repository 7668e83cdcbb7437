"""Which files of an index say that there is a version, as settings have it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from fromager.derivations.realising.prebuilt import best_wheels, platform_ranks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from packaging.version import Version

    from fromager.derivations.customisation.customisation import Customisation
    from fromager.derivations.customisation.effects import Effects
    from fromager.derivations.index.page import ProjectFile, ProjectPage
    from fromager.derivations.resolution.candidate import ProjectReleases, Release

_SETTINGS: Final = ("include-sdists", "include-wheels")


def with_version_files(
    project: ProjectReleases,
    page: ProjectPage,
    customisation: Customisation,
    tags: Sequence[str],
) -> ProjectReleases:
    """The releases whose versions count; `tags` are what the interpreter can install.

    A version of which there are only wheels can be chosen where settings say where
    its source is fetched from: the wheel is never taken.
    """
    rules = customisation.rules(project.name)
    if not any(a.setting in _SETTINGS for rule in rules for a in rule.assignments):
        return project
    fitting = best_wheels(page, platform_ranks(tags))
    wheels = {**best_wheels(page, None), **fitting}
    found = []
    for release in project.releases:
        effects = customisation.effects(project.name, release.version)
        known = wheels if effects.ignore_platform else fitting
        kept = _counted(release, effects, known)
        if kept is not None:
            found.append(kept)
    return replace(project, releases=tuple(found))


def _counted(
    release: Release, effects: Effects, wheels: Mapping[Version, ProjectFile]
) -> Release | None:
    if effects.include_sdists and not release.wheel_only:
        return release
    wheel = wheels.get(release.version) if effects.include_wheels else None
    if wheel is None:
        # That there are wheels only is told where nothing else was asked for.
        told = release.wheel_only and not effects.include_wheels
        return release if told else None
    if not release.wheel_only or not effects.has_own_source:
        return release
    return replace(
        release,
        wheel_only=False,
        requires_python=wheel.requires_python,
        upload_time=wheel.upload_time,
    )
