"""Checks: recorded steps done again and compared, and what makes them differ."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fromager.derivations.checking.bisection import guilty
from fromager.derivations.checking.observation import observe
from fromager.derivations.checking.variations import (
    Variation,
    VariationMeans,
    conditions,
    missing,
)
from fromager.derivations.checking.verdict import (
    Reach,
    Round,
    State,
    VariationOutcome,
    Verdict,
    judge,
)
from fromager.derivations.errors import DerivationError, Stopped
from fromager.derivations.realising.again import build_again
from fromager.derivations.realising.build_log import fact_of_log, keep_log_of_round
from fromager.derivations.realising.events import (
    StepFailed,
    StepFinished,
    StepStarted,
)
from fromager.derivations.realising.rebuilding import USUAL
from fromager.derivations.realising.recorded import RecordedStep
from fromager.store import PURPOSE_CHECK

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from fromager.derivations.realising.rebuilding import (
        Conditions,
        RebuildMeans,
        Rebuilt,
    )
    from fromager.store import Realisation, StorePath


@dataclass(frozen=True)
class Checker:
    """Does recorded steps again, keeps what they give as evidence, and judges it."""

    means: RebuildMeans
    rounds: int = 1
    """How often each step is done again with nothing varied."""
    variations: tuple[Variation, ...] = ()
    around: VariationMeans | None = None
    """What there is to vary with; needed with variations only."""

    def check_all(self, steps: Sequence[Realisation], jobs: int) -> Iterator[Verdict]:
        """A verdict for each, in order, as soon as it is there; `jobs` at once."""
        with ThreadPoolExecutor(max_workers=max(1, jobs)) as threads:
            try:
                yield from threads.map(self.check, steps)
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                raise

    def check(self, recorded: Realisation) -> Verdict:
        """What all claims say of a step, once it was done again.

        Raises:
            Stopped: it was asked for.
            StoreError: the store cannot be used.
        """
        run = _Check(self, recorded)
        for _ in range(self.rounds):
            if not run.round(()).same:
                break
        outcomes = run.vary() if self.variations else ()
        history = self.means.store.history(recorded.kind, recorded.subject)
        return judge(recorded, history).after(tuple(run.rounds), outcomes)


@dataclass
class _Check:
    """One step being checked."""

    checker: Checker
    recorded: Realisation
    rounds: list[Round] = field(default_factory=list)

    def round(self, varied: Collection[Variation]) -> Round:
        """Do it again, and keep what came of it."""
        means, recorded = self.checker.means, self.recorded
        names = tuple(sorted(each.value for each in varied))
        means.report(StepStarted(recorded.kind, recorded.subject))
        try:
            with build_again(
                means, recorded, conditions=self._conditions(varied)
            ) as again:
                output = self._keep(again, names)
                done = Round(names, again.digest, output, again.same, again.duration)
        except Stopped:
            raise
        except DerivationError as error:
            if means.stop.is_set():
                # Cut off in the middle, whatever that looked like to the step.
                raise Stopped(f"{recorded.subject} was stopped") from error
            means.report(StepFailed(recorded.kind, recorded.subject, str(error)))
            done = Round(names, None, None, same=False, duration=0.0, failure=error)
        else:
            means.report(
                StepFinished(
                    recorded.kind, recorded.subject, done.duration, str(output)
                )
            )
        self.rounds.append(done)
        return done

    def vary(self) -> tuple[VariationOutcome, ...]:
        """What becomes of each variation: first all at once, then by halves."""
        wanted, around = self.checker.variations, self.checker.around
        assert around is not None, "variations need to know what surrounds them"
        absent = {each: missing(each, around) for each in wanted}
        possible = [each for each in wanted if absent[each] is None]
        outcomes = {
            each: VariationOutcome(each.value, Reach.UNAVAILABLE, reason)
            for each, reason in absent.items()
            if reason is not None
        }
        base = self.rounds[-1] if self.rounds else self.round(())
        if not base.same:
            return self._without_variation(base, outcomes)
        try:
            reached = self._reached(possible)
        except DerivationError as error:
            for each in possible:
                outcomes[each] = VariationOutcome(
                    each.value, Reach.UNAVAILABLE, str(error)
                )
            return self._ordered(outcomes)
        for each in possible:
            if each not in reached:
                detail = "builds see the same with and without it"
                outcomes[each] = VariationOutcome(each.value, Reach.HIDDEN, detail)
        blamed = self._blamed(possible, reached)
        for each in reached:
            reach = Reach.GUILTY if each.value in blamed else Reach.HARMLESS
            outcomes[each] = VariationOutcome(each.value, reach, self._detail(each))
        return self._ordered(outcomes)

    def _blamed(
        self, possible: Sequence[Variation], reached: Sequence[Variation]
    ) -> frozenset[str]:
        together = self.round(possible)
        if together.same:
            return frozenset()

        def differs(names: tuple[str, ...]) -> bool:
            return not self.round([Variation(name) for name in names]).same

        return guilty([each.value for each in reached], differs)

    def _without_variation(
        self, base: Round, outcomes: dict[Variation, VariationOutcome]
    ) -> tuple[VariationOutcome, ...]:
        """It differs, or fails, as it is: the clock went on, or it was chance."""
        for each in self.checker.variations:
            if each in outcomes:
                continue
            if each is Variation.TIME and base.failure is None:
                detail = "it differs with nothing else varied: by time or by chance"
                outcomes[each] = VariationOutcome(each.value, Reach.GUILTY, detail)
            else:
                outcomes[each] = VariationOutcome(each.value, Reach.UNTRIED)
        return self._ordered(outcomes)

    def _reached(self, possible: Sequence[Variation]) -> list[Variation]:
        """The variations of which something is seen inside."""
        if self.recorded.level == "none-needed":
            # No process that could see anything takes part.
            return [each for each in possible if each is Variation.TIME]
        before = self._observe(())
        after = self._observe(possible)
        return [
            each
            for each in possible
            if each is Variation.TIME or before.get(each.value) != after.get(each.value)
        ]

    def _observe(self, varied: Collection[Variation]) -> Mapping[str, str]:
        means = self.checker.means
        step = RecordedStep.of(means.store, self.recorded)
        target = means.find_target(step.interpreter(), step.level)
        return observe(means, target, self._conditions(varied))

    def _conditions(self, varied: Collection[Variation]) -> Conditions:
        if not varied or self.checker.around is None:
            return USUAL
        return conditions(varied, self.checker.around)

    def _detail(self, variation: Variation) -> str:
        if variation is not Variation.TIME:
            return ""
        later = int(self.checker.means.clock()) - self.recorded.started
        return f"the clock cannot be set; it was {later} s later than when recorded"

    def _ordered(
        self, outcomes: Mapping[Variation, VariationOutcome]
    ) -> tuple[VariationOutcome, ...]:
        return tuple(outcomes[each] for each in self.checker.variations)

    def _keep(self, again: Rebuilt, varied: tuple[str, ...]) -> StorePath:
        """Register what a round gave: evidence, never used in place of the first."""
        means, recorded = self.checker.means, self.recorded
        store = means.store
        history = store.history(recorded.kind, recorded.subject)
        number = sum(1 for claim in history if claim.key == recorded.key)
        facts = {
            **dict(means.host_facts(again.level)),
            **dict(again.facts),
            "purpose": PURPOSE_CHECK,
            "round": str(number),
            **({"varied": ",".join(varied)} if varied else {}),
            **dict([fact_of_log(again.log)] if again.log is not None else []),
        }
        with store.transaction() as transaction:
            if again.path.is_dir():
                added = transaction.add_directory(
                    again.path, recorded.output.name, consume=True
                )
            else:
                added = transaction.add_file(again.path, recorded.output.name)
            claim = replace(
                recorded,
                output=added.path,
                output_digest=added.digest,
                started=int(again.started),
                duration=again.duration,
                facts=tuple(sorted(facts.items())),
            )
            transaction.register(claim)
            if again.log is not None and not again.same:
                # Of what is the same, the log says the same.
                keep_log_of_round(store, claim, again.log)
        return added.path


def overall(verdicts: Sequence[Verdict]) -> State:
    """The state of several keys together: one that differs decides."""
    states = {verdict.state for verdict in verdicts}
    if State.DIFFERS in states:
        return State.DIFFERS
    failed = any(verdict.failures for verdict in verdicts)
    return State.UNKNOWN if failed or State.UNKNOWN in states else State.REPRODUCED
