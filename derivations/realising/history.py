"""What was built from what, read back from realisations."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fromager.derivations.comparison import Difference, differences
from fromager.derivations.derivation import decode
from fromager.store import Digest, InvalidRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fromager.derivations.derivation import ResolvedDerivation
    from fromager.store import LocalStore, Realisation, StorePath

_FAILURES: Final = "failed-build"


@dataclass(frozen=True, slots=True)
class Reason:
    """A field of a derivation that changed, and the way there from what was asked."""

    way: tuple[str, ...]
    """Steps from the one asked about to this one: `wheel click==8.1.7`."""
    difference: Difference

    @property
    def row(self) -> dict[str, object]:
        """As JSON values."""
        return {"way": list(self.way), **self.difference.row}

    def __str__(self) -> str:
        return f"{' <- '.join(self.way)}: {self.difference}"


def why_rebuilt(store: LocalStore, newest: Realisation) -> tuple[Reason, ...] | None:
    """The changes between a realisation and the one before of the same subject.

    An input that changed is followed to the step that made it, and so on, down to
    where the change began. None if there was no build before.
    """
    before = _before(store, newest)
    if before is None:
        return None
    reasons: dict[tuple[str, str], Reason] = {}
    _compare(store, before, newest, (), reasons)
    return tuple(reasons.values())


def compare_inputs(
    store: LocalStore, first: Realisation, second: Realisation
) -> tuple[Reason, ...]:
    """The changes between two realisations, down to where each began.

    Nothing if they are of one key: then the same was done twice.
    """
    reasons: dict[tuple[str, str], Reason] = {}
    if first.key != second.key:
        _compare(store, first, second, (), reasons)
    return tuple(reasons.values())


@dataclass(frozen=True, slots=True)
class Failure:
    """A build that failed: its key, under which its log is kept, and when it was."""

    key: Digest
    time: int
    """Seconds since the epoch."""


def remember_failure(store: LocalStore, name: str, failure: Failure) -> None:
    """Keep it as the last failure of that name."""
    value = json.dumps({"key": str(failure.key), "time": failure.time})
    store.remember(_FAILURES, name, value.encode())


def last_failure(store: LocalStore, name: str) -> Failure | None:
    """The last failed build of `name` or of `name==version`, if it is remembered."""
    content = store.recall(_FAILURES, name)
    if content is None:
        return None
    try:
        value = json.loads(content)
        return Failure(Digest.parse(value["key"]), int(value["time"]))
    except (ValueError, KeyError, TypeError, InvalidRecord):
        return None


def build_closure(
    store: LocalStore, roots: Iterable[Realisation]
) -> tuple[StorePath, ...]:
    """Outputs and derivations of these and of all that they were built from, sorted."""
    paths: set[StorePath] = set()
    queue = list(roots)
    seen: set[Digest] = {realisation.key for realisation in queue}
    while queue:
        realisation = queue.pop()
        paths |= {realisation.output, realisation.derivation}
        for _, key in realisation.inputs:
            if key not in seen:
                seen.add(key)
                queue.extend(store.realisations(key)[:1])
    return tuple(sorted(paths))


def build_steps(
    store: LocalStore, roots: Iterable[Realisation]
) -> tuple[Realisation, ...]:
    """These and all that they were built from, each key once, inputs first."""
    found: dict[Digest, Realisation] = {}
    # True: its inputs were seen already.
    stack = [(realisation, False) for realisation in reversed(list(roots))]
    seen: set[Digest] = set()
    while stack:
        realisation, ready = stack.pop()
        if ready:
            found[realisation.key] = realisation
            continue
        if realisation.key in seen:
            continue
        seen.add(realisation.key)
        stack.append((realisation, True))
        for _, key in reversed(realisation.inputs):
            if key not in seen:
                stack += [(each, False) for each in store.realisations(key)[:1]]
    return tuple(found.values())


def _before(store: LocalStore, newest: Realisation) -> Realisation | None:
    """The newest realisation of the same subject that has another key."""
    for realisation in store.history(newest.kind, newest.subject):
        older = realisation.started <= newest.started
        # Of the same sort: a wheel that was annotated is made of one that was not.
        same = ("wheel" in dict(realisation.inputs)) == ("wheel" in dict(newest.inputs))
        if realisation.key != newest.key and older and same:
            return realisation
    return None


def _compare(
    store: LocalStore,
    before: Realisation,
    after: Realisation,
    way: tuple[str, ...],
    reasons: dict[tuple[str, str], Reason],
) -> None:
    here = (*way, f"{after.kind} {after.subject}")
    old_inputs, new_inputs = dict(before.inputs), dict(after.inputs)
    old, new = _derivation(store, before), _derivation(store, after)
    for difference in differences(old, new):
        role = difference.field.removeprefix("input ")
        followed = False
        if role != difference.field and role in old_inputs and role in new_inputs:
            followed = _follow(store, old_inputs[role], new_inputs[role], here, reasons)
        if not followed:
            reasons.setdefault((here[-1], difference.field), Reason(here, difference))


def _follow(
    store: LocalStore,
    before: Digest,
    after: Digest,
    way: tuple[str, ...],
    reasons: dict[tuple[str, str], Reason],
) -> bool:
    """Compare what made an input; False if that cannot be told or is the same step."""
    if before == after:
        return False
    old, new = store.realisations(before), store.realisations(after)
    if not old or not new:
        return False
    _compare(store, old[0], new[0], way, reasons)
    return True


def _derivation(store: LocalStore, realisation: Realisation) -> ResolvedDerivation:
    return decode(store.read_file(realisation.derivation, None))
