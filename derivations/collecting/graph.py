"""The graph of a collection, read back: of one in a store or of a copy of one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fromager.derivations.collecting.files import GRAPH, GRAPH_VERSION
from fromager.derivations.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class GraphWheel:
    """A wheel as a graph tells of it."""

    name: str
    version: str
    filename: str
    sha256: str
    prebuilt: bool


@dataclass(frozen=True, slots=True)
class GraphSet:
    """A set as a graph tells of it."""

    name: str
    """Empty where there is only one."""
    requested: tuple[str, ...]
    members: Mapping[str, tuple[str, ...]]
    """By `name==version`, what each needs in the set."""


@dataclass(frozen=True)
class CollectionGraph:
    """What a collection holds, and why."""

    kind: str
    """`single` or `several`."""
    platform: str
    wheels: Mapping[str, GraphWheel]
    """By `name==version`."""
    sets: tuple[GraphSet, ...]


def read_graph(folder: Path) -> CollectionGraph | None:
    """The graph of the collection in a folder; None if there is none.

    Raises:
        InputError: there is one that cannot be read.
    """
    path = folder / GRAPH
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        value = json.loads(content)
        if value["version"] != GRAPH_VERSION:
            raise InputError(
                f"{path}: version {value['version']!r} of a graph is not known",
                hint="Use a newer version of fromager",
            )
        return _graph(value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is no graph of a collection: {error}") from error


def _graph(value: Mapping[str, Any]) -> CollectionGraph:
    return CollectionGraph(
        str(value["kind"]),
        str(value["platform"]["name"]),
        {
            subject: GraphWheel(
                str(row["name"]),
                str(row["version"]),
                str(row["filename"]),
                str(row["sha256"]),
                row["prebuilt"] is True,
            )
            for subject, row in value["wheels"].items()
        },
        tuple(
            GraphSet(
                str(row.get("name", "")),
                tuple(map(str, row["requested"])),
                {
                    subject: tuple(map(str, member["dependencies"]))
                    for subject, member in row["members"].items()
                },
            )
            for row in value["sets"]
        ),
    )
