"""Derivations of all that a backend may be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fromager.derivations.realising import instantiate
from fromager.derivations.versions import NORMALISATION_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.derivations.derivation import Derivation
    from fromager.derivations.realising.attempt import Attempt
    from fromager.derivations.realising.target import Target


@dataclass(frozen=True)
class Asking:
    """Says what is done in an attempt, for one target."""

    target: Target
    runner: str
    """Names the scripts that run inside."""

    def requires(self, attempt: Attempt) -> Derivation:
        """What else must be there."""
        return instantiate.requires(
            attempt.subject,
            attempt.source.derivation,
            attempt.environment.step.derivation,
            attempt.arrangement.options(self.target, self.runner),
            _more(attempt),
        )

    def metadata(self, attempt: Attempt) -> Derivation:
        """The metadata that its wheel would have."""
        return instantiate.metadata(
            attempt.subject,
            attempt.source.derivation,
            attempt.environment.step.derivation,
            attempt.arrangement.options(self.target, self.runner),
            _more(attempt),
        )

    def wheel(self, attempt: Attempt) -> Derivation:
        """Its wheel."""
        return instantiate.wheel(
            attempt.subject,
            attempt.source.derivation,
            attempt.environment.step.derivation,
            attempt.arrangement.options(self.target, self.runner),
            NORMALISATION_VERSION,
            _more(attempt),
        )


def _more(attempt: Attempt) -> Mapping[str, Derivation]:
    inputs = attempt.arrangement.inputs
    return {role: step.derivation for role, step in inputs.items()}
