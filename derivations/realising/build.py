"""One build of one wheel: a private folder, a sandbox, a backend, and its log."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from errno import ENOSPC
from typing import TYPE_CHECKING, Final

from fromager.derivations.building.diagnose import diagnose
from fromager.derivations.building.hooks import (
    HookAnswer,
    HookPlace,
    HookRequest,
    HookStatus,
    run_hook,
)
from fromager.derivations.building.sandbox import keyed_environment
from fromager.derivations.building.scripts import runner_digest
from fromager.derivations.building.wheel import inspect_wheel, normalise
from fromager.derivations.errors import BuildError, SourceError, Stopped, WheelRefused
from fromager.derivations.realising.events import LogOutput
from fromager.derivations.realising.history import Failure, remember_failure
from fromager.derivations.realising.instantiate import object_name
from fromager.derivations.realising.steps import Made, Postponed
from fromager.derivations.sources.project import build_system
from fromager.store import Directory, StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.version import Version

    from fromager.derivations.building.sandbox import Stop
    from fromager.derivations.derivation import ResolvedDerivation
    from fromager.derivations.realising.events import Reporter
    from fromager.derivations.realising.steps import Step, Steps
    from fromager.derivations.realising.target import BuildPolicy, Target
    from fromager.store import LocalStore, Transaction

TAIL_BYTES: Final = 64 << 10
TAIL_LINES: Final = 20
SMALL_SOURCE: Final = 32 << 20
"""Bytes up to which a source is built in memory, if there is enough of it."""
NO_SPACE: Final = os.strerror(ENOSPC)


class _MemoryShort(Exception):
    """A build failed in memory, where there is little left: it goes to disk."""


@dataclass(frozen=True, slots=True)
class WheelBuild:
    """What to build a wheel from."""

    name: str
    version: Version
    source: Step
    environment: Step
    accepted: tuple[str, ...]
    """Requirements that the backend may answer with: the environment holds them."""
    question: ResolvedDerivation
    """The `requires` derivation that the same process answers."""

    @property
    def subject(self) -> str:
        """`stevedore==5.10.0`."""
        return f"{self.name}=={self.version}"


class BuildLog:
    """A build's output: kept in a file, told as it comes, its end remembered."""

    def __init__(self, path: Path, subject: str, report: Reporter) -> None:
        self._file = path.open("wb")
        self._path, self._subject, self._report = path, subject, report
        self._tail = b""

    def __call__(self, content: bytes) -> None:
        """Take what the build wrote."""
        self._file.write(content)
        self._tail = (self._tail + content)[-TAIL_BYTES:]
        self._report(LogOutput(self._subject, content))

    @property
    def tail(self) -> str:
        """The last 64 KiB."""
        return self._tail.decode("utf-8", "replace")

    def save(self, store: LocalStore, key: ResolvedDerivation) -> None:
        """Keep it in the store, compressed; once, when nothing more is written."""
        if self._file.closed:
            return
        self._file.close()
        store.save_log(key.key, self._path)


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
        build: WheelBuild,
        steps: Steps,
        transaction: Transaction,
        resolved: ResolvedDerivation,
    ) -> Made:
        """Build, check and normalise a wheel, and add it.

        What is small is built in memory; if that does not suffice, once more on disk.

        Raises:
            Postponed: the backend needs more; its answer was registered.
            BuildError: anything else than one sound wheel came out.
        """
        tree = self._tree(build)
        if tree.size <= SMALL_SOURCE:
            with suppress(_MemoryShort):
                return self._make(
                    build, tree, steps, transaction, resolved, in_memory=True
                )
        return self._make(build, tree, steps, transaction, resolved, in_memory=False)

    def _make(
        self,
        build: WheelBuild,
        tree: Directory,
        steps: Steps,
        transaction: Transaction,
        resolved: ResolvedDerivation,
        *,
        in_memory: bool,
    ) -> Made:
        epoch = int(build.source.realisation.fact("epoch") or 0)
        started = steps.clock()
        name = object_name(build.subject)
        with self.store.scratch(name, in_memory=in_memory) as scratch:
            log = BuildLog(scratch.path / "log", build.subject, self.report)
            try:
                answer = self._run(build, tree, scratch.path, epoch, log)
                if answer.status is HookStatus.MORE:
                    with self.store.transaction() as alone:
                        self._claim_answer(alone, build, answer, steps, started)
                    raise Postponed(answer.requires)
                self._claim_answer(transaction, build, answer, steps, started)
                return self._wheel(build, transaction, scratch.path, epoch)
            except (BuildError, StoreError, OSError) as error:
                if scratch.in_memory and (scratch.is_short or NO_SPACE in log.tail):
                    raise _MemoryShort from error
                if isinstance(error, BuildError):
                    error.log_tail = error.log_tail or _last_lines(log.tail)
                    error.log_of = build.subject
                    self._remember_failure(build, resolved, steps.clock())
                    if self.policy.keep_failed:
                        # The log is saved from where it lies.
                        log.save(self.store, resolved)
                        error.kept = str(scratch.keep())
                raise
            finally:
                log.save(self.store, resolved)

    def _tree(self, build: WheelBuild) -> Directory:
        tree = self.store.tree(build.source.output)
        if not isinstance(tree, Directory):
            raise SourceError(f"{build.source.output} is no source tree")
        return tree

    def _remember_failure(
        self, build: WheelBuild, resolved: ResolvedDerivation, now: float
    ) -> None:
        """Keep which key failed last, for those who ask for its log by name."""
        failure = Failure(resolved.key, int(now))
        for name in (build.subject, build.name):
            remember_failure(self.store, name, failure)

    def _run(
        self,
        build: WheelBuild,
        tree: Directory,
        folder: Path,
        epoch: int,
        log: BuildLog,
    ) -> HookAnswer:
        """The backend's answer; anything but a success is an error."""
        place = HookPlace.make(folder / "build")
        self.store.materialise(tree, place.source, mtime=epoch)
        system = build_system(_read(place.source / "pyproject.toml"))
        answer = run_hook(
            self.target.sandbox,
            self.target.base,
            place,
            build.environment.output.below(self.store.root),
            HookRequest(
                operation="wheel",
                backend=system.backend,
                backend_path=system.backend_path,
                accept=build.accepted,
            ),
            environment=keyed_environment(epoch, self.policy.variables),
            cores=self.policy.cores,
            timeout=self.policy.timeout,
            output=log,
            stop=self.stop,
        )
        if answer.status in (HookStatus.DONE, HookStatus.MORE):
            return answer
        if answer.status is HookStatus.STOPPED:
            raise Stopped(f"{build.subject}: {answer.reason}")
        diagnosis = diagnose(log.tail)
        reason = answer.reason
        if diagnosis is not None:
            reason = f"{reason}: {diagnosis.cause}"
        raise BuildError(
            build.subject, reason, hint=diagnosis.hint if diagnosis else None
        )

    def _claim_answer(
        self,
        transaction: Transaction,
        build: WheelBuild,
        answer: HookAnswer,
        steps: Steps,
        started: float,
    ) -> None:
        """Register what the backend answered, as a derivation of its own."""
        if steps.known(build.question.key) is not None:
            return
        content = json.dumps(sorted(answer.requires)).encode()
        name = object_name(f"{build.subject}-requires.json")
        made = Made(transaction.add_bytes(content, name))
        inputs = (build.source, build.environment)
        steps.claim(transaction, build.question, inputs, made, started)

    def _wheel(
        self, build: WheelBuild, transaction: Transaction, folder: Path, epoch: int
    ) -> Made:
        out = folder / "build" / "out"
        wheels = sorted(out.glob("*.whl"))
        if len(wheels) != 1:
            found = ", ".join(wheel.name for wheel in wheels) or "none"
            raise WheelRefused(
                build.subject, f"its backend must write one wheel, it wrote {found}"
            )
        # Its content is checked on the way into the normal form.
        inspect_wheel(wheels[0], name=build.name, version=build.version)
        tree = folder / "wheel"
        tree.mkdir()
        try:
            digests = normalise(wheels[0], tree / wheels[0].name, epoch=epoch)
        except WheelRefused as error:
            raise WheelRefused(build.subject, error.reason, hint=error.hint) from error
        name = object_name(f"{build.name}-{build.version}-wheel")
        output = transaction.add_directory(tree, name, consume=True)
        facts = (
            ("content_sha256", digests.content_sha256),
            ("raw_sha256", digests.raw_sha256),
            ("sha256", digests.sha256),
        )
        return Made(output, facts)


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _last_lines(text: str) -> tuple[str, ...]:
    return tuple(text.rstrip().splitlines()[-TAIL_LINES:])
