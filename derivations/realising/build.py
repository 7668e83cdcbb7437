"""One run of a backend: a private folder, a sandbox, hooks, an output and its log."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from errno import ENOSPC
from typing import TYPE_CHECKING, Final, TypeAlias

from fromager.derivations.building.hooks import HookAnswer, HookStatus
from fromager.derivations.building.scripts import runner_digest
from fromager.derivations.errors import BuildError
from fromager.derivations.realising.backend import (
    BackendCall,
    call_backend,
    source_tree,
    take_metadata,
    take_wheel,
)
from fromager.derivations.realising.build_log import BuildLog, last_lines
from fromager.derivations.realising.history import Failure, remember_failure
from fromager.derivations.realising.host_facts import facts_of_folder
from fromager.derivations.realising.instantiate import object_name
from fromager.derivations.realising.steps import Made, NotTold, Postponed
from fromager.store import StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.version import Version

    from fromager.derivations.building.hooks import Operation
    from fromager.derivations.building.sandbox import Stop
    from fromager.derivations.derivation import ResolvedDerivation
    from fromager.derivations.realising.arrangement import Arrangement
    from fromager.derivations.realising.events import Reporter
    from fromager.derivations.realising.steps import Step, Steps
    from fromager.derivations.realising.target import BuildPolicy, Target
    from fromager.store import Digest, LocalStore, Scratch, StorePath, Transaction

SMALL_SOURCE: Final = 32 << 20
"""Bytes up to which a source is built in memory, if there is enough of it."""
NO_SPACE: Final = os.strerror(ENOSPC)


class MemoryShort(Exception):
    """A build failed in memory, where there is little left: it goes to disk."""


@dataclass(frozen=True, slots=True)
class BackendRun:
    """What a backend is asked to work on."""

    subject: str
    """`stevedore==5.10.0`; where it is from, while the version is not known."""
    source: Step
    environment: Step
    accepted: tuple[str, ...]
    """Requirements that the backend may answer with: the environment holds them."""
    question: ResolvedDerivation
    """The `requires` derivation that the same process answers."""
    arrangement: Arrangement
    asked: tuple[Digest, ...]
    """Keys of those that were answered before, with less in the environment."""


@dataclass(frozen=True, slots=True)
class WheelBuild(BackendRun):
    """A backend is asked for the wheel of a release."""

    name: str
    version: Version


@dataclass(frozen=True, slots=True)
class MetadataRun(BackendRun):
    """A backend is asked for the metadata that its wheel would have."""

    builds: bool = True
    """Whether the wheel is built for it if the backend cannot tell otherwise."""


@dataclass(frozen=True, slots=True)
class RequiresRun(BackendRun):
    """A backend is asked for its requirements, and for nothing else."""


AnyRun: TypeAlias = WheelBuild | MetadataRun | RequiresRun


@dataclass
class BuildPlace:
    """Where builds are run: everything that is the same for all of them."""

    store: LocalStore
    target: Target
    policy: BuildPolicy
    report: Reporter
    stop: Stop

    def __post_init__(self) -> None:
        self.runner = runner_digest()
        """Names the scripts that run inside."""

    def make(
        self,
        build: AnyRun,
        steps: Steps,
        transaction: Transaction,
        resolved: ResolvedDerivation,
    ) -> Made:
        """Build, check and normalise a wheel, or get what is asked for; and add it.

        What is small is built in memory; if that does not suffice, once more on disk.

        Raises:
            Postponed: the backend needs more; its answer was registered.
        NotTold: the backend does not tell metadata, and no wheel is to be built.
            BuildError: anything else than one sound wheel, or its metadata, came out.
        """
        if is_small(self.store, build.source.output):
            with suppress(MemoryShort):
                return self._make(build, steps, transaction, resolved, in_memory=True)
        return self._make(build, steps, transaction, resolved, in_memory=False)

    def _make(
        self,
        build: AnyRun,
        steps: Steps,
        transaction: Transaction,
        resolved: ResolvedDerivation,
        *,
        in_memory: bool,
    ) -> Made:
        epoch = build.arrangement.epoch
        started = steps.clock()
        name = object_name(build.subject)
        with self.store.scratch(name, in_memory=in_memory) as scratch:
            log = BuildLog(scratch.path / "log", build.subject, self.report)
            here = facts_of_folder(scratch.path)
            try:
                answer = self._run(build, scratch.path, epoch, log)
                if isinstance(build, RequiresRun):
                    return self._answer(transaction, build, answer, here)
                if answer.status is HookStatus.MORE:
                    with self.store.transaction() as alone:
                        self._claim_answer(alone, build, answer, here, steps, started)
                    raise Postponed(answer.requires)
                if answer.status is HookStatus.HOOK_MISSING:
                    raise NotTold(build.subject)
                self._claim_answer(transaction, build, answer, here, steps, started)
                if isinstance(build, WheelBuild):
                    made = self._wheel(build, transaction, scratch.path, epoch)
                else:
                    made = self._metadata(
                        build, transaction, scratch.path, answer.result
                    )
                return replace(made, facts=(*made.facts, *log.facts, *here))
            except (BuildError, StoreError, OSError) as error:
                if lacks_memory(scratch, log.tail):
                    raise MemoryShort from error
                if isinstance(error, BuildError):
                    error.log_tail = error.log_tail or last_lines(log.tail)
                    error.log_of = build.subject
                    self._remember_failure(build, resolved, steps.clock())
                    if self.policy.keep_failed:
                        # The log is saved from where it lies.
                        log.save(self.store, resolved)
                        error.kept = str(scratch.keep())
                raise
            finally:
                log.save(self.store, resolved)

    def _remember_failure(
        self, build: BackendRun, resolved: ResolvedDerivation, now: float
    ) -> None:
        """Keep which key failed last, for those who ask for its log by name."""
        failure = Failure(resolved.key, int(now))
        remember_failure(self.store, build.subject, failure)
        if isinstance(build, WheelBuild):
            remember_failure(self.store, build.name, failure)

    def _run(
        self, build: BackendRun, folder: Path, epoch: int, log: BuildLog
    ) -> HookAnswer:
        """The backend's answer; anything but a success is an error."""
        return call_backend(
            self.store,
            self.target,
            build.arrangement.limit(self.policy),
            build.arrangement.call(
                BackendCall(
                    build.subject,
                    _operation(build),
                    build.source.output,
                    build.environment.output,
                    build.accepted,
                    build.arrangement.variables,
                    epoch,
                )
            ),
            folder / "build",
            log=log,
            log_tail=lambda: log.tail,
            stop=self.stop,
        )

    def _answer(
        self,
        transaction: Transaction,
        build: BackendRun,
        answer: HookAnswer,
        here: tuple[tuple[str, str], ...],
    ) -> Made:
        content = json.dumps(sorted(answer.requires)).encode()
        name = object_name(f"{build.subject}-requires.json")
        facts = (*build.arrangement.facts, *here)
        return Made(transaction.add_bytes(content, name), facts)

    def _claim_answer(
        self,
        transaction: Transaction,
        build: BackendRun,
        answer: HookAnswer,
        here: tuple[tuple[str, str], ...],
        steps: Steps,
        started: float,
    ) -> None:
        """Register what the backend answered, as a derivation of its own."""
        if steps.known(build.question.key) is not None:
            return
        made = self._answer(transaction, build, answer, here)
        more = build.arrangement.inputs.values()
        inputs = (build.source, build.environment, *more)
        steps.claim(transaction, build.question, inputs, made, started)

    def _wheel(
        self, build: WheelBuild, transaction: Transaction, folder: Path, epoch: int
    ) -> Made:
        out, tree = folder / "build" / "out", folder / "wheel"
        facts = take_wheel(build.name, build.version, out, tree, epoch=epoch)
        name = object_name(f"{build.name}-{build.version}-wheel")
        output = transaction.add_directory(tree, name, consume=True)
        facts = (*facts, *build.arrangement.facts)
        return Made(output, facts, (*build.asked, build.question.key))

    def _metadata(
        self, build: MetadataRun, transaction: Transaction, folder: Path, result: str
    ) -> Made:
        content = take_metadata(build.subject, folder / "build" / "out" / result)
        name = object_name(f"{build.subject}-metadata")
        output = transaction.add_bytes(content, name)
        asked = (*build.asked, build.question.key)
        return Made(output, build.arrangement.facts, asked)


def _operation(build: BackendRun) -> Operation:
    if isinstance(build, RequiresRun):
        return "ask"
    if isinstance(build, WheelBuild):
        return "wheel"
    if isinstance(build, MetadataRun) and not build.builds:
        return "prepare"
    return "metadata"


def is_small(store: LocalStore, source: StorePath) -> bool:
    """Whether a source is built in memory, if there is enough of it."""
    return source_tree(store, source).size <= SMALL_SOURCE


def lacks_memory(scratch: Scratch, log_tail: str) -> bool:
    """Whether a build that failed may have done so for want of memory."""
    return scratch.in_memory and (scratch.is_short or NO_SPACE in log_tail)
