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

from fromager.derivations.building.homes import (
    EMPTY,
    home_folder,
    is_in_home,
    make_homes,
)
from fromager.derivations.building.parts import Part, identify
from fromager.derivations.building.sandbox import Mount
from fromager.derivations.building.scan import (
    Item,
    Listing,
    contents,
    place_states,
    scan,
    states,
)
from fromager.derivations.building.toolchain import (
    BIN,
    THIS_MACHINE,
    Machine,
    Toolchain,
    discover,
)
from fromager.store import Digest, StoreError, blob_digest, derived_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fromager.derivations.building.facts import Facts
    from fromager.derivations.interpreter import Interpreter

_NAMESPACE: Final = "platform/1"
_FILES_NAMESPACE: Final = "platform-files/2"
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


def is_remembered(interpreter: Interpreter, facts: Facts) -> bool:
    """Whether anything was found out before with an interpreter; it may not hold."""
    return facts.recall(_NAMESPACE, interpreter.executable) is not None


def known_platform(
    interpreter: Interpreter,
    cache_folder: Path,
    facts: Facts,
    *,
    machine: Machine = THIS_MACHINE,
) -> HostBase | None:
    """What `host_platform` found before, if the folders and main files are the same."""
    record = _Memory(interpreter, cache_folder, facts).recall()
    if record is not None:
        watched = place_states(record["watched"], root=machine.prefix)
        if record["quick"] == _signature(watched):
            return _load(record)
    return None


def places_of_platform(
    interpreter: Interpreter, cache_folder: Path, facts: Facts
) -> tuple[str, ...]:
    """What `known_platform` looks at; nothing, if it knows nothing."""
    record = _Memory(interpreter, cache_folder, facts).recall()
    return () if record is None else tuple(map(str, record["watched"]))


def host_platform(
    interpreter: Interpreter,
    cache_folder: Path,
    facts: Facts,
    *,
    thorough: bool,
    machine: Machine = THIS_MACHINE,
) -> HostBase:
    """A machine as a base for builds with an interpreter.

    Not thorough, it looks at the status of folders and of the main files only:
    enough to name what was built before. Thorough, it looks at every file, and must
    come before anything is built. Only what changed is read again.

    Programs are copied to a folder below `cache_folder`, once per fingerprint.
    """
    if not thorough:
        known = known_platform(interpreter, cache_folder, facts, machine=machine)
        if known is not None:
            return known
    memory = _Memory(interpreter, cache_folder, facts)
    record = memory.recall()
    toolchain = discover(interpreter, machine)
    sources = [p.source for p in toolchain.programs if p.source is not None]
    places = [*toolchain.folders, *toolchain.copies, *toolchain.files, *sources]
    listing = scan(places, toolchain.hidden, root=machine.prefix)
    full = _signature(states(listing.items) + repr(toolchain).encode())
    if record is not None and record["full"] == full:
        base = _load(record)
    else:
        base = _identify(memory, machine, toolchain, listing)
    main = [i.path for i in listing.items if _name(i.path) in _KEY_PROGRAMS]
    singles = [path for path in toolchain.copies if machine.at(path).is_file()]
    singles += [*toolchain.files, *sources, *main]
    watched_places = [*listing.folders, *toolchain.watched, *singles]
    quick = _signature(place_states(watched_places, root=machine.prefix))
    memory.remember(base, {"watched": watched_places, "quick": quick, "full": full})
    return base


def _identify(
    memory: _Memory, machine: Machine, toolchain: Toolchain, listing: Listing
) -> HostBase:
    digests = contents(listing.items, memory.files(), root=machine.prefix)
    parts = identify(memory.interpreter, machine, toolchain, listing.items, digests)
    summary = [(part.name, str(part.digest)) for part in parts]
    digest = derived_digest(
        _CONTEXT, json.dumps([summary, toolchain.links, toolchain.hidden]).encode()
    )
    folder = memory.cache_folder / f"host-{digest.hex[:32]}"
    make_homes(toolchain, machine, folder)
    memory.remember_files(listing.items, digests)
    return HostBase(
        Platform(digest, parts),
        _mounts(toolchain, machine, folder),
        tuple(link for link in toolchain.links if not is_in_home(toolchain, link[0])),
        f"{BIN}:/bin",
    )


def _mounts(toolchain: Toolchain, machine: Machine, folder: Path) -> tuple[Mount, ...]:
    mounts = [Mount(str(home_folder(folder, home)), home) for home in toolchain.homes]
    own = (*toolchain.folders, *toolchain.files)
    mounts += [Mount(str(machine.at(path)), path) for path in own]
    mounts += [Mount(str(folder / EMPTY), path) for path in toolchain.hidden]
    return tuple(sorted(mounts, key=lambda mount: mount.inside))


@dataclass(frozen=True, slots=True)
class _Memory:
    """What is remembered of an interpreter's base between runs."""

    interpreter: Interpreter
    cache_folder: Path
    facts: Facts

    def recall(self) -> dict[str, Any] | None:
        """The last record, if it is of this interpreter and its folders are there."""
        content = self.facts.recall(_NAMESPACE, self.interpreter.executable)
        if content is None:
            return None
        try:
            record: dict[str, Any] = json.loads(content)
            if record["interpreter"] != self._identity():
                return None
            cache = f"{self.cache_folder}/"
            hosts = [m.host for m in _load(record).mounts if m.host.startswith(cache)]
        except (ValueError, KeyError, TypeError, StoreError):
            return None
        complete = hosts and all(Path(host).exists() for host in hosts)
        return record if complete and "watched" in record else None

    def remember(self, base: HostBase, signatures: Mapping[str, Any]) -> None:
        """Keep a base, and what tells that it still holds."""
        platform = base.platform
        record = {
            **signatures,
            "interpreter": self._identity(),
            "platform": str(platform.digest),
            "parts": [
                [part.name, part.digest and str(part.digest), part.detail]
                for part in platform.parts
            ],
            "mounts": [[mount.host, mount.inside] for mount in base.mounts],
            "links": base.links,
            "path": base.path,
        }
        content = json.dumps(record).encode()
        self.facts.remember(_NAMESPACE, self.interpreter.executable, content)

    def files(self) -> dict[str, tuple[bytes, Digest]]:
        """Status and digest of each file that was read before."""
        content = self.facts.recall(_FILES_NAMESPACE, self.interpreter.executable)
        try:
            return {
                path: (bytes.fromhex(status), Digest(bytes.fromhex(digest)))
                for path, status, digest in json.loads(content or b"[]")
            }
        except (ValueError, TypeError, StoreError):
            return {}

    def remember_files(
        self, items: Iterable[Item], digests: Mapping[str, Digest]
    ) -> None:
        """Keep what was read, so that it is read again only if it changes."""
        rows = [
            [item.path, item.status.hex(), digests[item.path].hex]
            for item in items
            if item.path in digests
        ]
        content = json.dumps(rows).encode()
        self.facts.remember(_FILES_NAMESPACE, self.interpreter.executable, content)

    def _identity(self) -> list[Any]:
        interpreter = self.interpreter
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


def _signature(content: bytes) -> str:
    return blob_digest(content).hex


def _name(path: str) -> str:
    return path.rpartition("/")[2]
