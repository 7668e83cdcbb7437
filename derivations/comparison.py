"""In what two derivations differ, field by field."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fromager.derivations.derivation import ResolvedDerivation, Value


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that two derivations do not share; None where one lacks it."""

    field: str
    """`input source`, `option variables.CFLAGS`, `builder`."""
    before: str | None
    after: str | None

    @property
    def row(self) -> dict[str, object]:
        """As JSON values."""
        return {"field": self.field, "before": self.before, "after": self.after}

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.field}: added {self.after}"
        if self.after is None:
            return f"{self.field}: gone, was {self.before}"
        return f"{self.field}: {self.before} -> {self.after}"


def differences(
    before: ResolvedDerivation, after: ResolvedDerivation
) -> tuple[Difference, ...]:
    """All fields in which two derivations differ, sorted; empty if keys are equal."""
    old, new = dict(_fields(before)), dict(_fields(after))
    return tuple(
        Difference(name, old.get(name), new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    )


def _fields(derivation: ResolvedDerivation) -> Iterator[tuple[str, str]]:
    yield "kind", derivation.kind.value
    yield "subject", derivation.subject
    yield "builder", derivation.builder
    for role, digest in derivation.inputs:
        yield f"input {role}", str(digest)
    for name, value in derivation.options:
        yield from _flat(f"option {name}", value)


def _flat(name: str, value: Value) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, each in value.items():
            yield from _flat(f"{name}.{key}", each)
    elif isinstance(value, str):
        yield name, value
    else:
        plain = list(value) if isinstance(value, tuple) else value
        yield name, json.dumps(plain, default=str)
