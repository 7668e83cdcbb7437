"""Bills of materials of what is in the store."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from fromager.cli.sharing import Sharing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fromager.cli.wiring import Wiring
    from fromager.store import LocalStore, Realisation


@dataclass(frozen=True)
class Bill:
    """A bill of materials as a file."""

    content: bytes
    packages: int
    tools: int


def bill_of(
    wiring: Wiring, store: LocalStore, named: Sequence[Realisation], form: str
) -> Bill:
    """That of wheels and what they need at run time; `form` as in `SbomForm`."""
    from fromager.derivations import SbomForm, sbom_contents, sbom_of

    wheels, steps = Sharing(wiring).closure(store, named)
    markers = wiring.interpreter(store).marker_environment
    contents = sbom_contents(store, named, wheels, steps, markers)
    content = sbom_of(contents, SbomForm(form), version=version("fromager"))
    return Bill(content, len(contents.parts), len(contents.tools))
