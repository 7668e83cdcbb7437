"""From values of a settings file to typed ones: each reader takes one form only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from fromager.derivations.customisation.document import Node, SettingsError, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SHA256: Final = re.compile(r"(?:sha256[:=])?([0-9a-f]{64})")
_CREDENTIALS: Final = re.compile(r"//[^/?#\s]*@")


def table(node: Node) -> Mapping[str, Node]:
    """The members of a table; nothing counts as an empty one."""
    if node.value is None:
        return {}
    if not isinstance(node.value, Mapping):
        raise wrong(node, "a table")
    return node.value


def members(node: Node, what: str, known: Iterable[str]) -> Mapping[str, Node]:
    """The members of a table that may have these keys only."""
    found = table(node)
    names = set(known)
    for name, value in found.items():
        if name not in names:
            raise unknown(what, name, names, value.origin)
    return found


def required(node: Node, found: Mapping[str, Node], name: str) -> Node:
    """A member that must be there."""
    if name not in found:
        raise SettingsError(node.origin, f"{name!r} is missing")
    return found[name]


def items(node: Node) -> tuple[Node, ...]:
    """The items of a list; nothing counts as an empty one."""
    if node.value is None:
        return ()
    if not isinstance(node.value, tuple):
        raise wrong(node, "a list")
    return node.value


def text(node: Node) -> str:
    """A text that is not empty."""
    if not isinstance(node.value, str):
        raise wrong(node, "a text")
    if not node.value or "\0" in node.value:
        raise SettingsError(node.origin, "a text that is not empty is wanted")
    return node.value


def header_text(node: Node) -> str:
    """A text of one line."""
    given = text(node)
    if len(given.splitlines()) != 1:
        raise SettingsError(node.origin, "a text of one line is wanted")
    return given


def any_text(node: Node) -> str:
    """A text, also an empty one."""
    if not isinstance(node.value, str):
        raise wrong(node, "a text")
    return node.value


def scalar_text(node: Node) -> str:
    """A text, or a number or truth value as environment variables hold them."""
    match node.value:
        case bool():
            return "1" if node.value else "0"
        case str() | int() | float():
            return str(node.value)
    raise wrong(node, "a text, a number, or true or false")


def flag(node: Node) -> bool:
    """True or false."""
    if not isinstance(node.value, bool):
        raise wrong(node, "true or false")
    return node.value


def whole(node: Node, least: int) -> int:
    """A whole number that is not less than `least`."""
    if isinstance(node.value, bool) or not isinstance(node.value, int):
        raise wrong(node, "a whole number")
    if node.value < least:
        raise SettingsError(node.origin, f"it must be at least {least}")
    return node.value


def number(node: Node, least: float) -> float:
    """A number that is not less than `least`."""
    if isinstance(node.value, bool) or not isinstance(node.value, (int, float)):
        raise wrong(node, "a number")
    if not least <= node.value < float("inf"):
        raise SettingsError(node.origin, f"it must be at least {least}")
    return float(node.value)


def texts(node: Node) -> tuple[str, ...]:
    """A list of texts."""
    return tuple(text(item) for item in items(node))


def text_or_texts(node: Node) -> tuple[str, ...]:
    """A text, or a list of them."""
    return (text(node),) if isinstance(node.value, str) else texts(node)


def relative_path(node: Node) -> str:
    """A path inside of a source tree, without `.` and empty parts."""
    given = text(node)
    parts = [part for part in given.split("/") if part not in ("", ".")]
    if given.startswith("/") or ".." in parts:
        raise SettingsError(node.origin, f"{given!r} leads out of the source tree")
    return "/".join(parts)


def absolute_path(node: Node) -> str:
    """A path of the machine, without `.` and empty parts."""
    given = text(node)
    parts = [part for part in given.split("/") if part not in ("", ".")]
    if not given.startswith("/") or ".." in parts or not parts:
        raise SettingsError(node.origin, f"{given!r} is no absolute path")
    return "/" + "/".join(parts)


def requirement(node: Node) -> str:
    """A requirement (PEP 508), as it is written."""
    from packaging.requirements import InvalidRequirement, Requirement

    given = text(node)
    try:
        Requirement(given)
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(
            node.origin, f"{given!r} is no requirement: {reason}"
        ) from error
    return given


def project_name(node: Node) -> str:
    """The name of a project, normalised."""
    from packaging.utils import InvalidName, canonicalize_name

    given = text(node)
    try:
        return canonicalize_name(given, validate=True)
    except InvalidName as error:
        raise SettingsError(
            node.origin, f"{given!r} is no name of a project"
        ) from error


def url(node: Node) -> str:
    """A URL without credentials."""
    given = text(node)
    no_credentials(node)
    if not re.match(r"(https?|file)://", given):
        reason = f"{given!r} is no URL that begins with https://, http:// or file://"
        raise SettingsError(node.origin, reason)
    return given


def no_credentials(node: Node) -> None:
    """Refuse an address with a password, or with the name of a user; for ssh a name
    is no secret."""
    given = text(node)
    found = _CREDENTIALS.search(given)
    if found and (not given.startswith(("ssh:", "git+ssh:")) or ":" in found[0]):
        raise SettingsError(
            node.origin,
            "credentials do not belong into settings",
            hint="Put them into a netrc file",
        )


def package_url(node: Node) -> str:
    """A package URL (`pkg:pypi/click@8.1.7`), as it is written."""
    given = text(node)
    if re.fullmatch(r"pkg:[A-Za-z][A-Za-z0-9.+-]*/[^\s]+", given) is None:
        raise SettingsError(node.origin, f"{given!r} is no package URL")
    return given


def object_path(node: Node) -> str:
    """Where something is in a module: `module:function`."""
    given = text(node)
    name = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"
    if re.fullmatch(f"{name}:{name}", given, re.ASCII) is None:
        raise SettingsError(node.origin, f"{given!r} is no module:function")
    return given


def sha256(node: Node) -> str:
    """A SHA-256 in hex."""
    found = _SHA256.fullmatch(text(node).lower())
    if found is None:
        raise SettingsError(node.origin, "a sha256 of 64 hexadecimal digits is wanted")
    return found[1]


def pattern(node: Node) -> str:
    """A regular expression of Python."""
    given = text(node)
    try:
        re.compile(given)
    except re.error as error:
        reason = f"{given!r} is no regular expression: {error}"
        raise SettingsError(node.origin, reason) from error
    return given


def one_of(node: Node, what: str, known: Mapping[str, Callable[[Node], object]]) -> str:
    """A text that names one of some things."""
    given = text(node)
    if given not in known:
        raise unknown(what, given, known, node.origin)
    return given


def wrong(node: Node, wanted: str) -> SettingsError:
    """The error for a value of another type."""
    shown = f"{node.value!r}" if isinstance(node.value, (str, int, float)) else ""
    found = f"{node.kind} {shown}".rstrip()
    return SettingsError(node.origin, f"{wanted} is wanted, not {found}")
