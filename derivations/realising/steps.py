"""Doing one step: looked up by key, else built once, and registered.

The order is fixed: first a slot, then the lock of the key, then the look-up again,
since another process may have been quicker; then the work; then one transaction
that makes output, derivation and realisation valid together.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from fromager.derivations.building.stopping import StopSignal
from fromager.derivations.derivation import Derivation, Kind, encode, resolve_inputs
from fromager.derivations.errors import Stopped
from fromager.derivations.realising.events import (
    Reporter,
    StepFailed,
    StepFinished,
    StepReused,
    StepStarted,
    Waiting,
)
from fromager.derivations.realising.host_facts import nothing_told
from fromager.derivations.realising.instantiate import object_name
from fromager.derivations.realising.slots import Slots
from fromager.derivations.versions import ANNOTATE_RECIPE, PREBUILT_RECIPE
from fromager.store import Realisation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fromager.derivations.derivation import ResolvedDerivation
    from fromager.derivations.realising.host_facts import HostFacts
    from fromager.store import Digest, LocalStore, ObjectInfo, StorePath, Transaction

DOWNLOADS: Final = 8
"""Files and pages that are fetched at once."""

T = TypeVar("T")
GRACE: Final = 3.0
"""Seconds that work which was told to stop is given to do so."""


@dataclass(frozen=True, slots=True)
class Step:
    """A derivation that is realised."""

    derivation: Derivation
    realisation: Realisation
    reused: bool
    """True if its output was in the store before this run."""

    @property
    def output(self) -> StorePath:
        """The object that it gave."""
        return self.realisation.output


@dataclass(frozen=True, slots=True)
class Made:
    """What a step's work gave, inside the transaction that registers it."""

    output: ObjectInfo
    facts: tuple[tuple[str, str], ...] = ()
    answers: tuple[Digest, ...] = ()
    """Keys of the questions whose answers told what to do."""


class Substitutes(Protocol):
    """What may have done steps elsewhere; asked by many threads."""

    def take(
        self,
        resolved: ResolvedDerivation,
        inputs: Sequence[tuple[str, Digest]],
    ) -> Realisation | None:
        """The realisation of a key, its output in the store; None if there is none.

        `inputs` are the keys of what went in, by role.
        """
        ...

    def close(self) -> None:
        """Give connections up; nothing more is asked for."""
        ...


class Undone(Exception):
    """A step was not done, which is no failure."""


class NotTold(Undone):
    """A backend has no hook that tells what was asked for."""


class Postponed(Undone):
    """A step cannot be done yet: it found out that it needs something more."""

    def __init__(self, answer: tuple[str, ...]) -> None:
        super().__init__(", ".join(answer))
        self.answer = answer


