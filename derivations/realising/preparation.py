"""What is done to a source after it was unpacked: extra sources, patches, edits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from fromager.derivations.errors import DerivationError
from fromager.derivations.realising import instantiate
from fromager.derivations.realising.source_recipe import (
    DROPPED,
    ExtraFile,
    SourceRecipe,
    read_patches,
)
from fromager.derivations.realising.steps import Made, Step, Steps
from fromager.derivations.sources.edits import AddFile
from fromager.derivations.sources.patch import PatchFailed
from fromager.store import Directory, File, blob_digest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from packaging.version import Version

    from fromager.derivations.customisation.effects import Effects
    from fromager.derivations.customisation.values import ExtraSource
    from fromager.derivations.derivation import ResolvedDerivation, Value
    from fromager.derivations.sources.patch_folder import Patch
    from fromager.store import LocalStore, Transaction

T = TypeVar("T")
APPLIED: Final = "patch-applied"
"""Remembers to which version a patch of a package was applied last."""


@dataclass(frozen=True)
class Preparation:
    """What one source is prepared with: inputs and options of its derivation."""

    name: str
    version: Version
    effects: Effects
    patches: Step | None
    extras: tuple[tuple[ExtraSource, Step], ...]

    @property
    def is_nothing(self) -> bool:
        """Whether the source is taken as it is."""
        return self.patches is None and not self.extras and not self.effects.edits

    @property
    def inputs(self) -> Mapping[str, Step]:
        """By role."""
        found = {f"extra:{source.path}": step for source, step in self.extras}
        return found if self.patches is None else {**found, "patches": self.patches}

    @property
    def options(self) -> Mapping[str, Value]:
        """Nothing for a source that is taken as it is."""
        options: dict[str, Value] = {}
        if self.effects.edits:
            options["edits"] = tuple(edit.value for edit in self.effects.edits)
            options["build_dir"] = self.effects.build_dir
        if self.extras:
            options["extra_sources"] = tuple(
                extra_file(source).value for source, _ in self.extras
            )
        return options

    def prepare(self, store: LocalStore, make: Callable[[SourceRecipe], T]) -> T:
        """What `make` gives: it takes the recipe, and prepares a source by it.

        Raises:
            PatchFailed: a patch does not fit; a note says to what it did.
            EditFailed: an edit does not fit.
        """
        patches: tuple[tuple[str, bytes], ...] = ()
        if self.patches is not None:
            patches = read_patches(store, self.patches.output)
        recipe = SourceRecipe(
            patches,
            self.effects.edits,
            tuple(
                (extra_file(source), store.place(step.output))
                for source, step in self.extras
            ),
            self.effects.build_dir,
        )
        try:
            made = make(recipe)
        except PatchFailed as error:
            failed = error.of(self._places.get(error.patch, error.patch))
            before = store.recall(APPLIED, self._remembered(error.patch))
            if before is not None:
                failed.add_note(f"It last applied to {self.name}=={before.decode()}")
            raise failed from error
        for name, _ in patches:
            version = str(self.version).encode()
            store.remember(APPLIED, self._remembered(name), version)
        return made

    @property
    def _places(self) -> dict[str, str]:
        """Where its patches lie, by their names in the patch set."""
        return {name: str(patch.path) for name, patch in _in_order(self.effects)}

    def _remembered(self, patch: str) -> str:
        return f"{self.name}/{patch.partition('-')[2]}"


@dataclass(frozen=True)
class Preparations:
    """Finds out what a source is prepared with."""

    steps: Steps
    fetch: Callable[[str, str, str], Awaitable[Step]]
    """Fetches a file: its name, its sha256 and its address."""

    async def of(self, name: str, version: Version, effects: Effects) -> Preparation:
        """The patch set and the extra sources of a version, in the store."""
        subject = f"{name}=={version}"
        extras = [(e, await self._extra(subject, e)) for e in effects.extra_sources]
        patches = await self._patch_set(name, version, effects)
        return Preparation(name, version, effects, patches, tuple(extras))

    async def _extra(self, subject: str, source: ExtraSource) -> Step:
        try:
            return await self.fetch(source.filename, source.sha256, source.url)
        except DerivationError as error:
            error.add_note(f"{subject} has it as an extra source ({source.origin})")
            raise

    async def _patch_set(
        self, name: str, version: Version, effects: Effects
    ) -> Step | None:
        patches = [(name, patch.read()) for name, patch in _in_order(effects)]
        files = {
            str(blob_digest(edit.content)).partition(":")[2]: edit.content
            for edit in effects.edits
            if isinstance(edit, AddFile)
        }
        if not patches and not files:
            return None
        derivation = instantiate.patch_set(
            f"{name}=={version}",
            [(name, blob_digest(content)) for name, content in patches],
            [blob_digest(content) for content in files.values()],
        )

        def make(transaction: Transaction, resolved: ResolvedDerivation) -> Made:
            members: dict[str, File | Directory] = {
                name: transaction.put_blob(content) for name, content in patches
            }
            if files:
                members[DROPPED] = Directory.of(
                    {name: transaction.put_blob(c) for name, c in files.items()}
                )
            label = instantiate.object_name(f"{name}-{version}-patches")
            return Made(transaction.add_tree(Directory.of(members), label))

        return await self.steps.step(derivation, (), make)


def _in_order(effects: Effects) -> Iterator[tuple[str, Patch]]:
    """Patches, each with a name by which they can be sorted."""
    for number, patch in enumerate(effects.patches, start=1):
        yield f"{number:04}-{patch.name}", patch


def extra_file(source: ExtraSource) -> ExtraFile:
    """What is done with an extra source once it is there."""
    return ExtraFile(source.path, source.filename, source.unpack)
