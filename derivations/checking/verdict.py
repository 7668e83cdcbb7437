"""What the claims for one key say of its reproducibility; values only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fromager.store import Digest, Realisation, StorePath


class State(Enum):
    """What is known of a key."""

    UNKNOWN = "unknown"
    """It was done once only."""
    REPRODUCED = "reproduced"
    """It was done again, and always gave the same."""
    DIFFERS = "differs"
    """It gave something else at least once."""


class Reach(Enum):
    """What became of a variation."""

    HIDDEN = "hidden"
    """The build cannot see it: the sandbox shows the same whatever surrounds it."""
    HARMLESS = "harmless"
    """The build can see it, and gave the same."""
    GUILTY = "guilty"
    """With it, the build gives something else."""
    UNAVAILABLE = "unavailable"
    """It cannot be varied on this machine."""
    UNTRIED = "untried"
    """Not tried, since the build gives something else without it."""


@dataclass(frozen=True, slots=True)
class VariationOutcome:
    """What became of one variation, and how that is known."""

    name: str
    reach: Reach
    detail: str = ""

    @property
    def row(self) -> dict[str, object]:
        """As JSON values."""
        return {"name": self.name, "outcome": self.reach.value, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Round:
    """One repetition of a step."""

    varied: tuple[str, ...]
    """What was varied on purpose, sorted; nothing if only the clock went on."""
    digest: Digest | None
    """What it gave; None if it gave nothing."""
    output: StorePath | None
    same: bool
    duration: float
    failure: Exception | None = None

    @property
    def row(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "varied": list(self.varied),
            "digest": None if self.digest is None else str(self.digest),
            "output": None if self.output is None else str(self.output),
            "same": self.same,
            "seconds": round(self.duration, 3),
            "failure": None if self.failure is None else str(self.failure),
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of one key, and what was done to know it."""

    recorded: Realisation
    """The claim that is in use."""
    state: State
    reproduced_by: int
    """Other claims that it gave the same, from whatever time."""
    others: tuple[Realisation, ...] = ()
    """Claims that it gave something else, newest first."""
    rounds: tuple[Round, ...] = ()
    """What was done now."""
    variations: tuple[VariationOutcome, ...] = ()

    @property
    def telling(self) -> StorePath | None:
        """The output that tells most of what differs; None if nothing does.

        In the first round of now that differs, the most is varied.
        """
        now = [r.output for r in self.rounds if r.output is not None and not r.same]
        before = [claim.output for claim in self.others]
        return next(iter((*now, *before)), None)

    @property
    def failures(self) -> tuple[Exception, ...]:
        """Why rounds gave nothing."""
        return tuple(r.failure for r in self.rounds if r.failure is not None)

    def after(
        self, rounds: tuple[Round, ...], variations: tuple[VariationOutcome, ...]
    ) -> Verdict:
        """The same, with what was done to know it."""
        return replace(self, rounds=rounds, variations=variations)

    @property
    def row(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "key": str(self.recorded.key),
            "kind": self.recorded.kind,
            "subject": self.recorded.subject,
            "level": self.recorded.level,
            "digest": str(self.recorded.output_digest),
            "output": str(self.recorded.output),
            "state": self.state.value,
            "reproduced_by": self.reproduced_by,
            "others": [
                {"digest": str(each.output_digest), "output": str(each.output)}
                for each in self.others
            ],
            "rounds": [each.row for each in self.rounds],
            "variations": [each.row for each in self.variations],
        }


def judge(recorded: Realisation, claims: Iterable[Realisation]) -> Verdict:
    """What all claims for the key of a recorded realisation say together.

    Claims that are equal to the recorded one are that one; a difference is never
    outvoted.
    """
    others = [
        claim
        for claim in claims
        if claim.key == recorded.key and claim.record_digest != recorded.record_digest
    ]
    same = [c for c in others if c.output_digest == recorded.output_digest]
    different = [c for c in others if c.output_digest != recorded.output_digest]
    state = State.REPRODUCED if same else State.UNKNOWN
    if different:
        state = State.DIFFERS
    return Verdict(recorded, state, len(same), tuple(different))
