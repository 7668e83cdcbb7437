"""Repetitions of recorded steps, as values: means, conditions and what came of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fromager.derivations.realising.backend import leave_source
from fromager.derivations.realising.host_facts import nothing_told

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fromager.derivations.building.sandbox import Launch, Stop
    from fromager.derivations.index.client import IndexClient
    from fromager.derivations.realising.events import Reporter
    from fromager.derivations.realising.host_facts import HostFacts
    from fromager.derivations.realising.target import BuildPolicy, Target
    from fromager.derivations.sources.members import Limits
    from fromager.store import Digest, LocalStore, Realisation


@dataclass(frozen=True, slots=True)
class Conditions:
    """What surrounds a step and is no part of its key."""

    launch: Launch | None = None
    """What the sandbox is started under, if not as usual."""
    cores: int | None = None
    """Processors that a build is given, if not as many as usual."""
    folder: Path | None = None
    """Where private folders are made, if not in the store."""
    prepare: Callable[[Path], None] = leave_source
    """What is done with a source before the backend sees it."""


USUAL: Final = Conditions()


@dataclass(frozen=True)
class RebuildMeans:
    """What steps are done again with."""

    store: LocalStore
    find_target: Callable[[str | None, str], Target]
    """The target for an interpreter's executable (None: whichever is the default)
    and a sandbox level."""
    client: IndexClient | None
    """Where files are fetched from again; None to fetch nothing."""
    policy: BuildPolicy
    limits: Limits
    report: Reporter
    stop: Stop
    clock: Callable[[], float]
    host_facts: HostFacts = nothing_told
    """What is recorded beside what is kept of it."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a recorded step gave when it was done again."""

    recorded: Realisation
    digest: Digest
    path: Path
    """The folder, or the file where the output is a blob; there inside `with`."""
    level: str
    facts: tuple[tuple[str, str], ...]
    started: float
    """Seconds since the epoch."""
    duration: float
    """Seconds."""
    log: Path | None
    """What the backend printed, where one ran; there inside `with`."""

    @property
    def same(self) -> bool:
        """Whether it is bit for bit what was recorded."""
        return self.digest == self.recorded.output_digest
