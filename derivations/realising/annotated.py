"""Built wheels being finished: annotated, as a derivation of its own.

What is built with a wheel gets it as it was built, so that an entry in a changelog
rebuilds nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from fromager.derivations.annotating.annotation import Origin
from fromager.derivations.annotating.wheel import annotate
from fromager.derivations.derivation import Derivation, Kind
from fromager.derivations.realising import instantiate
from fromager.derivations.realising.steps import Made
from fromager.derivations.realising.wheel_file import wheel_file
from fromager.derivations.versions import ANNOTATE_RECIPE, NORMALISATION_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.derivations.annotating.annotation import Annotation
    from fromager.derivations.derivation import ResolvedDerivation, Value
    from fromager.derivations.realising.attempt import BuiltWheel
    from fromager.derivations.realising.steps import Steps
    from fromager.store import LocalStore, Realisation, Transaction

ROLE: Final = "wheel"
"""The role of the wheel that an annotated one is made of."""


async def annotated(
    steps: Steps, built: BuiltWheel, annotation: Annotation
) -> BuiltWheel:
    """The wheel with an annotation.

    Raises:
        WheelRefused: it already has a file of a name that the annotation gives.
    """
    origin = origin_of(built.step.derivation)
    derivation = _annotated(
        built.subject,
        built.step.derivation,
        built.filename,
        annotation.value,
        None if origin is None else origin.value,
        NORMALISATION_VERSION,
    )

    def make(transaction: Transaction, resolved: ResolvedDerivation) -> Made:
        packed = steps.store.place(built.step.output) / built.filename
        with steps.store.scratch("annotate") as scratch:
            folder = scratch.path / "out"
            folder.mkdir()
            digests = annotate(packed, folder, annotation, origin).digests
            name = instantiate.object_name(f"{built.name}-{built.version}-wheel")
            output = transaction.add_directory(folder, name, consume=True)
        return Made(output, digests.facts)

    step = await steps.step(derivation, (built.step,), make)
    _, filename = wheel_file(steps.store, step.output)
    return replace(built, step=step, filename=filename)


def origin_of(derivation: Derivation) -> Origin | None:
    """The file that a wheel comes from; None if it comes from none."""
    if derivation.kind is Kind.FETCH:
        options = dict(derivation.options)
        if "sha256" not in options:
            return None
        return Origin(str(options["filename"]), str(options["sha256"]))
    inputs = dict(derivation.inputs)
    for role in ("source", "archive"):
        source = inputs.get(role)
        if isinstance(source, Derivation):
            return origin_of(source)
    return None


def as_built(store: LocalStore, wheel: Realisation) -> Realisation:
    """What an annotated wheel was made of; any other realisation itself."""
    key = dict(wheel.inputs).get(ROLE)
    if wheel.kind != Kind.WHEEL.value or key is None:
        return wheel
    found = store.realisations(key)
    return found[0] if found else wheel


def _annotated(
    subject: str,
    wheel: Derivation,
    filename: str,
    annotation: Mapping[str, Value],
    origin: Mapping[str, Value] | None,
    normalisation: str,
) -> Derivation:
    """A wheel that was built and gets something more; `origin` is what its SBOM says
    that it was made of."""
    told = annotation["sbom"] is not None
    return Derivation(
        Kind.WHEEL,
        subject,
        ANNOTATE_RECIPE,
        inputs=(("wheel", wheel),),
        options=(
            ("annotation", annotation),
            ("filename", filename),
            ("normalisation", normalisation),
            ("origin", origin if told else None),
        ),
    )
