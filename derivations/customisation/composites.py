"""Readers of settings that are more than one value: edits, sources, openings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fromager.derivations.customisation import readers
from fromager.derivations.customisation.document import (
    Node,
    SettingsError,
    unknown,
)
from fromager.derivations.customisation.values import (
    ExtraSource,
    Match,
    MatchRule,
    Opening,
    SystemKind,
    SystemNeed,
)
from fromager.derivations.errors import InputError
from fromager.derivations.sources.edits import (
    AddFile,
    Edit,
    EditBuildRequires,
    EditLines,
    RemoveFiles,
    SetPkgInfo,
    SetVersion,
)
from fromager.derivations.sources.tag_rules import TagProvider, TagRule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VERSION_MARK: Final = "${__version__}"
"""Stands for the version that is built."""

_NAME: Final = "action"


def edit(node: Node) -> Edit:
    """One edit of a source: a table with an `action`, and what that needs."""
    found = readers.table(node)
    action = readers.one_of(readers.required(node, found, _NAME), "action", _ACTIONS)
    return _ACTIONS[action](node)


def _lines(node: Node, *, replaces: bool) -> Edit:
    known = {_NAME, "files", "search", "ignore-missing"}
    found = readers.members(node, "key", known | ({"replace"} if replaces else set()))
    return EditLines(
        _files(readers.required(node, found, "files")),
        readers.pattern(readers.required(node, found, "search")),
        readers.any_text(readers.required(node, found, "replace"))
        if replaces
        else None,
        _switch(found, "ignore-missing"),
        str(node.origin),
    )


def _replace_line(node: Node) -> Edit:
    return _lines(node, replaces=True)


def _delete_line(node: Node) -> Edit:
    return _lines(node, replaces=False)


def _build_requires(node: Node) -> Edit:
    found = readers.members(node, "key", (_NAME, "update", "remove"))
    update = readers.items(found["update"]) if "update" in found else ()
    remove = readers.items(found["remove"]) if "remove" in found else ()
    return EditBuildRequires(
        tuple(readers.requirement(each) for each in update),
        tuple(readers.project_name(each) for each in remove),
        str(node.origin),
    )


def _version(node: Node) -> Edit:
    found = readers.members(node, "key", (_NAME, "version"))
    version = readers.text(found["version"]) if "version" in found else VERSION_MARK
    return SetVersion(version, str(node.origin))


def _pkg_info(node: Node) -> Edit:
    found = readers.members(node, "key", (_NAME, "fields"))
    fields = readers.table(found["fields"]) if "fields" in found else {}
    given = {name: readers.text(value) for name, value in fields.items()}
    given.setdefault("Version", VERSION_MARK)
    return SetPkgInfo(tuple(given.items()), str(node.origin))


def _file(node: Node) -> Edit:
    known = (_NAME, "path", "content", "from", "executable")
    found = readers.members(node, "key", known)
    if ("content" in found) == ("from" in found):
        raise SettingsError(node.origin, "one of 'content' and 'from' is wanted")
    content = readers.any_text(found["content"]) if "content" in found else ""
    return AddFile(
        readers.relative_path(readers.required(node, found, "path")),
        content.encode(),
        _switch(found, "executable"),
        readers.text(found["from"]) if "from" in found else "",
        str(node.origin),
    )


def _remove(node: Node) -> Edit:
    found = readers.members(node, "key", (_NAME, "files", "ignore-missing"))
    return RemoveFiles(
        _files(readers.required(node, found, "files")),
        _switch(found, "ignore-missing"),
        str(node.origin),
    )


_ACTIONS: Final[Mapping[str, Callable[[Node], Edit]]] = {
    "replace-line": _replace_line,
    "delete-line": _delete_line,
    "build-requires": _build_requires,
    "version": _version,
    "pkg-info": _pkg_info,
    "file": _file,
    "remove": _remove,
}
ACTIONS: Final = tuple(_ACTIONS)


def _files(node: Node) -> tuple[str, ...]:
    names = (node,) if isinstance(node.value, str) else readers.items(node)
    return tuple(readers.relative_path(name) for name in names)


def _switch(found: Mapping[str, Node], name: str) -> bool:
    return readers.flag(found[name]) if name in found else False


def extra_source(node: Node) -> ExtraSource:
    """A file to fetch: `url`, `sha256`, `path`, and `unpack` for an archive."""
    found = readers.members(node, "key", ("url", "sha256", "path", "unpack"))
    source = ExtraSource(
        readers.url(readers.required(node, found, "url")),
        readers.sha256(readers.required(node, found, "sha256")),
        readers.relative_path(readers.required(node, found, "path")),
        _switch(found, "unpack"),
        str(node.origin),
    )
    if not source.path or not source.filename:
        reason = "the url must end in a file's name, the path must not be empty"
        raise SettingsError(node.origin, reason)
    return source


def opening(node: Node) -> Opening:
    """A path, or a table with `path` and the place `at` which it is seen."""
    if isinstance(node.value, str):
        path = readers.absolute_path(node)
        return Opening(path, path, str(node.origin))
    found = readers.members(node, "key", ("path", "at"))
    path = readers.absolute_path(readers.required(node, found, "path"))
    at = readers.absolute_path(found["at"]) if "at" in found else path
    result = Opening(path, at, str(node.origin))
    if result.is_device and at != path:
        raise SettingsError(node.origin, "a device is seen at its own place only")
    return result


def match_runtime(node: Node) -> tuple[tuple[str, MatchRule, Node], ...]:
    """Whether tools have the versions that are installed: by project, or `*`."""
    known = {match.value: match for match in Match}
    found = []
    for key, value in readers.table(node).items():
        name = key if key == "*" else readers.project_name(Node(key, value.origin))
        text = readers.text(value)
        if text not in known:
            raise unknown("value", text, known, value.origin)
        found.append((name, MatchRule(known[text], str(value.origin)), value))
    return tuple(found)


def tag_rule(node: Node) -> TagRule:
    """Where a project's versions are tags: `provider`, `project`, and how to read them."""
    known = (
        *("provider", "project", "tag", "pattern", "clone-url"),
        *("archive", "subdirectory", "submodules"),
    )
    found = readers.members(node, "key", known)
    providers = {provider.value: provider for provider in TagProvider}
    provider = readers.text(readers.required(node, found, "provider"))
    if provider not in providers:
        raise unknown("provider", provider, providers, found["provider"].origin)

    def given(name: str) -> str:
        return readers.text(found[name]) if name in found else ""

    submodules = found.get("submodules")
    folder = found.get("subdirectory")
    try:
        rule = TagRule(
            providers[provider],
            readers.text(readers.required(node, found, "project")),
            given("tag"),
            given("pattern"),
            given("clone-url"),
            readers.url(found["archive"]) if "archive" in found else "",
            "" if folder is None else readers.relative_path(folder),
            None
            if submodules is None
            else tuple(
                readers.relative_path(each) for each in readers.items(submodules)
            ),
        )
        if rule.clone_url or rule.provider is TagProvider.GIT:
            readers.no_credentials(found["clone-url" if rule.clone_url else "project"])
            rule.repository("")
    except SettingsError:
        raise
    except InputError as error:
        raise SettingsError(node.origin, str(error), hint=error.hint) from error
    return rule


def system_needs(node: Node) -> tuple[tuple[str, SystemNeed, Node], ...]:
    """Lists by kind: `pkg-config`, `files`, `commands`."""
    kinds = {kind.value: kind for kind in SystemKind}
    found = []
    for key, value in readers.members(node, "key", kinds).items():
        for each in readers.items(value):
            name = (
                readers.absolute_path(each)
                if kinds[key] is SystemKind.FILE
                else readers.text(each)
            )
            if kinds[key] is SystemKind.COMMAND and "/" in name:
                raise SettingsError(each.origin, f"{name!r} is no program's name")
            found.append((key, SystemNeed(kinds[key], name, str(each.origin)), each))
    return tuple(found)
