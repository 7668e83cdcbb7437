"""Versions of everything that turns inputs into outputs; all are part of keys.

Raise one whenever the same inputs may give other bytes than before.
"""

from __future__ import annotations

from typing import Final

FETCH_RECIPE: Final = "fetch/1"
FETCH_COMMIT_RECIPE: Final = "fetch-commit/1"
TAKE_FOLDER_RECIPE: Final = "take-folder/1"
PATCH_SET_RECIPE: Final = "patch-set/1"
SOURCE_RECIPE: Final = "source/1"
CRATES_RECIPE: Final = "crates/1"
RUST_RECIPE: Final = "rust/1"
"""Names what builds that compile Rust are given beside crates and toolchain."""
LAYOUT_RECIPE: Final = "layout/1"
ENVIRONMENT_RECIPE: Final = "environment/1"
REQUIRES_RECIPE: Final = "requires/1"
METADATA_RECIPE: Final = "metadata/1"
WHEEL_RECIPE: Final = "wheel/1"
ANNOTATE_RECIPE: Final = "annotate/1"
PLUGIN_SOURCE_RECIPE: Final = "plugin-source/1"
PLUGIN_SDIST_RECIPE: Final = "plugin-sdist/1"
PLUGIN_REQUIRES_RECIPE: Final = "plugin-requires/1"
PREBUILT_RECIPE: Final = "prebuilt/1"
COLLECTION_RECIPE: Final = "collection/1"

SANDBOX_VERSION: Final = "fromager-sandbox/1"
"""Names everything that a sandbox fixes."""

NORMALISATION_VERSION: Final = "wheel-nf/1"
"""Names the normal form of wheels."""
