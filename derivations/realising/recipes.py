"""The versions of all recipes, of which every answer to a request is a result."""

from __future__ import annotations

from fromager.derivations import versions
from fromager.derivations.building.scripts import compiler_digest, runner_digest


def recipe_versions() -> tuple[str, ...]:
    """All of them: if they are equal, equal inputs have equal keys."""
    return (
        versions.FETCH_RECIPE,
        versions.PATCH_SET_RECIPE,
        versions.SOURCE_RECIPE,
        versions.LAYOUT_RECIPE,
        compiler_digest(),
        versions.ENVIRONMENT_RECIPE,
        versions.REQUIRES_RECIPE,
        versions.WHEEL_RECIPE,
        runner_digest(),
        versions.SANDBOX_VERSION,
        versions.NORMALISATION_VERSION,
    )
