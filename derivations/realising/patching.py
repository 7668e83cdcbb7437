"""Work on patches: sources without a build, work trees, trying patches out."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packaging.utils import canonicalize_name
from packaging.version import Version

from fromager.derivations.errors import InputError
from fromager.derivations.realising.knowledge import KnowledgeBase
from fromager.derivations.realising.sources import Sources
from fromager.derivations.resolution.candidate import Metadata
from fromager.derivations.resolution.request import GivenRequirement, Request
from fromager.derivations.sources.diff import diff_trees, read_tree
from fromager.derivations.sources.patch import PatchFailed, apply_patch
from fromager.store import Directory, ObjectMissing, StorePath

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from packaging.requirements import Requirement

    from fromager.derivations.customisation.customisation import Customisation
    from fromager.derivations.customisation.effects import Effects
    from fromager.derivations.index.client import IndexClient
    from fromager.derivations.interpreter import Interpreter
    from fromager.derivations.realising.steps import Steps
    from fromager.derivations.resolution.candidate import Release
    from fromager.derivations.sources.members import Limits
    from fromager.derivations.sources.patch_folder import Patch, PatchFolder
    from fromager.store import LocalStore

NOTE: Final = ".fromager-patch.json"
"""The file of a work tree that says what it is of; it is never in a patch."""


@dataclass(frozen=True, slots=True)
class SourceTree:
    """The source of a version in the store."""

    name: str
    version: Version
    path: StorePath
    effects: Effects
    """All that settings say of the version."""

    @property
    def subject(self) -> str:
        """`stevedore==5.10.0`."""
        return f"{self.name}=={self.version}"


@dataclass(frozen=True)
class SourceTrees:
    """Makes sources, without building anything."""

    client: IndexClient
    interpreter: Interpreter
    customisation: Customisation
    limits: Limits

    def make(
        self,
        requirement: Requirement,
        steps: Steps,
        adapt: Callable[[Effects], Effects],
    ) -> SourceTree:
        """The source of the newest version that fits, prepared as `adapt` wants it.

        Raises:
            ResolutionError: there is no such version.
        """
        return asyncio.run(self._make(requirement, steps, adapt))

    async def _make(
        self,
        requirement: Requirement,
        steps: Steps,
        adapt: Callable[[Effects], Effects],
    ) -> SourceTree:
        steps.begin()
        try:
            name = canonicalize_name(requirement.name)
            knowledge = KnowledgeBase(steps, self.client)
            given = (GivenRequirement(requirement, "request"),)
            request = Request(given, self.interpreter.marker_environment)
            resolution = await knowledge.of_request(request, _no_needs, {})
            pin = next(pin for pin in resolution.pins if pin.name == name)
            adapted = _Adapted(self.customisation, adapt)
            sources = Sources(steps, self.client, adapted, self.limits)
            step = await sources.tree(name, pin.version, pin.release)
            effects = self.customisation.effects(name, pin.version)
            return SourceTree(name, pin.version, step.output, effects)
        finally:
            await steps.end()


@dataclass(frozen=True)
class _Adapted:
    customisation: Customisation
    adapt: Callable[[Effects], Effects]

    def effects(self, name: str, version: Version) -> Effects:
        return self.adapt(self.customisation.effects(name, version))


async def _no_needs(name: str, version: Version, release: Release) -> Metadata:
    return Metadata()


def before_patch(filename: str) -> Callable[[Effects], Effects]:
    """Effects with only those patches that come before one of this name, no edits."""
    return lambda effects: replace(
        effects,
        patches=tuple(p for p in effects.patches if p.name < filename),
        edits=(),
    )


def unpatched(effects: Effects) -> Effects:
    """Effects without patches and edits."""
    return replace(effects, patches=(), edits=())


@dataclass(frozen=True, slots=True)
class WorkTree:
    """A folder in which a patch is being made."""

    folder: Path
    subject: str
    base: StorePath
    """The source as it is before the patch."""
    patch: Path
    """The file that the patch is written to."""

    @classmethod
    def open(cls, folder: Path) -> WorkTree:
        """The work tree in a folder.

        Raises:
            InputError: it is none.
        """
        try:
            note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
            base = StorePath.parse(note["base"])
            return cls(folder, str(note["subject"]), base, Path(note["patch"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{folder} is no work tree of a patch",
                hint="Make one with `patch new` or `patch edit`",
            ) from error


def make_work_tree(
    store: LocalStore, source: SourceTree, folder: Path, patch: Path
) -> WorkTree:
    """Put a source into a new folder, to be changed there.

    Raises:
        InputError: the folder is there already.
    """
    tree = store.tree(source.path)
    if not isinstance(tree, Directory):
        raise InputError(f"{source.path} is no source tree")
    if folder.exists():
        raise InputError(
            f"{folder} is there already", hint="Remove it, or name another folder"
        )
    store.materialise(tree, folder, mtime=1)
    work = WorkTree(folder, source.subject, source.path, patch.absolute())
    note = {
        "subject": work.subject,
        "base": str(work.base),
        "patch": str(work.patch),
    }
    (folder / NOTE).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
    return work


def written_patch(store: LocalStore, work: WorkTree) -> bytes:
    """The patch that leads from the source to what the work tree holds now.

    Raises:
        NoDiff: a change that a patch cannot hold.
        InputError: nothing was changed, or the source is no longer in the store.
    """
    try:
        store.tree(work.base)
    except ObjectMissing as error:
        raise InputError(
            f"the source {work.base} is no longer in the store",
            hint="Make the work tree anew",
        ) from error
    before = read_tree(store.place(work.base))
    content = diff_trees(before, read_tree(work.folder, (NOTE,)))
    if not content:
        raise InputError(f"nothing was changed in {work.folder}")
    return content


@dataclass(frozen=True, slots=True)
class Trial:
    """How a patch fared with a source."""

    patch: Patch
    failure: PatchFailed | None


def try_patches(
    store: LocalStore, source: SourceTree, patches: Sequence[Patch]
) -> tuple[Trial, ...]:
    """Apply patches one upon the other; one that fails is left out of what follows."""
    trials: list[Trial] = []
    fitting: list[Patch] = []
    tree = store.tree(source.path)
    if not isinstance(tree, Directory):
        raise InputError(f"{source.path} is no source tree")
    with store.scratch("patch-check") as scratch:
        root = scratch.path / "0"
        store.materialise(tree, root, mtime=1)
        for number, patch in enumerate(patches, start=1):
            try:
                apply_patch(root, patch.read(), patch.name)
            except PatchFailed as error:
                trials.append(Trial(patch, error))
                # It may have been applied in part.
                root = scratch.path / str(number)
                store.materialise(tree, root, mtime=1)
                for each in fitting:
                    apply_patch(root, each.read(), each.name)
            else:
                trials.append(Trial(patch, None))
                fitting.append(patch)
    return tuple(trials)


def all_patches(
    folder: PatchFolder, name: str, version: Version, variant: str
) -> tuple[Patch, ...]:
    """What may be meant for a version: its patches, and if there are none for it
    alone, those of the newest version that has some.
    """
    found = folder.find(name, version, variant)
    versions = [place.version for place in folder.places(name) if place.version]
    if not versions or Version(version.public) in versions:
        return found
    return folder.find(name, max(versions), variant)
