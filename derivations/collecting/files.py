"""The files of a collection beside its wheels: pure functions of what it is made from.

wheels/<file>.whl            the wheels, and beside each its METADATA (PEP 658)
simple/                      a simple index of them
graph.json                   what was asked for, what needs what, what is prebuilt
pylock.toml                  the wheels with their hashes (PEP 751)
constraints.txt              their versions
sets/<name>/pylock.toml      the last two for each set, if there are several
sets/<name>/constraints.txt
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fromager.derivations.collecting.overlaps import overlaps
from fromager.derivations.collecting.pages import IndexedWheel, index_pages
from fromager.derivations.core_metadata import parse_headers
from fromager.derivations.locking.toml import (
    basic_string,
    dependency_list,
    string_list,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fromager.derivations.collecting.overlaps import Identity, Overlap
    from fromager.derivations.collecting.plan import (
        CollectedSet,
        CollectedWheel,
        CollectionPlan,
        SetMember,
    )

GRAPH: Final = "graph.json"
GRAPH_VERSION: Final = 1
WHEELS: Final = "wheels"
WHY_PREBUILT: Final = "settings ask for the wheel that an index has (`prebuilt`)"


@dataclass(frozen=True, slots=True)
class WheelFacts:
    """What the bytes of a wheel tell."""

    sha256: str
    size: int
    """Bytes."""
    metadata: bytes
    """Its METADATA file."""
    files: Mapping[str, Identity]
    """By where they are installed, what tells contents apart."""

    @property
    def requires_python(self) -> str | None:
        """The versions of Python that it is for, as it says itself."""
        return parse_headers(self.metadata).first("requires-python")


def collection_files(
    plan: CollectionPlan, facts: Mapping[str, WheelFacts]
) -> Mapping[str, bytes]:
    """All files but the wheels, by path; `facts` are those of each wheel by subject."""
    indexed = [_indexed(wheel, facts[wheel.subject]) for wheel in plan.wheels]
    files = {
        f"{WHEELS}/{wheel.filename}.metadata": facts[wheel.subject].metadata
        for wheel in plan.wheels
    }
    pages = index_pages(indexed, f"../{WHEELS}")
    files.update((f"simple/{path}", page) for path, page in pages.items())
    files[GRAPH] = _graph(plan, facts)
    if plan.several:
        for label, each in zip(plan.labels, plan.sets, strict=True):
            below = f"sets/{label}"
            files[f"{below}/pylock.toml"] = _pylock(plan, each, facts, "../../")
            files[f"{below}/constraints.txt"] = _constraints(each)
    else:
        [only] = plan.sets
        files["pylock.toml"] = _pylock(plan, only, facts, "")
        files["constraints.txt"] = _constraints(only)
    return files


def overlaps_of(
    plan: CollectionPlan, facts: Mapping[str, WheelFacts]
) -> tuple[Overlap, ...]:
    """What wheels of one set install at the same place, with other contents."""
    sets = ([member.subject for member in each.members] for each in plan.sets)
    return overlaps(sets, {subject: each.files for subject, each in facts.items()})


def _indexed(wheel: CollectedWheel, facts: WheelFacts) -> IndexedWheel:
    return IndexedWheel(
        wheel.name,
        wheel.version,
        wheel.filename,
        facts.sha256,
        facts.size,
        facts.requires_python,
        hashlib.sha256(facts.metadata).hexdigest(),
    )


def _constraints(chosen: CollectedSet) -> bytes:
    return "".join(f"{member.subject}\n" for member in chosen.members).encode()


def _graph(plan: CollectionPlan, facts: Mapping[str, WheelFacts]) -> bytes:
    platform = plan.platform
    value = {
        "version": GRAPH_VERSION,
        "kind": "several" if plan.several else "single",
        "platform": {
            "name": platform.name,
            "python": platform.python,
            "markers": dict(platform.markers),
        },
        "sets": [
            {
                **({"name": label} if plan.several else {}),
                "requested": list(each.requested),
                "members": {member.subject: _edges(member) for member in each.members},
            }
            for label, each in zip(plan.labels, plan.sets, strict=True)
        ],
        "wheels": {
            wheel.subject: _wheel_row(wheel, facts[wheel.subject])
            for wheel in plan.wheels
        },
        "prebuilt": [
            {
                "wheel": wheel.subject,
                "why": WHY_PREBUILT,
                "ways": [
                    list(way) for e in plan.sets if (way := e.way_to(wheel.subject))
                ],
            }
            for wheel in plan.wheels
            if wheel.prebuilt
        ],
        "overlaps": [each.row for each in overlaps_of(plan, facts)],
    }
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def _edges(member: SetMember) -> dict[str, object]:
    return {"extras": list(member.extras), "dependencies": list(member.dependencies)}


def _wheel_row(wheel: CollectedWheel, facts: WheelFacts) -> dict[str, object]:
    return {
        "name": wheel.name,
        "version": wheel.version,
        "filename": wheel.filename,
        "sha256": facts.sha256,
        "size": facts.size,
        "requires_python": facts.requires_python,
        "prebuilt": wheel.prebuilt,
    }


def _pylock(
    plan: CollectionPlan,
    chosen: CollectedSet,
    facts: Mapping[str, WheelFacts],
    up: str,
) -> bytes:
    head = [
        "# Made by fromager: the wheels of a collection, relative to this file.",
        'lock-version = "1.0"',
        *string_list("environments", [plan.platform.marker]),
        f"requires-python = {basic_string(f'=={plan.platform.python}.*')}",
        'created-by = "fromager"',
    ]
    wheels = {wheel.subject: wheel for wheel in plan.wheels}
    blocks = [head]
    for member in chosen.members:
        wheel = wheels[member.subject]
        blocks += _package(wheel, member, facts[wheel.subject], up)
    blocks.append(["[tool.fromager]", "collection = 1"])
    return ("\n\n".join("\n".join(block) for block in blocks) + "\n").encode()


def _package(
    wheel: CollectedWheel, member: SetMember, facts: WheelFacts, up: str
) -> Iterator[list[str]]:
    lines = [
        "[[packages]]",
        f"name = {basic_string(wheel.name)}",
        f"version = {basic_string(wheel.version)}",
    ]
    if facts.requires_python:
        lines.append(f"requires-python = {basic_string(facts.requires_python)}")
    lines += dependency_list(each.partition("==")[0] for each in member.dependencies)
    row = ", ".join(
        [
            f"name = {basic_string(wheel.filename)}",
            f"path = {basic_string(f'{up}{WHEELS}/{wheel.filename}')}",
            f"size = {facts.size}",
            f"hashes = {{ sha256 = {basic_string(facts.sha256)} }}",
        ]
    )
    yield [*lines, f"wheels = [{{ {row} }}]"]
    if wheel.prebuilt:
        yield ["[packages.tool.fromager]", "prebuilt = true"]
