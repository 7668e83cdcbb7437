"""The table of package settings in the reference, made from the schema."""

from __future__ import annotations

from fromager.derivations.customisation.schema import SETTINGS


def rows() -> list[str]:
    """One line of the table for each setting, in the order of the schema."""
    return [
        f"| `{setting.name}` | {setting.form} | {setting.meaning} "
        f"| {setting.combine.value} | {setting.covered.value} |"
        for setting in SETTINGS.values()
    ]
