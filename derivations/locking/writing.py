"""A lock as text: a `pylock.toml` (PEP 751) with a table of this program's own.

What is installed stands where every installer looks for it; what builds it stands in
`[tool.fromager]`. The order is fixed and a list has one line for each of its items, so
that changes are small and merge well.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Final

from fromager.derivations.locking.lock import LockedPlace
from fromager.derivations.locking.places import (
    local_path,
    written_path,
    written_requirement,
)
from fromager.derivations.locking.toml import (
    basic_string,
    dependency_list,
    string_list,
)
from fromager.derivations.sources.direct import (
    ArchiveSource,
    FolderSource,
    GitSource,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from fromager.derivations.locking.lock import (
        Lock,
        LockedFile,
        LockedRelease,
        LockedRequest,
    )

LOCK_VERSION: Final = "1.0"
"""Of PEP 751."""
TOOL_VERSION: Final = 1
"""Of the table `[tool.fromager]`."""


def format_lock(lock: Lock, folder: Path | None = None) -> str:
    """The text of a lock that lies in a folder; equal locks give equal texts.

    Without a folder, paths of this machine are absolute.
    """
    installed = [each for each in lock.releases if lock.installed_on(each.subject)]
    tools = [each for each in lock.releases if each not in installed]
    blocks = [_head(lock)]
    for release in installed:
        blocks += _package(lock, release, folder)
    blocks += [_request(lock.request, folder)]
    blocks += [_platforms(lock)]
    for release in tools:
        blocks += _tool(lock, release, folder)
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _head(lock: Lock) -> list[str]:
    pythons = sorted(
        {locked.platform.python for locked in lock.sets},
        key=lambda text: [int(part) for part in text.split(".")],
    )
    requires = f"=={pythons[0]}.*" if len(pythons) == 1 else f">={pythons[0]}"
    return [
        "# Made by fromager: it is made anew by `fromager lock`, not by hand.",
        f"lock-version = {basic_string(LOCK_VERSION)}",
        *string_list("environments", (locked.platform.marker for locked in lock.sets)),
        f"requires-python = {basic_string(requires)}",
        'created-by = "fromager"',
    ]


def _package(
    lock: Lock, release: LockedRelease, folder: Path | None
) -> Iterator[list[str]]:
    where = lock.installed_on(release.subject)
    everywhere = len(where) == len(lock.sets)
    # A folder may hold another version by now: the standard forbids to name one.
    is_folder = _is_folder(release)
    names = _names(release)
    lines = ["[[packages]]", *(names[:1] if is_folder else names)]
    if not everywhere:
        markers = [s.platform.marker for s in lock.sets if s.platform.name in where]
        marker = markers[0]
        if len(markers) > 1:
            marker = " or ".join(f"({each})" for each in markers)
        lines.append(f"marker = {basic_string(marker)}")
    if release.requires_python:
        lines.append(f"requires-python = {basic_string(release.requires_python)}")
    lines += dependency_list(release.dependencies)
    yield [*lines, *_origin(release, folder)]
    own = names[1:] if is_folder else []
    own += [] if everywhere else string_list("platforms", where)
    own += string_list("extras", release.extras)
    own += _place_details(release)
    if own:
        yield ["[packages.tool.fromager]", *own]
    yield from _builds(lock, release, "packages.tool.fromager")


def _tool(
    lock: Lock, release: LockedRelease, folder: Path | None
) -> Iterator[list[str]]:
    lines = ["[[tool.fromager.tools]]", *_names(release)]
    if release.requires_python:
        lines.append(f"requires-python = {basic_string(release.requires_python)}")
    lines += string_list("dependencies", release.dependencies)
    lines += _origin(release, folder)
    lines += string_list("extras", release.extras)
    yield [*lines, *_place_details(release)]
    yield from _builds(lock, release, "tool.fromager.tools")


def _names(release: LockedRelease) -> list[str]:
    return [
        f"name = {basic_string(release.name)}",
        f"version = {basic_string(str(release.version))}",
    ]


def _origin(release: LockedRelease, folder: Path | None) -> list[str]:
    origin = release.origin
    if isinstance(origin, LockedPlace):
        return [_place(origin, folder)]
    lines = [] if release.index is None else [f"index = {basic_string(release.index)}"]
    row = _row(origin)
    return [*lines, f"wheels = [{row}]" if origin.prebuilt else f"sdist = {row}"]


def _place(place: LockedPlace, folder: Path | None) -> str:
    source, parts = place.source, {}
    path = local_path(source)
    where = None if path is None else written_path(path, folder)
    match source:
        case FolderSource():
            kind, parts = "directory", {"path": where}
        case GitSource():
            kind = "vcs"
            parts = {"type": "git", "url": source.url}
            parts |= {"requested-revision": place.requested, "commit-id": source.ref}
            parts |= {"subdirectory": source.subdirectory or None}
        case ArchiveSource():
            kind = "archive"
            parts = {"url": source.url} if where is None else {"path": where}
            parts |= {"subdirectory": source.subdirectory or None}
    texts = [f"{name} = {basic_string(text)}" for name, text in parts.items() if text]
    if isinstance(source, ArchiveSource):
        texts.append(f"hashes = {{ sha256 = {basic_string(source.sha256 or '')} }}")
    return f"{kind} = {{ {', '.join(texts)} }}"


def _place_details(release: LockedRelease) -> list[str]:
    """What the standard has no key for."""
    place = release.origin
    if not isinstance(place, LockedPlace):
        return []
    lines = []
    if place.content is not None:
        lines.append(f"content = {basic_string(place.content)}")
    if isinstance(place.source, GitSource) and place.source.submodules is not None:
        # An empty list means none, and is written so.
        lines += string_list("submodules", place.source.submodules) or [
            "submodules = []"
        ]
    return lines + string_list("variables", (f"{n}={v}" for n, v in place.variables))


def _is_folder(release: LockedRelease) -> bool:
    origin = release.origin
    return isinstance(origin, LockedPlace) and isinstance(origin.source, FolderSource)


def _row(file: LockedFile) -> str:
    parts = [f"name = {basic_string(file.filename)}"]
    if file.upload_time is not None:
        parts.append(f"upload-time = {_moment(file.upload_time)}")
    parts.append(f"url = {basic_string(file.url)}")
    if file.size is not None:
        parts.append(f"size = {file.size}")
    parts.append(f"hashes = {{ sha256 = {basic_string(file.sha256)} }}")
    return f"{{ {', '.join(parts)} }}"


def _builds(lock: Lock, release: LockedRelease, table: str) -> Iterator[list[str]]:
    for locked in lock.sets:
        build = locked.builds.get(release.subject)
        if build is not None:
            lines = [f"[{table}.builds.{locked.platform.name}]"]
            if build.source is not None:
                lines.append(f"source = {basic_string(build.source)}")
            yield [*lines, *string_list("environment", build.environment)]


def _request(request: LockedRequest, folder: Path | None) -> list[str]:
    direct, limits = (
        [written_requirement(each, folder) for each in given]
        for given in (request.direct, request.direct_constraints)
    )
    lines = [
        "[tool.fromager]",
        f"version = {TOOL_VERSION}",
        f"variant = {basic_string(request.variant)}",
        *string_list("requirements", (*request.requirements, *direct)),
        *string_list("constraints", (*request.constraints, *limits)),
        *string_list("build-constraints", request.build_constraints),
        *string_list("indexes", request.indexes),
    ]
    if request.prereleases:
        lines.append("prereleases = true")
    for name, value in request.limits:
        text = str(value) if isinstance(value, int) else basic_string(value)
        lines.append(f"{name} = {text}")
    return lines


def _platforms(lock: Lock) -> list[str]:
    lines: list[str] = []
    for locked in lock.sets:
        platform = locked.platform
        lines += ["", f"[tool.fromager.platforms.{platform.name}]"]
        lines.append(f"python = {basic_string(platform.python)}")
        lines += [f"{name} = {basic_string(value)}" for name, value in platform.markers]
    return lines[1:]


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
