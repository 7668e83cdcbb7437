"""Derivations: the frozen description of one build step.

A *symbolic* derivation names other derivations' outputs as its inputs; a *resolved*
one has each replaced by the digest of the content. Only the digest of a resolved
derivation is a key: a rebuilt tool with identical bits changes no key after it.

Canonical form: JSON, keys sorted, no blanks, all outside ASCII escaped, no floats.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Final, TypeAlias

from fromager.derivations.errors import InvalidDerivation
from fromager.store import DERIVATION_CONTEXT, Digest, derived_digest

ENCODING_VERSION: Final = 1

Value: TypeAlias = "str | int | bool | tuple[Value, ...] | Mapping[str, Value] | None"
"""What an option may hold: JSON without floats; lists are tuples."""


class Kind(Enum):
    """The kinds of build steps."""

    FETCH = "fetch"
    PATCH_SET = "patch-set"
    SOURCE = "source"
    ENVIRONMENT = "environment"
    REQUIRES = "requires"
    METADATA = "metadata"
    WHEEL = "wheel"
    SDIST = "sdist"
    LAYOUT = "layout"
    COLLECTION = "collection"


@dataclass(frozen=True)
class Derivation:
    """A step whose inputs are outputs of other derivations, or known content."""

    kind: Kind
    subject: str
    """What the step is for, as people name it: `stevedore==5.10.0`."""
    builder: str
    """The recipe and its version; it changes whenever the recipe's meaning does."""
    inputs: tuple[tuple[str, Digest | Derivation], ...] = ()
    """Role and derivation (or content digest), sorted by role, no role twice."""
    options: tuple[tuple[str, Value], ...] = ()
    """All else that the output depends on, sorted by name."""
    hints: tuple[tuple[str, Value], ...] = ()
    """What helps to make the output but cannot change it, such as the addresses of
    a file whose hash is known; no part of the resolved form, so of no key."""

    def __post_init__(self) -> None:
        _check_sorted(self.inputs, f"{self.kind.value} {self.subject}: inputs")
        _check_sorted(self.options, f"{self.kind.value} {self.subject}: options")
        _check_sorted(self.hints, f"{self.kind.value} {self.subject}: hints")

    @cached_property
    def digest(self) -> Digest:
        """Names the plan, for people; never a key."""
        return derived_digest(DERIVATION_CONTEXT, encode(self))


@dataclass(frozen=True)
class ResolvedDerivation:
    """A step whose inputs are known by content: the only one that can be built."""

    kind: Kind
    subject: str
    builder: str
    inputs: tuple[tuple[str, Digest], ...] = ()
    options: tuple[tuple[str, Value], ...] = ()

    def __post_init__(self) -> None:
        _check_sorted(self.inputs, f"{self.kind.value} {self.subject}: inputs")
        _check_sorted(self.options, f"{self.kind.value} {self.subject}: options")

    @cached_property
    def key(self) -> Digest:
        """The key under which realisations are looked up."""
        return derived_digest(DERIVATION_CONTEXT, encode(self))

    def option(self, name: str) -> Value:
        """An option's value, or None."""
        return dict(self.options).get(name)


def resolve_inputs(
    derivation: Derivation, outputs: Mapping[Digest, Digest]
) -> ResolvedDerivation:
    """The derivation with each input derivation replaced by its output's digest.

    `outputs` maps digests of input derivations to digests of what they gave.

    Raises:
        InvalidDerivation: an input that was not realised.
    """
    inputs = []
    for role, source in derivation.inputs:
        if isinstance(source, Derivation):
            if source.digest not in outputs:
                what = f"{derivation.kind.value} {derivation.subject}"
                raise InvalidDerivation(what, f"its {role} is not realised")
            source = outputs[source.digest]
        inputs.append((role, source))
    return ResolvedDerivation(
        derivation.kind,
        derivation.subject,
        derivation.builder,
        tuple(inputs),
        derivation.options,
    )


def encode(derivation: Derivation | ResolvedDerivation) -> bytes:
    """The one canonical byte form; `decode` reads that of a resolved derivation."""
    hints = (
        {"hints": _plain(dict(derivation.hints), "")}
        if isinstance(derivation, Derivation)
        else {}
    )
    return json.dumps(
        {
            "version": ENCODING_VERSION,
            "form": "symbolic" if hints else "resolved",
            "kind": derivation.kind.value,
            "subject": derivation.subject,
            "builder": derivation.builder,
            "inputs": {
                role: f"drv:{source.digest.hex}"
                if isinstance(source, Derivation)
                else str(source)
                for role, source in derivation.inputs
            },
            "options": _plain(dict(derivation.options), ""),
            **hints,
        },
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=True,
        allow_nan=False,
    ).encode("ascii")


def decode(content: bytes) -> ResolvedDerivation:
    """The resolved derivation that `encode` wrote.

    Raises:
        InvalidDerivation: any bytes that `encode` cannot have written.
    """
    try:
        value = json.loads(content)
        if value["version"] != ENCODING_VERSION or value["form"] != "resolved":
            reason = f"{value['form']}, version {value['version']}"
            raise InvalidDerivation("derivation", f"{reason} cannot be read")
        derivation = ResolvedDerivation(
            Kind(value["kind"]),
            value["subject"],
            value["builder"],
            tuple(
                sorted((role, Digest.parse(d)) for role, d in value["inputs"].items())
            ),
            tuple(sorted((k, _frozen(v)) for k, v in value["options"].items())),
        )
    except InvalidDerivation:
        raise
    except Exception as error:
        raise InvalidDerivation("derivation", f"cannot be read: {error}") from error
    if encode(derivation) != content:
        raise InvalidDerivation("derivation", "not in canonical form")
    return derivation


def _check_sorted(pairs: tuple[tuple[str, object], ...], what: str) -> None:
    names = [name for name, _ in pairs]
    if names != sorted(set(names)):
        raise InvalidDerivation(what, "not sorted, or a name is there twice")


def _plain(value: Value, place: str) -> object:
    match value:
        case None | bool() | int() | str():
            return value
        case tuple():
            return [_plain(item, f"{place}[{i}]") for i, item in enumerate(value)]
        case Mapping():
            if not all(isinstance(name, str) for name in value):
                raise InvalidDerivation(f"option {place}", "a name is no text")
            return {k: _plain(v, f"{place}.{k}") for k, v in value.items()}
    raise InvalidDerivation(f"option {place}", f"holds a {type(value).__name__}")


def _frozen(value: object) -> Value:
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, dict):
        return {str(k): _frozen(v) for k, v in value.items()}
    if value is None or isinstance(value, (str, int, bool)):
        return value
    raise InvalidDerivation("derivation", f"holds a {type(value).__name__}")
