"""Reading a lock: every value is checked, since people merge these files by hand."""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from fromager.derivations.errors import InputError
from fromager.derivations.locking.errors import InvalidLock
from fromager.derivations.locking.lock import (
    Lock,
    LockedBuild,
    LockedFile,
    LockedPlace,
    LockedPlatform,
    LockedRelease,
    LockedRequest,
    LockedSet,
)
from fromager.derivations.locking.places import (
    is_direct,
    read_path,
    read_requirement,
    recorded,
)
from fromager.derivations.locking.writing import LOCK_VERSION, TOOL_VERSION
from fromager.derivations.sources.direct import (
    COMMIT,
    ArchiveSource,
    FolderSource,
    GitSource,
    check_git_url,
    check_subdirectory,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.derivations.sources.direct import DirectSource

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_CONTENT: Final = re.compile(r"blake3:[0-9a-f]{64}")
_PLACES: Final = ("vcs", "directory", "archive")
ROOT: Final = Path("/")
_LIMITS: Final = (
    "exclude-newer",
    "exclude-newer-package",
    "min-age",
    "min-age-package",
)
_BUILT: Final = (
    "it is that of a collection, which names wheels that were built, and no sources"
)
_NOT_OURS: Final = "it was not made by this program: it has no table [tool.fromager]"


def parse_lock(text: str, origin: str = "", folder: Path = ROOT) -> Lock:
    """The lock that `format_lock` wrote; `origin` names it in errors, `folder` is the
    one that it lies in.

    Raises:
        InvalidLock: anything else.
    """
    try:
        return _lock(tomllib.loads(text), folder)
    except InvalidLock as error:
        raise InvalidLock(error.reason, origin=origin) from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidLock(f"it is no TOML: {error}", origin=origin) from error


def _lock(table: Mapping[str, Any], folder: Path) -> Lock:
    version = table.get("lock-version")
    if version != LOCK_VERSION:
        raise InvalidLock(f"its version is {version!r}, not {LOCK_VERSION!r}")
    tools = table.get("tool")
    own = tools.get("fromager") if isinstance(tools, dict) else None
    if not isinstance(own, dict):
        raise InvalidLock(_NOT_OURS)
    if "collection" in own:
        raise InvalidLock(_BUILT)
    if own.get("version") != TOOL_VERSION:
        reason = f"its table is of version {own.get('version')!r}"
        raise InvalidLock(f"{reason}, and {TOOL_VERSION} is understood")
    installed = _tables(table, "packages")
    build_only = _tables(own, "tools")
    platforms = _platforms(own)
    wheels: dict[str, list[str]] = {each.name: [] for each in platforms}
    builds: dict[str, dict[str, LockedBuild]] = {each.name: {} for each in platforms}
    releases = []
    for package in installed:
        extra = _table(_table(package, "tool"), "fromager")
        needs = tuple(_text(each, "name") for each in _tables(package, "dependencies"))
        release = _release({**extra, **package}, extra, needs, folder)
        releases.append(release)
        for name in _texts(extra, "platforms") or tuple(wheels):
            if name not in wheels:
                raise InvalidLock(f"{release.subject} is for an unknown {name}")
            wheels[name].append(release.subject)
        _add_builds(builds, release.subject, extra)
    for package in build_only:
        needs = _texts(package, "dependencies")
        release = _release(package, package, needs, folder)
        releases.append(release)
        _add_builds(builds, release.subject, package)
    return Lock(
        _request(own, folder),
        tuple(sorted(releases, key=lambda each: (each.name, each.version))),
        tuple(
            LockedSet(each, tuple(sorted(wheels[each.name])), builds[each.name])
            for each in platforms
        ),
    )


def _release(
    table: Mapping[str, Any],
    extra: Mapping[str, Any],
    dependencies: tuple[str, ...],
    folder: Path,
) -> LockedRelease:
    name = _text(table, "name")
    if canonicalize_name(name) != name:
        raise InvalidLock(f"the name {name!r} is not normalised")
    try:
        version = Version(_text(table, "version"))
    except InvalidVersion as error:
        raise InvalidLock(f"{name}: {error}") from error
    return LockedRelease(
        name,
        version,
        _origin(table, extra, name, folder),
        _optional(table, "index"),
        _optional(table, "requires-python"),
        _texts(extra, "extras"),
        dependencies,
    )


def _origin(
    table: Mapping[str, Any], extra: Mapping[str, Any], name: str, folder: Path
) -> LockedFile | LockedPlace:
    places = [kind for kind in _PLACES if kind in table]
    if len(places) + len(_list(table, "wheels", dict)) + ("sdist" in table) != 1:
        raise InvalidLock(f"{name} has not exactly one file")
    if not places:
        return _file(table, name)
    row = _table(table, places[0])
    content = _optional(extra, "content")
    if (content is None) != (places[0] == "archive"):
        raise InvalidLock(f"{name} has no content, or should not have one")
    if content is not None and not _CONTENT.fullmatch(content):
        raise InvalidLock(f"{name} has an invalid content")
    pairs = (text.partition("=") for text in _texts(extra, "variables"))
    return LockedPlace(
        _source(places[0], row, extra, name, folder),
        content,
        _optional(row, "requested-revision"),
        tuple(sorted((variable, value) for variable, _, value in pairs)),
    )


def _source(
    kind: str,
    row: Mapping[str, Any],
    extra: Mapping[str, Any],
    name: str,
    folder: Path,
) -> DirectSource:
    below = _optional(row, "subdirectory") or ""
    try:
        match kind:
            case "directory":
                return FolderSource(read_path(_text(row, "path"), folder))
            case "archive":
                url = _optional(row, "url")
                if url is None:
                    url = Path(read_path(_text(row, "path"), folder)).as_uri()
                elif urlsplit(url).scheme not in ("http", "https", "file"):
                    raise InvalidLock(f"{name} has an archive at {url!r}")
                sha256 = _sha256(row, name)
                return ArchiveSource(url, sha256, check_subdirectory(below, name))
        commit = _text(row, "commit-id")
        if row.get("type") != "git" or not COMMIT.fullmatch(commit):
            raise InvalidLock(f"{name} is at no commit of git")
        given = extra.get("submodules")
        modules = None if given is None else _texts(extra, "submodules")
        url = check_git_url(_text(row, "url"))
        return GitSource(url, commit, check_subdirectory(below, name), modules)
    except InputError as error:
        raise InvalidLock(f"{name}: {error}") from error


def _file(table: Mapping[str, Any], name: str) -> LockedFile:
    wheels = _list(table, "wheels", dict)
    sdist = table.get("sdist")
    row = _table(table, "sdist") if sdist is not None else wheels[0]
    sha256 = _sha256(row, name)
    filename = _text(row, "name")
    if "/" in filename or filename.startswith("."):
        raise InvalidLock(f"{name} has a file with the name {filename!r}")
    size, uploaded = row.get("size"), row.get("upload-time")
    if isinstance(uploaded, datetime):
        uploaded = uploaded.replace(tzinfo=uploaded.tzinfo or UTC)
    return LockedFile(
        filename,
        _text(row, "url"),
        sha256,
        size if isinstance(size, int) else None,
        uploaded if isinstance(uploaded, datetime) else None,
        prebuilt=bool(wheels),
    )


def _sha256(row: Mapping[str, Any], name: str) -> str:
    sha256 = _text(_table(row, "hashes"), "sha256")
    if not _SHA256.fullmatch(sha256):
        raise InvalidLock(f"{name} has an invalid sha256")
    return sha256


def _add_builds(
    builds: Mapping[str, dict[str, LockedBuild]], subject: str, table: Mapping[str, Any]
) -> None:
    for platform, build in _table(table, "builds").items():
        if platform not in builds or not isinstance(build, dict):
            raise InvalidLock(f"{subject} is built on an unknown {platform}")
        environment = tuple(sorted(_texts(build, "environment")))
        builds[platform][subject] = LockedBuild(_optional(build, "source"), environment)


def _platforms(own: Mapping[str, Any]) -> list[LockedPlatform]:
    found = []
    for name, table in sorted(_table(own, "platforms").items()):
        if not isinstance(table, dict):
            raise InvalidLock(f"{name} is no platform")
        markers = {key: _text(table, key) for key in sorted(table) if key != "python"}
        found.append(
            LockedPlatform(name, _text(table, "python"), tuple(markers.items()))
        )
    if not found:
        raise InvalidLock("it is for no platform")
    return found


def _request(own: Mapping[str, Any], folder: Path) -> LockedRequest:
    wanted, limits = _texts(own, "requirements"), _texts(own, "constraints")
    direct, direct_limits = (
        recorded(read_requirement(text, folder) for text in texts if is_direct(text))
        for texts in (wanted, limits)
    )
    return LockedRequest(
        tuple(text for text in wanted if not is_direct(text)),
        tuple(text for text in limits if not is_direct(text)),
        _texts(own, "build-constraints"),
        own.get("prereleases") is True,
        _text(own, "variant"),
        _texts(own, "indexes"),
        tuple(
            (name, own[name])
            for name in _LIMITS
            if isinstance(own.get(name), int | str)
        ),
        direct,
        direct_limits,
    )


def _tables(table: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    return _list(table, name, dict)


def _list(table: Mapping[str, Any], name: str, kind: type) -> list[Any]:
    value = table.get(name, [])
    if not isinstance(value, list) or not all(isinstance(v, kind) for v in value):
        raise InvalidLock(f"{name} is no list of {kind.__name__}")
    return value


def _table(table: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = table.get(name, {})
    if not isinstance(value, dict):
        raise InvalidLock(f"{name} is no table")
    return value


def _texts(table: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return tuple(_list(table, name, str))


def _text(table: Mapping[str, Any], name: str) -> str:
    value = table.get(name)
    if not isinstance(value, str):
        raise InvalidLock(f"{name} is missing, or no text")
    return value


def _optional(table: Mapping[str, Any], name: str) -> str | None:
    return None if name not in table else _text(table, name)
