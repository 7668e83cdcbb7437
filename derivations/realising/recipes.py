"""The versions of all recipes, of which every answer to a request is a result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fromager.derivations import versions
from fromager.derivations.building.scripts import compiler_digest, runner_digest
from fromager.derivations.derivation import Kind
from fromager.derivations.plugins.scripts import caller_digest

_OTHERWISE: Final = (
    versions.ANNOTATE_RECIPE,
    versions.PLUGIN_SOURCE_RECIPE,
    versions.PLUGIN_REQUIRES_RECIPE,
    versions.PLUGIN_SDIST_RECIPE,
)
"""Recipes of which a kind's usual one is another."""

if TYPE_CHECKING:
    from fromager.derivations.derivation import ResolvedDerivation


def recipe_of(derivation: ResolvedDerivation) -> str | None:
    """The recipe by which a step is done again here; None if there is none."""
    for recipe in _OTHERWISE:
        if derivation.builder.partition("/")[0] == recipe.partition("/")[0]:
            return recipe
    match derivation.kind:
        case Kind.FETCH:
            return versions.FETCH_RECIPE
        case Kind.METADATA:
            return f"{versions.METADATA_RECIPE} {runner_digest()}"
        case Kind.PATCH_SET:
            return versions.PATCH_SET_RECIPE
        case Kind.SOURCE:
            crates = derivation.option("crates") is not None
            return versions.CRATES_RECIPE if crates else versions.SOURCE_RECIPE
        case Kind.ENVIRONMENT:
            return versions.ENVIRONMENT_RECIPE
        case Kind.LAYOUT:
            return f"{versions.LAYOUT_RECIPE} {compiler_digest()}"
        case Kind.REQUIRES:
            return f"{versions.REQUIRES_RECIPE} {runner_digest()}"
        case Kind.WHEEL:
            return f"{versions.WHEEL_RECIPE} {runner_digest()}"
        case Kind.COLLECTION:
            return versions.COLLECTION_RECIPE
    return None


def recipe_versions() -> tuple[str, ...]:
    """All of them: if they are equal, equal inputs have equal keys."""
    return (
        versions.FETCH_RECIPE,
        versions.FETCH_COMMIT_RECIPE,
        versions.TAKE_FOLDER_RECIPE,
        versions.PATCH_SET_RECIPE,
        versions.SOURCE_RECIPE,
        versions.CRATES_RECIPE,
        versions.RUST_RECIPE,
        versions.LAYOUT_RECIPE,
        compiler_digest(),
        versions.ENVIRONMENT_RECIPE,
        versions.REQUIRES_RECIPE,
        versions.METADATA_RECIPE,
        versions.WHEEL_RECIPE,
        versions.ANNOTATE_RECIPE,
        versions.PLUGIN_SOURCE_RECIPE,
        versions.PLUGIN_REQUIRES_RECIPE,
        versions.PLUGIN_SDIST_RECIPE,
        caller_digest(),
        versions.PREBUILT_RECIPE,
        versions.COLLECTION_RECIPE,
        runner_digest(),
        versions.SANDBOX_VERSION,
        versions.NORMALISATION_VERSION,
    )