@dataclass
class Steps:
    """Does steps, each once, many at a time.

    `jobs` bounds how many builds run at once; other work has threads of its own.
    """

    store: LocalStore
    report: Reporter
    jobs: int
    level: str
    clock: Callable[[], float] = time.time
    stop: StopSignal = field(default_factory=StopSignal)
    substitutes: Substitutes | None = None
    host_facts: HostFacts = nothing_told
    """What is recorded beside what each step gave."""

    def __post_init__(self) -> None:
        # Work in threads takes turns with the interpreter: more of it at once only
        # costs memory. Who waits for a server does not work.
        self._threads = ThreadPoolExecutor(max_workers=self.jobs + 2)
        self._network = ThreadPoolExecutor(max_workers=DOWNLOADS)
        self._working: set[Future[Any]] = set()
        self._tasks: dict[Digest, asyncio.Task[Step]] = {}
        self.done = 0
        """Steps that were not found in the store."""

    def begin(self) -> None:
        """Make ready, in the event loop that is running now."""
        # Whatever matters is raised where it is waited for. What nobody waits for any
        # more came of that, and must not be printed by the loop.
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        self._slots = Slots(self.jobs)

    async def end(self) -> None:
        """Wait until nothing is being done any more; `stop` hurries it."""
        tasks = [
            task for task in asyncio.all_tasks() if task is not asyncio.current_task()
        ]
        if self.stop.is_set():
            for task in tasks:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Builds end as soon as they are told; who waits for a server cannot hear it.
        wait(self._working, timeout=GRACE if self.stop.is_set() else None)
        for threads in (self._threads, self._network):
            threads.shutdown(wait=False, cancel_futures=True)
        if self.substitutes is not None:
            self.substitutes.close()

    async def in_thread(self, work: Callable[[], T], *, network: bool = False) -> T:
        """The result of `work`, done in a thread; `network` if it waits for servers."""
        future = (self._network if network else self._threads).submit(work)
        self._working.add(future)
        future.add_done_callback(self._working.discard)
        return await asyncio.wrap_future(future)

    def resolve(
        self, derivation: Derivation, inputs: tuple[Step, ...]
    ) -> ResolvedDerivation:
        """The derivation with its inputs replaced by what these steps gave."""
        outputs = {
            step.derivation.digest: step.realisation.output_digest for step in inputs
        }
        return resolve_inputs(derivation, outputs)

    def known(self, key: Digest) -> Realisation | None:
        """The newest realisation of a key whose output is in the store, to stay.

        What a check gave under other conditions is never used.
        """
        for claim in self.store.realisations(key):
            if not claim.is_evidence and self.store.rely_on([claim.output]):
                return claim
        return None

    async def step(
        self,
        derivation: Derivation,
        inputs: tuple[Step, ...],
        make: Callable[[Transaction, ResolvedDerivation], Made],
        *,
        urgency: Callable[[], int] | None = None,
        exclusive: bool = False,
    ) -> Step:
        """The derivation realised: found in the store, or made by `make`.

        `make` runs in a thread, holding the key's lock. With an `urgency` it takes one
        of the job slots, or all of them if it is `exclusive`: it says how many others
        wait for it.
        """
        resolved = self.resolve(derivation, inputs)
        key = resolved.key
        if key not in self._tasks:
            self._tasks[key] = asyncio.create_task(
                self._realise(derivation, resolved, inputs, make, urgency, exclusive)
            )
        try:
            return await asyncio.shield(self._tasks[key])
        except Undone:
            # It may be asked for again, once what it needs is known to be there.
            self._tasks.pop(key, None)
            raise

    async def _realise(
        self,
        derivation: Derivation,
        resolved: ResolvedDerivation,
        inputs: tuple[Step, ...],
        make: Callable[[Transaction, ResolvedDerivation], Made],
        urgency: Callable[[], int] | None,
        exclusive: bool,
    ) -> Step:
        found = self.known(resolved.key)
        if found is not None:
            return self._reused(derivation, found)
        slot: AbstractAsyncContextManager[None] = nullcontext()
        if urgency is not None:
            slot = self._slots.slot(urgency, exclusive=exclusive)
        async with slot:
            return await self.in_thread(
                lambda: self._locked(derivation, resolved, inputs, make),
                network=derivation.kind is Kind.FETCH,
            )

    def _locked(
        self,
        derivation: Derivation,
        resolved: ResolvedDerivation,
        inputs: tuple[Step, ...],
        make: Callable[[Transaction, ResolvedDerivation], Made],
    ) -> Step:
        kind, subject = told_as(resolved), resolved.subject
        key = resolved.key
        with self.store.build_lock(
            key, lambda holder: self.report(Waiting(kind, subject, holder))
        ):
            found = self.known(key)
            if found is not None:
                return self._reused(derivation, found)
            taken = self._substituted(resolved, inputs)
            if taken is not None:
                self.done += 1
                return Step(derivation, taken, reused=False)
            self.report(StepStarted(kind, subject))
            started = self.clock()
            try:
                with self.store.transaction() as transaction:
                    made = make(transaction, resolved)
                    realisation = self.claim(
                        transaction, resolved, inputs, made, started
                    )
            except (Undone, Stopped):
                raise
            except Exception as error:
                if self.stop.is_set():
                    # Cut off in the middle, whatever that looked like to the step.
                    raise Stopped(f"{subject} ({kind}) was stopped") from error
                self.report(StepFailed(kind, subject, str(error)))
                raise
        self.done += 1
        self.report(
            StepFinished(kind, subject, realisation.duration, str(realisation.output))
        )
        return Step(derivation, realisation, reused=False)

    async def obtained(
        self, resolved: ResolvedDerivation, inputs: tuple[Step, ...]
    ) -> Realisation | None:
        """The realisation of a key without doing anything for it: known here, or done
        elsewhere."""
        found = self.known(resolved.key)
        if found is not None or self.substitutes is None:
            return found

        def take() -> Realisation | None:
            with self.store.build_lock(resolved.key, lambda holder: None):
                return self.known(resolved.key) or self._substituted(resolved, inputs)

        return await self.in_thread(take)

    def _substituted(
        self, resolved: ResolvedDerivation, inputs: tuple[Step, ...]
    ) -> Realisation | None:
        if self.substitutes is None:
            return None
        return self.substitutes.take(resolved, _input_keys(resolved, inputs))

    def claim(
        self,
        transaction: Transaction,
        resolved: ResolvedDerivation,
        inputs: tuple[Step, ...],
        made: Made,
        started: float,
    ) -> Realisation:
        """Register what a derivation gave, with the derivation itself as an object."""
        drv = transaction.add_bytes(
            encode(resolved),
            f"{object_name(resolved.subject)}-{resolved.kind.value}.drv",
        )
        level = self.level if resolved.option("sandbox") else "none-needed"
        realisation = Realisation(
            key=resolved.key,
            derivation=drv.path,
            kind=resolved.kind.value,
            subject=resolved.subject,
            output=made.output.path,
            output_digest=made.output.digest,
            level=level,
            started=int(started),
            duration=max(0.0, self.clock() - started),
            inputs=tuple(
                sorted(
                    [
                        *((f"answer {n}", key) for n, key in enumerate(made.answers)),
                        *_input_keys(resolved, inputs),
                    ]
                )
            ),
            facts=tuple(sorted((*self.host_facts(level), *made.facts))),
        )
        transaction.register(realisation)
        return realisation

    def _reused(self, derivation: Derivation, found: Realisation) -> Step:
        self.report(StepReused(found.kind, found.subject, str(found.output)))
        return Step(derivation, found, reused=True)


def told_as(resolved: ResolvedDerivation) -> str:
    """What kind of step people are told of: to annotate a wheel is not to build it,
    and neither is to take it as it is."""
    if resolved.builder == ANNOTATE_RECIPE:
        return "annotation"
    if resolved.builder == PREBUILT_RECIPE:
        return "prebuilt"
    return resolved.kind.value


def _input_keys(
    resolved: ResolvedDerivation, inputs: tuple[Step, ...]
) -> tuple[tuple[str, Digest], ...]:
    """Role and key of the steps whose outputs go in."""
    keys = {step.realisation.output_digest: step.realisation.key for step in inputs}
    return tuple(
        (role, keys[digest]) for role, digest in resolved.inputs if digest in keys
    )
