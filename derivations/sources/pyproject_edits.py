"""Edits of pyproject.toml that leave everything else as it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from fromager.derivations.sources.project import LEGACY_REQUIRES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tomlkit import TOMLDocument


def edit_build_requires(
    content: bytes | None, update: Sequence[str], remove: Sequence[str]
) -> bytes:
    """The file with these build requirements added, or put in place of those of the
    same name, and others (by normalised name) taken away.

    Without a file or a table the one that PEP 517 takes for granted is written out.

    Raises:
        ValueError: the file cannot be read.
    """
    document = _parse(content)
    system: Any = document.setdefault("build-system", {})
    if not hasattr(system, "setdefault"):
        raise ValueError("build-system is no table")
    requires = system.get("requires", list(LEGACY_REQUIRES))
    if not isinstance(requires, list) or not all(
        isinstance(each, str) for each in requires
    ):
        raise ValueError("build-system.requires is no list of strings")
    replaced = {canonicalize_name(Requirement(each).name) for each in update}
    gone = {*replaced, *remove}
    kept = [str(each) for each in requires if _name(each) not in gone]
    # Requirements of one name with several markers replace all of that name at once.
    system["requires"] = [*kept, *update]
    return _dump(document)


def set_version(content: bytes | None, version: str) -> bytes:
    """The file with a version in its project table, which is no longer dynamic.

    A file without that table stays as it is.

    Raises:
        ValueError: the file cannot be read.
    """
    document = _parse(content)
    project: Any = document.get("project")
    if project is None:
        return content or b""
    project["version"] = version
    dynamic = project.get("dynamic")
    if isinstance(dynamic, list) and "version" in dynamic:
        left = [str(each) for each in dynamic if each != "version"]
        if left:
            project["dynamic"] = left
        else:
            del project["dynamic"]
    return _dump(document)


def _name(requirement: str) -> str:
    try:
        return canonicalize_name(Requirement(requirement).name)
    except InvalidRequirement as error:
        raise ValueError(f"{requirement!r} is no requirement") from error


def _parse(content: bytes | None) -> TOMLDocument:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        return tomlkit.parse((content or b"").decode("utf-8"))
    except (TOMLKitError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"it cannot be read: {error}") from error


def _dump(document: TOMLDocument) -> bytes:
    import tomlkit

    return tomlkit.dumps(document).encode("utf-8")
