"""The host part of a sandbox: what is let in, and its fingerprint by content.

Everything that a build can see of the machine is in the fingerprint, file by file,
by content and by the place at which it is seen. Times, owners and inodes are not;
they only tell which files need not be read again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fromager.derivations.building.homes import EMPTY, home_folder, make_homes
from fromager.derivations.building.parts import Part, identify
from fromager.derivations.building.sandbox import Mount
from fromager.derivations.building.scan import (
    Item,
    Listing,
    contents,
    folder_states,
    scan,
    states,
)
from fromager.derivations.building.toolchain import BIN, Machine, Toolchain, discover
from fromager.store import Digest, blob_digest, derived_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.derivations.building.facts import Facts
    from fromager.derivations.interpreter import Interpreter

_NAMESPACE: Final = "platform/1"
_FILES_NAMESPACE: Final = "platform-files/1"
_CONTEXT: Final = "fromager derivations 2026-11 platform v1"
_KEY_PROGRAMS: Final = ("cc1", "cc1plus", "collect2", "libc.so.6")


@dataclass(frozen=True, slots=True)
class Platform:
    """The fingerprint of what is let in; its digest is in every build's key."""

    digest: Digest
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class HostBase:
    """A base that is this machine's own: what a sandbox mounts of it, and its name."""

    platform: Platform
    mounts: tuple[Mount, ...]
    links: tuple[tuple[str, str], ...]
    path: str
    """The folders of programs, as in `PATH`."""


def host_platform(
    interpreter: Interpreter, cache_folder: Path, facts: Facts, *, thorough: bool
) -> HostBase:
    """This machine as a base for builds with an interpreter.

    Not thorough, it looks at the status of folders and of the main files only:
    enough to name what was built before. Thorough, it looks at every file, and must
    come before anything is built. Only what changed is read again.

    Programs are copied to a folder below `cache_folder`, once per fingerprint.
    """
    record = _recall(facts, interpreter, cache_folder)
    if record is not None and not thorough:
        watched, main = record["folders"], record["main"]
        if record["quick"] == _signature(folder_states(watched, main)):
            return _load(record)
    toolchain = discover(interpreter, Machine())
    listing = _scan(toolchain)
    full = _signature(
        states(listing.items) + repr((toolchain.programs, toolchain.links)).encode()
    )
    if record is not None and record["full"] == full:
        base = _load(record)
    else:
        base = _identify(interpreter, toolchain, listing, cache_folder, facts)
    _remember(facts, interpreter, cache_folder, toolchain, listing, full, base)
    return base


def _scan(toolchain: Toolchain) -> Listing:
    sources = [p.source for p in toolchain.programs if p.source is not None]
    places = [*toolchain.folders, *toolchain.copies, *toolchain.files, *sources]
    return scan(places, toolchain.hidden)


def _identify(
    interpreter: Interpreter,
    toolchain: Toolchain,
    listing: Listing,
    cache_folder: Path,
    facts: Facts,
) -> HostBase:
    digests = contents(listing.items, _known(facts, interpreter))
    parts = identify(interpreter, toolchain, listing.items, digests)
    summary = [(part.name, str(part.digest)) for part in parts]
    digest = derived_digest(
        _CONTEXT, json.dumps([summary, toolchain.links, toolchain.hidden]).encode()
    )
    folder = make_homes(toolchain, cache_folder / f"host-{digest.hex[:32]}")
    _remember_files(facts, interpreter, listing.items, digests)
    return HostBase(
        Platform(digest, parts),
        _mounts(toolchain, folder),
        toolchain.links,
        f"{BIN}:/bin",
    )


def _mounts(toolchain: Toolchain, folder: Path) -> tuple[Mount, ...]:
    mounts = [Mount(str(home_folder(folder, home)), home) for home in toolchain.homes]
    mounts += [Mount(path, path) for path in (*toolchain.folders, *toolchain.files)]
    mounts += [Mount(str(folder / EMPTY), path) for path in toolchain.hidden]
    return tuple(sorted(mounts, key=lambda mount: mount.inside))


def _identity(interpreter: Interpreter) -> list[Any]:
    return [
        interpreter.executable,
        interpreter.prefix,
        interpreter.version,
        interpreter.stdlib,
        interpreter.platstdlib,
        list(interpreter.include),
        list(interpreter.libraries),
        interpreter.platform_tag,
    ]


def _recall(
    facts: Facts, interpreter: Interpreter, cache_folder: Path
) -> dict[str, Any] | None:
    content = facts.recall(_NAMESPACE, interpreter.executable)
    if content is None:
        return None
    try:
        record: dict[str, Any] = json.loads(content)
        if record["interpreter"] != _identity(interpreter):
            return None
        if record["cache"] != str(cache_folder):
            return None
        _load(record)
    except (ValueError, KeyError, TypeError):
        return None
    mounts = record["mounts"]
    if not all(
        Path(host).exists() for host, _ in mounts if host.startswith(record["cache"])
    ):
        return None
    return record


def _load(record: Mapping[str, Any]) -> HostBase:
    parts = tuple(
        Part(name, None if digest is None else Digest.parse(digest), detail)
        for name, digest, detail in record["parts"]
    )
    return HostBase(
        Platform(Digest.parse(record["platform"]), parts),
        tuple(Mount(host, inside) for host, inside in record["mounts"]),
        tuple((place, target) for place, target in record["links"]),
        record["path"],
    )


def _remember(
    facts: Facts,
    interpreter: Interpreter,
    cache_folder: Path,
    toolchain: Toolchain,
    listing: Listing,
    full: str,
    base: HostBase,
) -> None:
    folders = [*listing.folders, *toolchain.watched]
    main = [p.source for p in toolchain.programs if p.source is not None]
    main += [path for path in toolchain.copies if Path(path).is_file()]
    main += toolchain.files
    main += [
        item.path
        for item in listing.items
        if item.path.rpartition("/")[2] in _KEY_PROGRAMS
    ]
    record = {
        "interpreter": _identity(interpreter),
        "cache": str(cache_folder),
        "folders": folders,
        "main": main,
        "quick": _signature(folder_states(folders, main)),
        "full": full,
        "platform": str(base.platform.digest),
        "parts": [
            [part.name, None if part.digest is None else str(part.digest), part.detail]
            for part in base.platform.parts
        ],
        "mounts": [[mount.host, mount.inside] for mount in base.mounts],
        "links": base.links,
        "path": base.path,
    }
    content = json.dumps(record).encode()
    facts.remember(_NAMESPACE, interpreter.executable, content)


def _known(facts: Facts, interpreter: Interpreter) -> dict[str, tuple[str, Digest]]:
    content = facts.recall(_FILES_NAMESPACE, interpreter.executable)
    if content is None:
        return {}
    try:
        return {
            path: (status, Digest(bytes.fromhex(digest)))
            for path, status, digest in json.loads(content)
        }
    except (ValueError, TypeError):
        return {}


def _remember_files(
    facts: Facts,
    interpreter: Interpreter,
    items: tuple[Item, ...],
    digests: Mapping[str, Digest],
) -> None:
    rows = [
        [item.path, item.status, digests[item.path].hex]
        for item in items
        if item.path in digests
    ]
    content = json.dumps(rows).encode()
    facts.remember(_FILES_NAMESPACE, interpreter.executable, content)


def _signature(content: bytes) -> str:
    return blob_digest(content).hex
