"""A lock as text: a `pylock.toml` (PEP 751) with a table of this program's own.

What is installed stands where every installer looks for it; what builds it stands in
`[tool.fromager]`. The order is fixed and a list has one line for each of its items, so
that changes are small and merge well.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Final

from fromager.derivations.locking.toml import (
    basic_string,
    dependency_list,
    string_list,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

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


def format_lock(lock: Lock) -> str:
    """The text of a lock; equal locks give equal texts."""
    installed = [each for each in lock.releases if lock.installed_on(each.subject)]
    tools = [each for each in lock.releases if each not in installed]
    blocks = [_head(lock)]
    for release in installed:
        blocks += _package(lock, release)
    blocks += [_request(lock.request)]
    blocks += [_platforms(lock)]
    for release in tools:
        blocks += _tool(lock, release)
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


def _package(lock: Lock, release: LockedRelease) -> Iterator[list[str]]:
    where = lock.installed_on(release.subject)
    everywhere = len(where) == len(lock.sets)
    lines = ["[[packages]]", *_names(release)]
    if not everywhere:
        markers = [s.platform.marker for s in lock.sets if s.platform.name in where]
        marker = markers[0]
        if len(markers) > 1:
            marker = " or ".join(f"({each})" for each in markers)
        lines.append(f"marker = {basic_string(marker)}")
    if release.requires_python:
        lines.append(f"requires-python = {basic_string(release.requires_python)}")
    lines += dependency_list(release.dependencies)
    yield [*lines, *_file(release)]
    own = [] if everywhere else string_list("platforms", where)
    own += string_list("extras", release.extras)
    if own:
        yield ["[packages.tool.fromager]", *own]
    yield from _builds(lock, release, "packages.tool.fromager")


def _tool(lock: Lock, release: LockedRelease) -> Iterator[list[str]]:
    lines = ["[[tool.fromager.tools]]", *_names(release)]
    if release.requires_python:
        lines.append(f"requires-python = {basic_string(release.requires_python)}")
    lines += [*string_list("dependencies", release.dependencies), *_file(release)]
    yield [*lines, *string_list("extras", release.extras)]
    yield from _builds(lock, release, "tool.fromager.tools")


def _names(release: LockedRelease) -> list[str]:
    return [
        f"name = {basic_string(release.name)}",
        f"version = {basic_string(str(release.version))}",
    ]


def _file(release: LockedRelease) -> list[str]:
    lines = [] if release.index is None else [f"index = {basic_string(release.index)}"]
    row = _row(release.file)
    return [*lines, f"wheels = [{row}]" if release.file.prebuilt else f"sdist = {row}"]


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


def _request(request: LockedRequest) -> list[str]:
    lines = [
        "[tool.fromager]",
        f"version = {TOOL_VERSION}",
        f"variant = {basic_string(request.variant)}",
        *string_list("requirements", request.requirements),
        *string_list("constraints", request.constraints),
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
