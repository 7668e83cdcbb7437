"""Resolution scenarios: an index, a request and what must come of it, as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from fromager.derivations.resolution.candidate import (
    Knowledge,
    Metadata,
    ProjectReleases,
    Release,
)
from fromager.derivations.resolution.cutoff import Cutoffs
from fromager.derivations.resolution.request import (
    GivenRequirement,
    Prereleases,
    Request,
)

SCENARIOS = Path(__file__).parent.parent / "data" / "scenarios"

LINUX = {
    "implementation_name": "cpython",
    "implementation_version": "3.12.1",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_release": "6.1",
    "platform_system": "Linux",
    "platform_version": "#1 SMP",
    "python_full_version": "3.12.1",
    "python_version": "3.12",
    "sys_platform": "linux",
}


@dataclass(frozen=True)
class Scenario:
    name: str
    request: Request
    knowledge: Knowledge
    expected: dict[str, Any]


def load_scenario(path: Path) -> Scenario:
    return read_scenario(path.stem, json.loads(path.read_text(encoding="utf-8")))


def read_scenario(name: str, content: dict[str, Any]) -> Scenario:
    unknown = set(content) - {"about", "index", "request", "expected"}
    assert not unknown, unknown
    return Scenario(
        name,
        read_request(content["request"]),
        read_index(content["index"]),
        content["expected"],
    )


def read_index(index: dict[str, dict[str, dict[str, Any]]]) -> Knowledge:
    """Projects by name, their versions by version, each with its properties.

    A project that is `quarantined` for some reason has its `versions` below.

    `files` lists the files of a version, where there is more than one sdist.
    """
    projects: dict[str, ProjectReleases | None] = {}
    metadata: dict[tuple[str, Version], Metadata] = {}
    for name, versions in index.items():
        project = canonicalize_name(name)
        releases: list[Release] = []
        held: Any = versions.get("quarantined")
        if held is not None:
            versions = versions["versions"]
        for version, properties in versions.items():
            releases += read_releases(project, version, properties)
            metadata[project, Version(version)] = read_metadata(properties)
        projects[project] = ProjectReleases(project, tuple(releases), quarantined=held)
    return Knowledge(WithAbsentProjects(projects), metadata)


class WithAbsentProjects(dict[str, ProjectReleases | None]):
    """Knows of each project that is not there that no index has it."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> None:
        return None


def read_releases(
    project: str, version: str, properties: dict[str, Any]
) -> list[Release]:
    files = properties.get("files", [{}])
    uploaded = properties.get("uploaded")
    yanked = properties.get("yanked")
    return [
        Release(
            Version(version),
            file.get("name", f"{project}-{version}.tar.gz"),
            f"https://files.example/{file.get('name', version)}",
            sha256=file.get("sha256", properties.get("sha256")),
            requires_python=file.get("python", properties.get("python")),
            yanked=yanked,
            upload_time=None if uploaded is None else datetime.fromisoformat(uploaded),
            wheel_only=file.get("wheel_only", properties.get("wheel_only", False)),
        )
        for file in files
    ]


def read_metadata(properties: dict[str, Any]) -> Metadata:
    if "problem" in properties:
        return Metadata(problem=properties["problem"])
    return Metadata.from_fields(
        properties.get("requires", ()),
        properties.get("metadata_python"),
        properties.get("extras", ()),
    )


def read_request(content: dict[str, Any]) -> Request:
    python = content.get("python", "3.12.1")
    markers = LINUX | {
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
        "sys_platform": content.get("platform", "linux"),
    }
    return Request(
        read_given(content["requirements"], "command line"),
        markers,
        constraints=read_given(content.get("constraints", ()), "constraints.txt"),
        prereleases=Prereleases(content.get("prereleases", "if-necessary")),
        cutoffs=Cutoffs(
            exclude_newer=_moment(content.get("exclude_newer")),
            exclude_newer_of={
                name: _moment(text)
                for name, text in content.get("exclude_newer_of", {}).items()
            },
            min_age=content.get("min_age", 0),
            min_age_of=content.get("min_age_of", {}),
            today=_moment(content.get("today")),
            pins={
                name: frozenset(map(Version, versions))
                for name, versions in content.get("pins", {}).items()
            },
        ),
        hashes={k: frozenset(v) for k, v in content.get("hashes", {}).items()},
        preferences={
            k: (Version(v),) for k, v in content.get("preferences", {}).items()
        },
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


def read_given(
    given: list[str | list[str]], origin: str
) -> tuple[GivenRequirement, ...]:
    """Requirements, each a text or a text with its origin."""
    return tuple(
        GivenRequirement(Requirement(one), origin)
        if isinstance(one, str)
        else GivenRequirement(Requirement(one[0]), one[1])
        for one in given
    )
