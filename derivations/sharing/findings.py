"""What is said of outputs, once they were compared: properties in results.

All begin with `FROMAGER_`. None is a claim of a build, nor ever counted as one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fromager.derivations.checking.verdict import State
from fromager.derivations.sharing.challenging import Outcome
from fromager.derivations.sharing.policy import Fault
from fromager.derivations.sharing.results import DIFFERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fromager.derivations.checking.verdict import Verdict
    from fromager.derivations.sharing.challenging import Item
    from fromager.derivations.sharing.proving import Proof
    from fromager.store import Digest, Realisation

    Found = tuple[Realisation, tuple[str, ...]]

REPRODUCED: Final = "FROMAGER_REPRODUCED_BIT"
"""It was built twice at least, and came out bit for bit the same every time."""
VERIFIED: Final = "FROMAGER_VERIFIED"
"""It, and all that it was made from, is what the policy demands."""
NOT_VERIFIED: Final = "FROMAGER_NOT_VERIFIED"
BUILDS: Final = "FROMAGER_BUILDS_{}_OF_{}"
"""So many builds of this machine gave it, of so many that were done."""
BUILDERS: Final = "FROMAGER_BUILDERS_{}_OF_{}"
"""So many builders say that it is what they got, of so many that were asked."""
FAULT: Final = "FROMAGER_FAULT_{}"
EXEMPTED: Final = "FROMAGER_EXEMPTED_{}"


def found_by_check(verdicts: Iterable[Verdict]) -> tuple[Found, ...]:
    """What builds that were done again tell; of what could not be done, nothing."""
    found = []
    for each in verdicts:
        if each.state is State.UNKNOWN:
            continue
        same = each.reproduced_by + 1
        what = REPRODUCED if each.state is State.REPRODUCED else DIFFERS
        builds = BUILDS.format(same, same + len(each.others))
        found.append((each.recorded, (builds, what)))
    return tuple(found)


def found_by_challenge(items: Iterable[Item]) -> tuple[Found, ...]:
    """What trusted builders say together with this machine; of what none of them says
    anything, nothing."""
    found = []
    for each in items:
        if each.outcome not in (Outcome.MATCH, Outcome.MISMATCH):
            continue
        dissenting = {claim.signer for claim in each.others}
        same = len({*each.agreeing} - dissenting) + 1
        what = REPRODUCED if each.outcome is Outcome.MATCH else DIFFERS
        builders = BUILDERS.format(same, same + len(dissenting))
        found.append((each.recorded, (builders, what)))
    return tuple(found)


def found_by_proof(
    proof: Proof, builders: int, *, whole: bool = True
) -> tuple[Found, ...]:
    """What a policy that names so many builders says of each step, and of all that went
    into it.

    Nothing is verified where not all could be heard who were to be: not the `whole`.
    """
    wrong: dict[Digest, frozenset[Fault]] = {}
    accepted: dict[Digest, frozenset[Fault]] = {}
    found = []
    for step in proof.steps:
        key, inputs = step.recorded.key, [key for _, key in step.recorded.inputs]
        faults = {fault for fault, _ in step.faults}
        exempted = {fault for fault, _ in step.exempted}
        wrong[key] = frozenset(faults).union(*(wrong.get(k, ()) for k in inputs))
        accepted[key] = frozenset(exempted).union(
            *(accepted.get(k, ()) for k in inputs)
        )
        properties = {VERIFIED if whole and not wrong[key] else NOT_VERIFIED}
        if not whole:
            properties.add(FAULT.format("UNHEARD"))
        properties |= {FAULT.format(each.name) for each in wrong[key]}
        properties |= {EXEMPTED.format(each.name) for each in accepted[key]}
        if not step.by_hash:
            # Who says two things is not counted.
            same = {*step.builders} - {claim.signer for claim in step.others}
            properties.add(BUILDERS.format(len(same), builders))
            if Fault.DIFFERS in faults | exempted:
                properties.add(DIFFERS)
            elif len(same) > 1:
                properties.add(REPRODUCED)
        found.append((step.recorded, tuple(sorted(properties))))
    return tuple(found)
