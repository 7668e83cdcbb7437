"""Bills of materials of what is in the store."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

from fromager.cli.sharing import Sharing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fromager.cli.wiring import Wiring
    from fromager.derivations import SbomForm
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


def bill_maker(
    wiring: Wiring, store: LocalStore
) -> Callable[[Realisation, SbomForm], bytes]:
    """Makes the bill of one wheel and what it needs, for those who ask again and again.

    What nothing here meets stands in the bill.
    """
    from fromager.derivations import (
        build_steps,
        runtime_closure,
        sbom_contents,
        sbom_of,
    )

    @cache
    def markers() -> Mapping[str, str]:
        return wiring.interpreter(store).marker_environment

    def make(wheel: Realisation, form: SbomForm) -> bytes:
        wheels, _ = runtime_closure(store, [wheel], markers())
        steps = build_steps(store, wheels)
        contents = sbom_contents(store, [wheel], wheels, steps, markers())
        return sbom_of(contents, form, version=version("fromager"))

    return make
