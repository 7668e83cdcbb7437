"""Templates of environment variables, as upstream has them, with no surprise left.

    ${NAME}  $NAME     a variable that was set before, else an error
    ${NAME:-default}   the same, or the default
    $$                 a dollar sign

Variables are expanded in order, and each may name those before it. What is no part of
a key, such as the number of jobs, is put in only when the build begins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from fromager.derivations.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from fromager.derivations.customisation.values import Variable

VERSION: Final = "__version__"

_PATTERN: Final = re.compile(
    r"\$(?:(?P<dollar>\$)|(?P<plain>[A-Za-z_][A-Za-z0-9_]*)"
    r"|\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|(?P<wrong>))"
)


class InvalidTemplate(InputError):
    """A template that cannot be expanded: of which setting, and why."""

    def __init__(self, origin: str, what: str, reason: str, hint: str | None) -> None:
        place = f"{origin}: " if origin else ""
        super().__init__(f"{place}{what}: {reason}", hint=hint)
        self.origin, self.reason = origin, reason


@dataclass(frozen=True, slots=True)
class _Late:
    """A name that is replaced when the build begins."""

    name: str


_Piece: TypeAlias = "str | _Late"


@dataclass(frozen=True, slots=True)
class Expanded:
    """Environment variables as far as a key covers them."""

    variables: Mapping[str, str]
    """Those declared, in full."""
    late: Mapping[str, str]
    """Templates of those that name something which is no part of a key."""


def expand(
    declared: Sequence[Variable],
    known: Mapping[str, str],
    late: Collection[str],
    version: str | None,
) -> Expanded:
    """Declared variables with their templates expanded, in order; the last one counts.

    `known` are values that templates may name, `late` the names of those that are
    known when the build begins.

    Raises:
        InvalidTemplate: a name that is not known, or only later; a stray `$`.
    """
    state: dict[str, tuple[_Piece, ...]] = {n: (v,) for n, v in known.items()}
    state |= {name: (_Late(name),) for name in late}
    if version is not None:
        state[VERSION] = (version,)
    all_names = {variable.name for variable in declared}
    done: dict[str, tuple[_Piece, ...]] = {}
    for variable in declared:
        pieces = tuple(_pieces(variable, state, all_names))
        state[variable.name] = done[variable.name] = pieces
    return Expanded(
        {name: _text(found) for name, found in done.items() if not _is_late(found)},
        {name: _template(found) for name, found in done.items() if _is_late(found)},
    )


def finish(late: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """The values of late templates, once everything is known."""
    return {
        name: _PATTERN.sub(lambda m: "$" if m["dollar"] else known[m["braced"]], text)
        for name, text in late.items()
    }


def fill(template: str, known: Mapping[str, str], origin: str, what: str) -> str:
    """A single text with names replaced.

    Raises:
        InvalidTemplate: a name that is not known; a stray `$`.
    """
    from fromager.derivations.customisation.values import Variable

    state: dict[str, tuple[_Piece, ...]] = {n: (v,) for n, v in known.items()}
    try:
        return _text(tuple(_pieces(Variable(what, template, origin), state, ())))
    except InvalidTemplate as error:
        hint = f"There are {' and '.join(f'${{{name}}}' for name in sorted(known))}"
        raise InvalidTemplate(origin, what, error.reason, hint) from None


def _pieces(
    variable: Variable,
    state: Mapping[str, tuple[_Piece, ...]],
    all_names: Collection[str],
) -> Iterator[_Piece]:
    position = 0
    text = variable.template
    for found in _PATTERN.finditer(text):
        yield text[position : found.start()]
        position = found.end()
        if found["dollar"]:
            yield "$"
            continue
        name = found["plain"] or found["braced"]
        if name is None:
            raise InvalidTemplate(
                variable.origin,
                f"env {variable.name}",
                f"{text[found.start() : found.start() + 12]!r} is no name",
                "Write $$ for a dollar sign",
            )
        if name in state:
            yield from state[name]
        elif found["default"] is not None:
            yield found["default"]
        else:
            raise _unknown(variable, name, all_names)
    yield text[position:]


def _unknown(
    variable: Variable, name: str, all_names: Collection[str]
) -> InvalidTemplate:
    if name == variable.name:
        reason = f"${{{name}}} names itself"
        hint = f"Give a default: ${{{name}:-}}"
    elif name in all_names:
        reason = f"${{{name}}} is set only later"
        hint = f"Put {name} before {variable.name}"
    else:
        reason = f"${{{name}}} is not known"
        hint = (
            f"Give a default: ${{{name}:-}}; variables of the caller never reach a "
            "build unless the setting host-env names them"
        )
    return InvalidTemplate(variable.origin, f"env {variable.name}", reason, hint)


def _is_late(pieces: tuple[_Piece, ...]) -> bool:
    return any(isinstance(piece, _Late) for piece in pieces)


def _text(pieces: tuple[_Piece, ...]) -> str:
    return "".join(piece for piece in pieces if isinstance(piece, str))


def _template(pieces: tuple[_Piece, ...]) -> str:
    return "".join(
        piece.replace("$", "$$") if isinstance(piece, str) else f"${{{piece.name}}}"
        for piece in pieces
    )
