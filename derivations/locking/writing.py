"""A lock as text: a `pylock.toml` (PEP 751) with a table of this program's own.

What is installed stands where every installer looks for it; what builds it stands in
`[tool.fromager]`. The order is fixed and a list has one line for each of its items, so
that changes are small and merge well.
"""

from __future__ import annotations

import json
from datetime import UTC
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
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
        f"lock-version = {_text(LOCK_VERSION)}",
        *_list("environments", (locked.platform.marker for locked in lock.sets)),
        f"requires-python = {_text(requires)}",
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
        lines.append(f"marker = {_text(marker)}")
    if release.requires_python:
        lines.append(f"requires-python = {_text(release.requires_python)}")
    if release.dependencies:
        lines.append("dependencies = [")
        lines += [f"    {{ name = {_text(name)} }}," for name in release.dependencies]
        lines.append("]")
    yield [*lines, *_file(release)]
    own = [] if everywhere else _list("platforms", where)
    own += _list("extras", release.extras)
    if own:
        yield ["[packages.tool.fromager]", *own]
    yield from _builds(lock, release, "packages.tool.fromager")


def _tool(lock: Lock, release: LockedRelease) -> Iterator[list[str]]:
    lines = ["[[tool.fromager.tools]]", *_names(release)]
    if release.requires_python:
        lines.append(f"requires-python = {_text(release.requires_python)}")
    lines += [*_list("dependencies", release.dependencies), *_file(release)]
    yield [*lines, *_list("extras", release.extras)]
    yield from _builds(lock, release, "tool.fromager.tools")


def _names(release: LockedRelease) -> list[str]:
    return [
        f"name = {_text(release.name)}",
        f"version = {_text(str(release.version))}",
    ]


def _file(release: LockedRelease) -> list[str]:
    lines = [] if release.index is None else [f"index = {_text(release.index)}"]
    row = _row(release.file)
    return [*lines, f"wheels = [{row}]" if release.file.prebuilt else f"sdist = {row}"]


def _row(file: LockedFile) -> str:
    parts = [f"name = {_text(file.filename)}"]
    if file.upload_time is not None:
        parts.append(f"upload-time = {_moment(file.upload_time)}")
    parts.append(f"url = {_text(file.url)}")
    if file.size is not None:
        parts.append(f"size = {file.size}")
    parts.append(f"hashes = {{ sha256 = {_text(file.sha256)} }}")
    return f"{{ {', '.join(parts)} }}"


def _builds(lock: Lock, release: LockedRelease, table: str) -> Iterator[list[str]]:
    for locked in lock.sets:
        build = locked.builds.get(release.subject)
        if build is not None:
            lines = [f"[{table}.builds.{locked.platform.name}]"]
            if build.source is not None:
                lines.append(f"source = {_text(build.source)}")
            yield [*lines, *_list("environment", build.environment)]


def _request(request: LockedRequest) -> list[str]:
    lines = [
        "[tool.fromager]",
        f"version = {TOOL_VERSION}",
        f"variant = {_text(request.variant)}",
        *_list("requirements", request.requirements),
        *_list("constraints", request.constraints),
        *_list("build-constraints", request.build_constraints),
        *_list("indexes", request.indexes),
    ]
    if request.prereleases:
        lines.append("prereleases = true")
    for name, value in request.limits:
        text = str(value) if isinstance(value, int) else _text(value)
        lines.append(f"{name} = {text}")
    return lines


def _platforms(lock: Lock) -> list[str]:
    lines: list[str] = []
    for locked in lock.sets:
        platform = locked.platform
        lines += ["", f"[tool.fromager.platforms.{platform.name}]"]
        lines.append(f"python = {_text(platform.python)}")
        lines += [f"{name} = {_text(value)}" for name, value in platform.markers]
    return lines[1:]


def _list(name: str, texts: Iterable[str]) -> list[str]:
    items = [f"    {_text(text)}," for text in texts]
    return [f"{name} = [", *items, "]"] if items else []


def _text(text: str) -> str:
    """A basic string: what JSON escapes, TOML understands, but for one character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
