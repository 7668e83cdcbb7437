"""Collections as steps: what was built together becomes one object."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from zipfile import ZipFile

from fromager.derivations.collecting.files import (
    WHEELS,
    WheelFacts,
    collection_files,
    overlaps_of,
)
from fromager.derivations.collecting.fitting import FittingWheel, check_fit
from fromager.derivations.collecting.overlaps import installed
from fromager.derivations.collecting.plan import (
    CollectedSet,
    CollectedWheel,
    CollectionPlan,
    SetMember,
)
from fromager.derivations.errors import SourceError
from fromager.derivations.locking.lock import LockedPlatform
from fromager.derivations.realising import instantiate
from fromager.derivations.realising.attempt import BuiltWheel
from fromager.derivations.realising.events import Noted
from fromager.derivations.realising.request import Collect, Realised, RealisedWheel
from fromager.derivations.realising.settling import root_causes
from fromager.derivations.realising.steps import Made
from fromager.derivations.realising.wheel_file import metadata_of
from fromager.derivations.resolution.outcome import Resolved
from fromager.store import Directory, File, from_paths

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from packaging.version import Version

    from fromager.derivations.derivation import ResolvedDerivation
    from fromager.derivations.interpreter import Interpreter
    from fromager.derivations.realising.steps import Step, Steps
    from fromager.derivations.resolution.outcome import Pin
    from fromager.store import LocalStore, Node, ObjectInfo, StorePath, Transaction

OBJECT_NAME: Final = "collection"
"""What all of them are called: two are the same if their store paths are."""


@dataclass(frozen=True)
class BuiltSet:
    """One consistent set, and what came of building it."""

    resolution: Resolved
    built: Mapping[str, BuiltWheel | BaseException]
    """By project; by nothing what kept all of it from being built."""
    asked: frozenset[str]
    """The projects that were asked for."""

    @classmethod
    def failed(cls, error: Exception) -> BuiltSet:
        """A set for which there are no versions."""
        return cls(Resolved(()), {"": error}, frozenset())

    @property
    def wheels(self) -> tuple[tuple[Pin, BuiltWheel], ...]:
        """What was built, by the order of the resolution."""
        pairs = ((pin, self.built[pin.name]) for pin in self.resolution.pins)
        return tuple((p, wheel) for p, wheel in pairs if isinstance(wheel, BuiltWheel))

    @property
    def failures(self) -> list[Exception]:
        """What could not be built."""
        return [each for each in self.built.values() if isinstance(each, Exception)]


def result_of(sets: Sequence[BuiltSet], steps_done: int) -> Realised:
    """The wheels of all sets, each once."""
    found: dict[tuple[str, Version], RealisedWheel] = {}
    for each in sets:
        for pin, built in each.wheels:
            known = found.get((pin.name, pin.version))
            needs = set(pin.dependencies)
            found[pin.name, pin.version] = RealisedWheel(
                pin.name,
                pin.version,
                built.filename,
                pin.name in each.asked or (known is not None and known.requested),
                tuple(sorted(needs.union(known.dependencies if known else ()))),
                built.step.realisation,
                None if built.sdist is None else built.sdist.realisation,
            )
    failures = root_causes([error for each in sets for error in each.failures])
    wheels = tuple(found[key] for key in sorted(found))
    return Realised(wheels, failures, steps_done)


@dataclass(frozen=True)
class Collecting:
    """Makes collections of what was built."""

    steps: Steps
    interpreter: Interpreter

    async def result(self, sets: Sequence[BuiltSet], collect: Collect) -> Realised:
        """What came of some sets, with their collection if that is wanted."""
        found = result_of(sets, self.steps.done)
        if collect is Collect.NOTHING or found.failures or not found.wheels:
            return found
        step = await self.collect(sets, several=collect is Collect.SEVERAL)
        return replace(found, steps_done=self.steps.done, collection=step.realisation)

    async def collect(self, sets: Sequence[BuiltSet], *, several: bool) -> Step:
        """The collection of some sets, all of whose wheels were built.

        Raises:
            Misfit: wheels of one set cannot be installed together.
        """
        for each in sets:
            check_fit(
                [_fitting(pin, built) for pin, built in each.wheels],
                self.interpreter.marker_environment,
                self.interpreter.tags,
            )
        plan = _plan(sets, LockedPlatform.of(self.interpreter), several=several)
        built = {_subject(pin): wheel for each in sets for pin, wheel in each.wheels}
        inputs = tuple(built[wheel.subject].step for wheel in plan.wheels)
        derivation = instantiate.collection(
            plan,
            {
                wheel.subject: built[wheel.subject].step.derivation
                for wheel in plan.wheels
            },
        )

        def make(transaction: Transaction, resolved: ResolvedDerivation) -> Made:
            outputs = {
                wheel.subject: step.output
                for wheel, step in zip(plan.wheels, inputs, strict=True)
            }
            store = self.steps.store
            facts = collected_facts(store, plan, outputs)
            for overlap in overlaps_of(plan, facts):
                self.steps.report(Noted(plan.subject, str(overlap)))
            return Made(_add(store, transaction, plan, outputs, facts))

        return await self.steps.step(derivation, inputs, make)


def collected_facts(
    store: LocalStore, plan: CollectionPlan, outputs: Mapping[str, StorePath]
) -> Mapping[str, WheelFacts]:
    """What the wheels of a collection tell; they lie in these outputs, by subject."""
    return {
        wheel.subject: _facts(store.place(outputs[wheel.subject]) / wheel.filename)
        for wheel in plan.wheels
    }


def _add(
    store: LocalStore,
    transaction: Transaction,
    plan: CollectionPlan,
    outputs: Mapping[str, StorePath],
    facts: Mapping[str, WheelFacts],
) -> ObjectInfo:
    nodes: list[tuple[str, Node]] = []
    for wheel in plan.wheels:
        output = outputs[wheel.subject]
        content = store.tree(output)
        node = content.get(wheel.filename) if isinstance(content, Directory) else None
        if not isinstance(node, File):
            raise SourceError(f"{output} does not hold {wheel.filename}")
        nodes.append((f"{WHEELS}/{wheel.filename}", node))
    for path, text in collection_files(plan, facts).items():
        nodes.append((path, transaction.put_blob(text)))
    references = sorted({*outputs.values()}, key=str)
    return transaction.add_tree(from_paths(nodes), OBJECT_NAME, references=references)


def _facts(wheel: Path) -> WheelFacts:
    with wheel.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    with ZipFile(wheel) as archive:
        files = {
            installed(member.filename): (member.CRC, member.file_size)
            for member in archive.infolist()
            if not member.is_dir()
        }
        metadata = metadata_of(archive)
    return WheelFacts(sha256, wheel.stat().st_size, metadata, files)


def _plan(
    sets: Sequence[BuiltSet], platform: LockedPlatform, *, several: bool
) -> CollectionPlan:
    wheels = {
        (pin.name, pin.version): CollectedWheel(
            pin.name, str(pin.version), built.filename, pin.release.prebuilt
        )
        for each in sets
        for pin, built in each.wheels
    }
    # Two requirements may come to the same.
    found = {each: None for each in map(_set, sets) if each.members or not several}
    ordered = sorted(found, key=lambda each: (each.requested, each.members))
    return CollectionPlan(
        platform, tuple(wheels[key] for key in sorted(wheels)), tuple(ordered), several
    )


def _set(each: BuiltSet) -> CollectedSet:
    pins = {pin.name: pin for pin in each.resolution.pins}
    members = (
        SetMember(
            _subject(pin),
            pin.extras,
            tuple(_subject(pins[n]) for n in pin.dependencies),
        )
        for pin in pins.values()
    )
    requested = (_subject(pins[name]) for name in each.asked if name in pins)
    return CollectedSet(
        tuple(sorted(requested)), tuple(sorted(members, key=lambda m: m.subject))
    )


def _fitting(pin: Pin, built: BuiltWheel) -> FittingWheel:
    return FittingWheel(
        pin.name, pin.version, built.filename, built.metadata, pin.extras
    )


def _subject(pin: Pin) -> str:
    return f"{pin.name}=={pin.version}"
