"""Why a request has no answer, in sentences, and what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fromager.derivations.resolution.demand import Candidate, Objection
from fromager.derivations.resolution.outcome import Cause, Impossible

if TYPE_CHECKING:
    from collections.abc import Collection

    from resolvelib.structs import RequirementInformation

    from fromager.derivations.resolution.demand import AnyCandidate, AnyDemand
    from fromager.derivations.resolution.provider import Provider


def explain(
    causes: Collection[RequirementInformation[AnyDemand, AnyCandidate]],
    provider: Provider,
) -> Impossible:
    """The refusal of a search that ended with these requirements in conflict."""
    found = set()
    for demand, parent in causes:
        source = "the request"
        if isinstance(parent, Candidate):
            source = f"{parent.identifier} {parent.version}"
        elif isinstance(demand, Objection):
            source = demand.identifier
        elif demand.origin is not None:
            source = demand.origin
        text = demand.reason if isinstance(demand, Objection) else demand.stated
        found.add((text, source))
    listed = tuple(Cause(text, source) for text, source in sorted(found))
    lines = [f"{cause.source} requires {cause.requirement}" for cause in listed]
    return Impossible("\n".join(("no set of versions fits:", *lines)), None, listed)
