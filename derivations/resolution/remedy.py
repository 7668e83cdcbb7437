"""What to change where a request has no answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fromager.derivations.resolution.facts import Constrained, Given, Unusable
from fromager.derivations.resolution.refusal import RefusalKind
from fromager.derivations.resolution.wording import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packaging.version import Version

    from fromager.derivations.resolution.demand import Demand
    from fromager.derivations.resolution.evidence import Evidence


def remedy(evidence: Evidence) -> str | None:
    """The change that is most likely meant, without a full stop; None if none is known.

    A refused version that would do comes before requirements that could be looser.
    """
    if evidence.unknown:
        names = listed(evidence.unknown)
        return f"Check the name {names}, or use an index that has it"
    for deadlock in evidence.deadlocks:
        if evidence.quarantined(deadlock.name) is not None:
            return _without(deadlock.name)
        if deadlock.refusals:
            newest = deadlock.refusals[0]
            return _for_refusal(
                deadlock.name, newest.version, newest.kind, newest.detail
            )
    constraints = [f.demand for f in evidence.facts if isinstance(f, Constrained)]
    constraints = [demand for demand in constraints if evidence.narrows(demand)]
    if constraints:
        return f"Loosen the constraint {_either(constraints)}"
    given = [f.demand for f in evidence.facts if isinstance(f, Given)]
    narrow = [demand for demand in given if evidence.narrows(demand)]
    if narrow:
        return f"Loosen {_either(narrow)}"
    for fact in evidence.facts:
        if isinstance(fact, Unusable):
            [version] = evidence.versions(fact.name, 1 << fact.index)
            return _for_refusal(fact.name, version, fact.kind, fact.detail)
    for deadlock in evidence.deadlocks:
        if len(deadlock.demands) == 1 and not deadlock.refusals:
            return f"Use an index that has {deadlock.demands[0]}"
    if len(given) > 1:
        return f"Resolve {listed(d.name for d in given)} apart from each other"
    if any(demand.extras for demand in given):
        return f"Leave an extra out of {_either(given)}"
    return None


def _either(demands: Sequence[Demand]) -> str:
    *head, last = (f"{demand} ({demand.origin})" for demand in demands)
    return f"{', '.join(head)} or {last}" if head else last


def _without(name: str) -> str:
    return f"Do without {name} until its index has looked into it"


def _for_refusal(name: str, version: Version, kind: RefusalKind, detail: str) -> str:
    match kind:
        case RefusalKind.PRERELEASE:
            return f"Require {name}=={version} if it is meant, or allow pre-releases"
        case RefusalKind.YANKED:
            return f"Require {name}=={version} if the yanked release is meant"
        case RefusalKind.PYTHON:
            return f"Use Python {detail}, or require another version of {name}"
        case RefusalKind.WHEEL_ONLY:
            return (
                f"Take {name} as a prebuilt wheel, or require a version of it that has a "
                "source distribution"
            )
        case RefusalKind.NO_WHEEL:
            return (
                f"Name an index that has wheels of {name} (prebuilt-index), or let it be "
                "built"
            )
        case RefusalKind.TOO_NEW:
            return f"Use a later cut-off date, or one of its own for {name}"
        case RefusalKind.TOO_YOUNG:
            return f"Wait, set a lower age for {name}, or require {name}=={version}"
        case RefusalKind.UPLOAD_TIME_UNKNOWN:
            return "Use an index that tells upload times, or allow this one not to"
        case RefusalKind.QUARANTINED:
            return _without(name)
        case RefusalKind.HASH:
            return f"Add the hash of {name} {version} if its sdist is meant"
        case RefusalKind.INVALID:
            return f"Require another version of {name}"
