"""What happens while things are realised, as values; and who hears of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Resolved:
    """A request has its versions: `packages` of them."""

    subject: str
    packages: int


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step is being done: `kind` is the derivation's."""

    kind: str
    subject: str


@dataclass(frozen=True, slots=True)
class StepFinished:
    """A step is done and its output is in the store."""

    kind: str
    subject: str
    seconds: float
    output: str


@dataclass(frozen=True, slots=True)
class StepReused:
    """A step was done before; its output was in the store."""

    kind: str
    subject: str
    output: str


@dataclass(frozen=True, slots=True)
class StepSubstituted:
    """A step was done elsewhere; its output was taken from there, at `origin`."""

    kind: str
    subject: str
    origin: str
    output: str


@dataclass(frozen=True, slots=True)
class StepFailed:
    """A step was tried and failed."""

    kind: str
    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class LogOutput:
    """Bytes that a running build wrote."""

    subject: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Waiting:
    """Another process does this step; it is waited for."""

    kind: str
    subject: str
    holder: str


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that the user should know, and that stops nothing."""

    subject: str
    text: str


Event: TypeAlias = (
    Resolved
    | StepStarted
    | StepFinished
    | StepReused
    | StepSubstituted
    | StepFailed
    | LogOutput
    | Waiting
    | Noted
)
Reporter: TypeAlias = Callable[[Event], None]
"""Hears of every event, from any thread; must not raise."""


def unheard(event: Event) -> None:
    """The reporter that does nothing."""
