"""What a settings file says, every value with the line that it stands on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from fromager.derivations.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Origin:
    """A line of a file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


Content: TypeAlias = (
    "str | int | float | bool | tuple[Node, ...] | Mapping[str, Node] | None"
)


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a settings file and where it stands."""

    value: Content
    origin: Origin

    @property
    def kind(self) -> str:
        """What it is, for people: `a list`."""
        match self.value:
            case None:
                return "nothing"
            case bool():
                return "true or false"
            case int():
                return "a whole number"
            case float():
                return "a number"
            case str():
                return "a text"
            case Mapping():
                return "a table"
        return "a list"


class SettingsError(InputError):
    """A settings file that cannot be understood: which line, and why."""

    def __init__(self, origin: Origin, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"{origin}: {reason}", hint=hint)
        self.origin, self.reason = origin, reason


def unknown(
    what: str, name: str, known: Iterable[str], origin: Origin
) -> SettingsError:
    """The error for a key that is none, with the one that was likely meant."""
    from difflib import get_close_matches

    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    hint = f"Did you mean {close[0]!r}" if close else f"There are {', '.join(names)}"
    return SettingsError(origin, f"unknown {what} {name!r}", hint=hint)
