"""What building a release goes through, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.version import Version

    from fromager.derivations.customisation.effects import Effects
    from fromager.derivations.realising.arrangement import Arrangement
    from fromager.derivations.realising.build_environments import BuildEnvironment
    from fromager.derivations.realising.steps import Step
    from fromager.derivations.resolution.candidate import Metadata, Release
    from fromager.store import Digest


@dataclass(frozen=True, slots=True)
class BuiltWheel:
    """A release's wheel."""

    name: str
    version: Version
    step: Step
    filename: str
    metadata: Metadata
    sdist: Step | None = None
    """What a plugin built beside it, of the same source."""

    @property
    def subject(self) -> str:
        """`stevedore==5.10.0`."""
        return f"{self.name}=={self.version}"


@dataclass(frozen=True, slots=True)
class Work:
    """What a backend is to do something with."""

    subject: str
    name: str
    release: Release
    source: Step
    effects: Effects
    content: Digest | None = None
    """Of what the source was taken from, where that is no file."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A source and the environment in which it may be built."""

    subject: str
    source: Step
    environment: BuildEnvironment
    arrangement: Arrangement
    asked: tuple[Digest, ...]
    """Keys of the questions that were answered in smaller environments."""

    @property
    def inputs(self) -> tuple[Step, ...]:
        """The steps whose outputs a build is given."""
        more = self.arrangement.inputs.values()
        return (self.source, self.environment.step, *more)
