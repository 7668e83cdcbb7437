"""The versions of everything that turns inputs into outputs."""

from __future__ import annotations

from fromager.derivations.building.compilation import compiler_digest
from fromager.derivations.building.hooks import runner_digest
from fromager.derivations.building.sandbox import SANDBOX_VERSION
from fromager.derivations.building.wheel import NORMALISATION_VERSION
from fromager.derivations.realising import instantiate


def recipe_versions() -> tuple[str, ...]:
    """All of them: if they are equal, equal inputs have equal keys."""
    return (
        instantiate.FETCH_RECIPE,
        instantiate.PATCH_SET_RECIPE,
        instantiate.SOURCE_RECIPE,
        f"{instantiate.LAYOUT_RECIPE} {compiler_digest()}",
        instantiate.ENVIRONMENT_RECIPE,
        f"{instantiate.REQUIRES_RECIPE} {runner_digest()}",
        f"{instantiate.WHEEL_RECIPE} {runner_digest()}",
        SANDBOX_VERSION,
        NORMALISATION_VERSION,
    )
