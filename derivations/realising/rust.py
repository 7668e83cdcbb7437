"""What builds that compile Rust are given: crates, vendored, and the toolchain."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from fromager.derivations.errors import SourceError
from fromager.derivations.realising import instantiate
from fromager.derivations.realising.steps import Made, Step, Steps
from fromager.derivations.rust.lock import RegistrySource, RepositorySource
from fromager.derivations.rust.project import locked_crates, rust_project
from fromager.derivations.rust.vendoring import (
    crate_value,
    numbered,
    role_of,
    vendor,
)
from fromager.derivations.sources.direct import GitSource
from fromager.derivations.sources.sink import TreeSink

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.derivations.customisation.effects import Effects
    from fromager.derivations.derivation import ResolvedDerivation
    from fromager.derivations.index.client import IndexClient
    from fromager.derivations.realising.checkouts import Checkouts
    from fromager.derivations.realising.sources import Sources
    from fromager.derivations.rust.lock import Crate
    from fromager.derivations.rust.registries import Registries
    from fromager.derivations.rust.toolchain import RustFinder, RustToolchain
    from fromager.derivations.sources.members import Limits
    from fromager.store import Transaction

ROLE: Final = "crates"
"""The role of vendored crates among the inputs of a build."""


@dataclass(frozen=True, slots=True)
class RustUse:
    """What one build that compiles Rust is given."""

    crates: Step
    toolchain: RustToolchain


@dataclass
class Rust:
    """Finds out which builds compile Rust, and makes what they need."""

    steps: Steps
    sources: Sources
    client: IndexClient
    registries: Registries
    finder: RustFinder
    limits: Limits
    checkouts: Checkouts | None = None
    """Takes crates from repositories; None where none can be asked."""

    async def use(
        self,
        subject: str,
        source: Step,
        effects: Effects,
        requires: tuple[str, ...],
        markers: Mapping[str, str],
    ) -> RustUse | None:
        """What the build of a source is given; None if it compiles no Rust.

        Raises:
            MissingCargoLock: nothing says which crates it is built with.
            RustMissing: this machine has no toolchain.
        """
        read = partial(self.sources.member, source)
        pyproject = partial(read, effects.in_project("pyproject.toml"))
        project = rust_project(pyproject, requires, markers, effects.rust)
        if project is None:
            return None
        crates = locked_crates(subject, project, effects.build_dir, read)
        toolchain = await self.steps.in_thread(lambda: self.finder.find(subject))
        return RustUse(await self.vendored(subject, crates), toolchain)

    async def vendored(self, subject: str, crates: tuple[Crate, ...]) -> Step:
        """The crates, unpacked where cargo finds them without a network."""
        held = await asyncio.gather(*(self._crate(subject, crate) for crate in crates))
        sources = numbered(crates)
        by_role = {
            role_of(crate, sources): step.derivation
            for crate, step in zip(crates, held, strict=True)
        }
        derivation = instantiate.crates(
            f"crates of {subject}", by_role, [crate_value(crate) for crate in crates]
        )

        def make(transaction: Transaction, resolved: ResolvedDerivation) -> Made:
            store = self.steps.store
            places = [
                (crate, store.place(step.output))
                for crate, step in zip(crates, held, strict=True)
            ]
            builder = transaction.build_tree(
                instantiate.object_name(f"{subject.replace('==', '-')}-crates")
            )
            vendor(places, TreeSink(builder), self.limits)
            return Made(builder.add())

        return await self.steps.step(derivation, tuple(held), make)

    async def _crate(self, subject: str, crate: Crate) -> Step:
        match crate.source:
            case RegistrySource() as source:
                return await self._file(crate, source)
            case RepositorySource() as source:
                return await self._repository(subject, crate, source)

    async def _file(self, crate: Crate, source: RegistrySource) -> Step:
        derivation = instantiate.fetch(
            crate.filename, crate.sha256 or "", [str(source)]
        )

        def make(transaction: Transaction, resolved: ResolvedDerivation) -> Made:
            with self.steps.store.scratch("fetch") as scratch:
                folder = scratch.path / "out"
                folder.mkdir()
                self.registries.fetch(crate, source, folder / crate.filename)
                name = instantiate.object_name(crate.filename)
                return Made(transaction.add_directory(folder, name, consume=True))

        return await self.steps.step(derivation, (), make)

    async def _repository(
        self, subject: str, crate: Crate, source: RepositorySource
    ) -> Step:
        if self.checkouts is None:
            text = f"{subject}: its crate {crate.subject} is in {source}"
            raise SourceError(f"{text}, and no repository can be asked here")
        commit = GitSource(source.url, source.commit)
        step, _ = await self.checkouts.tree(commit)
        return step
