"""Build environments: wheels laid out as installed, merged into one tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fromager.derivations.building.compilation import compile_bytecode
from fromager.derivations.building.environment import base_files, compose
from fromager.derivations.building.layout import Scheme, install_wheel
from fromager.derivations.building.scripts import compiler_digest
from fromager.derivations.errors import SourceError
from fromager.derivations.realising import instantiate
from fromager.derivations.realising.steps import Made, Step, Steps
from fromager.store import Directory, File, Link, blob_digest, from_paths

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fromager.derivations.building.sandbox import Stop
    from fromager.derivations.derivation import ResolvedDerivation
    from fromager.derivations.realising.target import Target
    from fromager.store import LocalStore, Node, StorePath, Transaction


LAYOUT_URGENCY: Final = 1 << 20
"""Somebody waits for every layout, and it takes a moment only."""


@dataclass
class Environments:
    """Makes layouts out of wheels, and environments out of layouts."""

    steps: Steps
    target: Target

    def __post_init__(self) -> None:
        self._script = compiler_digest()
        self._base_files = base_files(self.target.interpreter)
        self._base = base_tree(self._base_files)
        self._layouts: dict[tuple[str, str, StorePath], Step] = {}

    async def layout(self, subject: str, wheel: Step, filename: str) -> Step:
        """A wheel unpacked as it would be installed, with bytecode."""
        made = (subject, filename, wheel.output)
        if made in self._layouts:
            return self._layouts[made]
        interpreter = self.target.interpreter
        derivation = instantiate.layout(
            subject,
            wheel.derivation,
            filename,
            interpreter,
            self._script,
            {"python": str(self.target.python), "sandbox": self.target.sandbox_name},
        )

        def make(transaction: Transaction, resolved: ResolvedDerivation) -> Made:
            store = self.steps.store
            with store.scratch("layout") as scratch:
                root = scratch.path / "env"
                root.mkdir()
                packed = store.place(wheel.output) / filename
                lay_out(self.target, packed, root, self.steps.stop)
                name = instantiate.object_name(f"{subject}-layout")
                return Made(transaction.add_directory(root, name, consume=True))

        self._layouts[made] = await self.steps.step(
            derivation, (wheel,), make, urgency=lambda: LAYOUT_URGENCY
        )
        return self._layouts[made]

    async def environment(self, layouts: Mapping[str, Step]) -> Step:
        """The layouts, by `name==version`, merged into one installation."""
        subject = " ".join(sorted(layouts)) or "nothing"
        derivation = instantiate.environment(
            subject,
            {name: step.derivation for name, step in layouts.items()},
            self.target.interpreter,
            self._base.digest,
        )

        def make(transaction: Transaction, resolved: ResolvedDerivation) -> Made:
            trees = [
                (name, layout_tree(self.steps.store, step.output))
                for name, step in sorted(layouts.items())
            ]
            for content in self._base_files.values():
                if isinstance(content, bytes):
                    transaction.put_blob(content)
            tree = compose(trees, self._base)
            return Made(transaction.add_tree(tree, "environment"))

        return await self.steps.step(derivation, tuple(layouts.values()), make)


def lay_out(target: Target, wheel: Path, root: Path, stop: Stop) -> None:
    """Do what a `layout` derivation says: install a wheel into an empty folder."""
    install_wheel(wheel, root, Scheme.of(target.interpreter))
    compile_bytecode(target.sandbox, target.base, target.interpreter, root, stop)


def layout_tree(store: LocalStore, layout: StorePath) -> Directory:
    """What a layout holds."""
    tree = store.tree(layout)
    if not isinstance(tree, Directory):
        raise SourceError(f"{layout} is no layout")
    return tree


def base_tree(files: Mapping[str, bytes | str]) -> Directory:
    """The tree of what every environment has; see `base_files`."""
    return from_paths((path, _node(content)) for path, content in files.items())


def _node(content: bytes | str) -> Node:
    """A file with these bytes, or a link to that target."""
    if isinstance(content, bytes):
        return File(blob_digest(content), size=len(content))
    return Link(content)
