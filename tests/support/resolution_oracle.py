"""What a resolution must be, said again without the resolver: slow, and simple."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from fromager.derivations.resolution.request import Prereleases

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from packaging.requirements import Requirement

    from fromager.derivations.resolution.candidate import Knowledge, Release
    from fromager.derivations.resolution.request import Request


def solutions(
    request: Request, knowledge: Knowledge, *, strict: bool
) -> Iterator[dict[str, Version]]:
    """All sets of versions that satisfy a request, found by trying each there is."""
    names = list(knowledge.projects)
    choices = [[release.version for release in _files(n, knowledge)] for n in names]
    for versions in product(*(one or [Version("0")] for one in choices)):
        chosen = dict(zip(names, versions, strict=True))
        needed = closure(chosen, request, knowledge, strict=strict)
        if needed is not None:
            yield needed


def closure(
    versions: dict[str, Version],
    request: Request,
    knowledge: Knowledge,
    *,
    strict: bool = False,
) -> dict[str, Version] | None:
    """What of these versions a request needs; None if they do not satisfy it.

    Strictly, each requirement for itself must allow a pre-release or a yanked release;
    else it is enough that all of them together do.
    """
    wanted: dict[str, list[SpecifierSet]] = {}
    given: dict[str, list[SpecifierSet]] = {}
    seen: set[tuple[str, str]] = set()
    pending = [g.requirement for g in request.requirements]
    pending = [one for one in pending if _applies(one, request, "")]
    for requirement in (*pending, *(g.requirement for g in request.constraints)):
        name = canonicalize_name(requirement.name)
        given.setdefault(name, []).append(requirement.specifier)
    while pending:
        requirement = pending.pop()
        name = canonicalize_name(requirement.name)
        if name not in versions:
            return None
        wanted.setdefault(name, []).append(requirement.specifier)
        for extra in ("", *requirement.extras):
            if (name, extra) not in seen:
                seen.add((name, extra))
                needs = _needs(name, versions[name], extra, request, knowledge)
                if needs is None:
                    return None
                pending += needs
    for project, specifiers in wanted.items():
        limits = given.get(project, [])
        groups = [[one, *limits] for one in specifiers]
        if not strict:
            groups = [[*specifiers, *limits]]
        files = _files(project, knowledge)
        if not all(_allowed(versions[project], g, request, files) for g in groups):
            return None
    return {project: versions[project] for project in wanted}


def _needs(
    name: str, version: Version, extra: str, request: Request, knowledge: Knowledge
) -> list[Requirement] | None:
    metadata = knowledge.metadata.get((name, version))
    if metadata is None or metadata.problem is not None:
        return None
    python = request.markers["python_full_version"]
    if metadata.requires_python and python not in metadata.requires_python:
        return None
    return [one for one in metadata.requires_dist if _applies(one, request, extra)]


def _applies(requirement: Requirement, request: Request, extra: str) -> bool:
    marker = requirement.marker
    return marker is None or marker.evaluate({**request.markers, "extra": extra})


def _allowed(
    version: Version,
    specifiers: Sequence[SpecifierSet],
    request: Request,
    files: Sequence[Release],
) -> bool:
    python = request.markers["python_full_version"]
    fitting = [
        file
        for file in files
        if not file.wheel_only
        and python in SpecifierSet(file.requires_python or "")
        and all(one.contains(file.version, prereleases=True) for one in specifiers)
    ]
    chosen = [file for file in fitting if file.version == version]
    if not chosen:
        return False
    if (
        version.is_prerelease
        and request.prereleases is Prereleases.IF_NECESSARY
        and not any(one.prereleases for one in specifiers)
        and not all(file.version.is_prerelease for file in fitting)
    ):
        return False
    exact = any(
        part.operator in ("==", "===") and "*" not in part.version
        for one in specifiers
        for part in one
    )
    return exact or any(file.yanked is None for file in chosen)


def _files(name: str, knowledge: Knowledge) -> tuple[Release, ...]:
    project = knowledge.projects[name]
    return () if project is None else project.releases
