"""Doing a recorded step again, from what the store holds, registering nothing.

The inputs are found by the digests that the derivation names; the work is the same
as when the step was first done. What is done here must be the recorded step: where
the platform, the interpreter, the sandbox or a recipe is another one, it is refused.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from fromager.derivations.errors import BuildError
from fromager.derivations.realising.build import MemoryShort, is_small, lacks_memory
from fromager.derivations.realising.host_facts import facts_of_folder
from fromager.derivations.realising.instantiate import object_name
from fromager.derivations.realising.rebuilding import USUAL, Conditions, Rebuilt
from fromager.derivations.realising.recipes import recipe_of
from fromager.derivations.realising.recorded import RecordedStep
from fromager.derivations.realising.repetition import Repetition
from fromager.derivations.versions import FETCH_COMMIT_RECIPE, TAKE_FOLDER_RECIPE
from fromager.store import (
    ObjectDamaged,
    ObjectMissing,
    StoreError,
    blob_digest,
    read_tree,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fromager.derivations.realising.rebuilding import RebuildMeans
    from fromager.derivations.realising.repetition import Facts
    from fromager.store import Digest, Realisation


@contextmanager
def build_again(
    means: RebuildMeans, realisation: Realisation, *, conditions: Conditions = USUAL
) -> Iterator[Rebuilt]:
    """What a recorded step gives now, in a private folder that is removed in the end.

    Raises:
        RebuildRefused: here it would be another step; `InputGone` where something
            that it was done with is not in the store.
        BuildError: it was done, and failed.
    """
    step = RecordedStep.of(means.store, realisation)
    if (place := realisation.fact("prebuilt")) is not None:
        raise step.refused(f"it was not built, but taken from {place}")
    if step.derivation.builder in (FETCH_COMMIT_RECIPE, TAKE_FOLDER_RECIPE):
        raise step.refused("a commit and a folder are named by what they hold")
    recipe = recipe_of(step.derivation)
    if recipe is None:
        raise step.refused(f"a {step.derivation.kind.value} is nothing that was built")
    if recipe != step.derivation.builder:
        raise step.refused(
            f"it was done by the recipe {step.derivation.builder}, "
            f"here that is {recipe}",
            hint="Use the version of fromager that made it, or realise it anew",
        )
    with ExitStack() as held:
        done = _do(means, step, conditions, held)
        log = done.folder / "log"
        here = facts_of_folder(done.folder) if log.exists() else ()
        yield Rebuilt(
            realisation,
            _digest(done.path),
            done.path,
            realisation.level,
            tuple(sorted((*done.facts, *here))),
            done.started,
            max(0.0, means.clock() - done.started),
            log if log.exists() else None,
        )


@dataclass(frozen=True, slots=True)
class _Done:
    """A step that was done again in a folder."""

    folder: Path
    path: Path
    facts: Facts
    started: float


def _do(
    means: RebuildMeans, step: RecordedStep, conditions: Conditions, held: ExitStack
) -> _Done:
    """Do a step where it was done first: in memory, if it is small."""
    if conditions.folder is not None:
        place = TemporaryDirectory(dir=conditions.folder, prefix="fromager-")
        return _attempt(means, step, conditions, Path(held.enter_context(place)))
    source = dict(step.derivation.inputs).get("source")
    if source is not None and is_small(means.store, step.input("source")):
        with suppress(MemoryShort):
            return _in_store(means, step, conditions, held, in_memory=True)
    return _in_store(means, step, conditions, held, in_memory=False)


def _in_store(
    means: RebuildMeans,
    step: RecordedStep,
    conditions: Conditions,
    held: ExitStack,
    *,
    in_memory: bool,
) -> _Done:
    with ExitStack() as attempt:
        name = object_name(step.subject)
        scratch = attempt.enter_context(means.store.scratch(name, in_memory=in_memory))
        try:
            done = _attempt(means, step, conditions, scratch.path)
        except (BuildError, StoreError, OSError) as error:
            if lacks_memory(scratch, "\n".join(getattr(error, "log_tail", ()))):
                raise MemoryShort from error
            if isinstance(error, BuildError) and means.policy.keep_failed:
                error.kept = str(scratch.keep())
            raise
        held.enter_context(attempt.pop_all())
    return done


def _attempt(
    means: RebuildMeans, step: RecordedStep, conditions: Conditions, folder: Path
) -> _Done:
    started = means.clock()
    try:
        path, facts = Repetition(means, step, conditions, folder).make()
    except (ObjectMissing, ObjectDamaged) as error:
        raise step.refused(
            f"what it is made from is missing or damaged: {error}",
            hint="Realise it first; what is missing is made anew on the way",
        ) from error
    return _Done(folder, path, facts, started)


def _digest(path: Path) -> Digest:
    if path.is_dir():
        return read_tree(path).digest
    return blob_digest(path.read_bytes())
