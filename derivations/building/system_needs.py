"""What a package needs of the machine: looked for before its build, named in its key."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fromager.derivations.building.scan import contents, scan, states
from fromager.derivations.customisation.values import Opening, SystemKind, SystemNeed
from fromager.derivations.errors import BuildError
from fromager.store import Digest, blob_digest, derived_digest, stream_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fromager.derivations.building.facts import Facts
    from fromager.derivations.building.machine_view import MachineView

_CONTEXT: Final = "fromager derivations 2026-11 opening v1"
_NAMESPACE: Final = "opening/1"
_FIXED: Final = ("/build", "/env", "/fromager", "/proc", "/dev", "/etc", "/tmp")
_COMPARED: Final = re.compile(r"(\S+?)\s*(?:(>=|<=|=|>|<)\s*(\S+))?")


class SystemPackageMissing(BuildError):
    """The machine lacks what settings say that a package needs; nothing was begun."""

    def __init__(self, subject: str, lacking: Sequence[str]) -> None:
        super().__init__(
            subject,
            f"the machine lacks what it needs: {'; '.join(lacking)}",
            hint="Install the system packages that have it, headers included",
        )
        self.lacking = tuple(lacking)


def check_needs(
    subject: str, needs: Sequence[SystemNeed], view: MachineView
) -> tuple[dict[str, str], dict[str, str]]:
    """What names the needs in a key, and the programs that are to be copied.

    Raises:
        SystemPackageMissing: all that is missing.
    """
    found: dict[str, str] = {}
    programs: dict[str, str] = {}
    lacking = []
    for need in needs:
        place = _find(need, view)
        if isinstance(place, str):
            where = f" ({need.origin})" if need.origin else ""
            lacking.append(f"{place}{where}")
            continue
        found[f"{need.kind.value} {need.name}"] = str(_digest(place))
        inside = view.find(f"/usr/bin/{need.name}")
        if need.kind is SystemKind.COMMAND and inside is None:
            programs[need.name] = str(place)
    if lacking:
        raise SystemPackageMissing(subject, lacking)
    return found, programs


def check_openings(
    subject: str, openings: Sequence[Opening], view: MachineView, facts: Facts
) -> dict[str, str]:
    """What names the openings in a key: a device by its path, all else by content.

    Raises:
        SystemPackageMissing: one that is not there.
        BuildError: one that cannot be seen where it is wanted.
    """
    found = {}
    lacking = []
    for opening in openings:
        if not Path(opening.path).exists():
            lacking.append(f"{opening.path} ({opening.origin})")
            continue
        if opening.is_device:
            found[opening.at] = "device"
            continue
        _check_place(subject, opening, view)
        found[opening.at] = str(content_digest(opening.path, facts))
    if lacking:
        raise SystemPackageMissing(subject, lacking)
    return found


def _find(need: SystemNeed, view: MachineView) -> Path | str:
    """Where it lies on this machine, or what to say where it does not."""
    match need.kind:
        case SystemKind.PKG_CONFIG:
            return _pkg_config(need.name, view)
        case SystemKind.FILE:
            found = view.find(need.name)
            if found is not None:
                return found
            text = f"the file {need.name}"
            if Path(need.name).exists():
                return f"{text}, which is there but not let in: name it in `open`"
            return text
    inside = view.find(f"/usr/bin/{need.name}")
    for place in (inside, *map(Path, need.places)):
        if place is not None and place.is_file() and os.access(place, os.X_OK):
            return place.resolve()
    return f"the command {need.name}"


def _pkg_config(wanted: str, view: MachineView) -> Path | str:
    match = _COMPARED.fullmatch(wanted)
    if match is None:
        return f"pkg-config {wanted!r}, which is no name with a version"
    name, operator, version = match.groups()
    libraries = [*view.folders("/usr/lib"), "/usr/lib", "/usr/lib64", "/usr/share"]
    for folder in libraries:
        place = view.find(f"{folder}/pkgconfig/{name}.pc")
        if place is None:
            continue
        text = place.read_text(encoding="utf-8", errors="replace")
        there = re.search(r"^Version:\s*(\S+)", text, re.MULTILINE)
        if operator is None or (there and _compares(there[1], operator, version)):
            return place
        return f"pkg-config {wanted}, there is {there[1] if there else 'no version'}"
    return f"pkg-config {wanted}"


def _compares(there: str, operator: str, wanted: str) -> bool:
    a, b = _parts(there), _parts(wanted)
    return {
        ">=": a >= b,
        "<=": a <= b,
        "=": a == b,
        ">": a > b,
        "<": a < b,
    }[operator]


def _parts(version: str) -> list[tuple[bool, int, str]]:
    """As pkg-config compares: numbers as numbers, and above letters."""
    words = re.findall(r"\d+|[A-Za-z]+", version)
    return [(w.isdigit(), int(w) if w.isdigit() else 0, w) for w in words]


def _check_place(subject: str, opening: Opening, view: MachineView) -> None:
    at = opening.at
    if any(at == fixed or at.startswith(f"{fixed}/") for fixed in _FIXED):
        raise BuildError(
            subject,
            f"{opening.origin}: {at} belongs to the sandbox",
            hint="Give another place to see it at",
        )
    elsewhere = 'Give another place to see it at: { path = "…", at = "/opt/…" }'
    if (hidden := view.within(at)) is not None:
        raise BuildError(
            subject,
            f"{opening.origin}: {opening.path} cannot be seen at {at}: it would hide "
            f"{hidden}, which the sandbox has",
            hint=elsewhere,
        )
    mount = view.mount(at)
    if mount is not None and view.find(at) is None:
        raise BuildError(
            subject,
            f"{opening.origin}: {opening.path} cannot be seen at {at}: {mount.inside} "
            "is put together for the sandbox",
            hint=elsewhere,
        )


def content_digest(path: str, facts: Facts) -> Digest:
    """Names all that lies at and below a path; what did not change is not read."""
    listing = scan([path], [])
    state = blob_digest(states(listing.items)).hex
    remembered = facts.recall(_NAMESPACE, path)
    if remembered is not None:
        before, digest = json.loads(remembered)
        if before == state:
            return Digest.parse(digest)
    digests = contents(listing.items, {})
    lines = [
        f"{item.path[len(path) :]}\0{item.is_link:d}{item.is_executable:d}"
        f"\0{digests[item.path]}\n"
        for item in listing.items
        if item.path in digests
    ]
    found = derived_digest(_CONTEXT, "".join(lines).encode("utf-8", "surrogateescape"))
    facts.remember(_NAMESPACE, path, json.dumps([state, str(found)]).encode())
    return found


def _digest(place: Path) -> Digest:
    with place.open("rb") as file:
        return stream_digest(iter(lambda: file.read(1 << 20), b""))
