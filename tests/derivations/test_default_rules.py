"""The rules that come with fromager: each understood, explained, and overridable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

from fromager.derivations.customisation.customisation import Customisation
from fromager.derivations.customisation.overrides import (
    DEFAULTS,
    Overrides,
    SettingsTables,
)
from fromager.derivations.customisation.rules import EVERY_PACKAGE

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = sorted(path.stem for path in DEFAULTS.glob("*.toml"))


def customised(text: str = "", defaults: Path | None = DEFAULTS) -> Customisation:
    import tomllib

    tables = tomllib.loads(text)
    place = DEFAULTS / "fromager.toml"
    return Customisation(
        Overrides((SettingsTables(place, text, tables),), None, defaults)
    )


def some_version(package: str) -> Version:
    """A version for which the rules of a package hold."""
    rules = customised().rules(package)
    conditions = [rule.condition.version for rule in rules if rule.condition.version]
    return (
        Version(str(next(iter(conditions[0])).version)) if conditions else Version("1")
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_a_default_rule_is_understood_and_tells_its_reason(package: str) -> None:
    rules = [rule for rule in customised().rules(package) if rule.assignments]

    assert rules
    for rule in rules:
        assert rule.package == package != EVERY_PACKAGE
        assert any(
            a.setting == "annotations" and a.key == "reason" for a in rule.assignments
        )
    # What they take from beside them is there.
    assert customised().effects(package, some_version(package)).edits


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("named", ["", '"*"'])
def test_default_rules_can_be_turned_off(package: str, named: str) -> None:
    text = f"[package.{named or package}]\ndefaults = false\n"

    off = customised(text).effects(package, some_version(package))
    without = customised(defaults=None).effects(package, some_version(package))

    assert off == without


def test_settings_of_the_user_count_more_than_any_default_rule(tmp_path: Path) -> None:
    (tmp_path / "demo.toml").write_text(
        "[[when]]\nversion = '>=1'\nplatform = '*'\nenv.A = 'default'\nenv.B = 'default'\n"
        "timeout = 1\n"
    )
    text = "[package.'*']\ntimeout = 2\n[package.demo]\nenv.A = 'own'\n"

    effects = customised(text, tmp_path).effects("demo", Version("1.0"))

    assert effects.timeout == 2
    assert [v.template for v in effects.variables if v.name == "A"][-1] == "own"
    assert [v.template for v in effects.variables if v.name == "B"] == ["default"]


def test_a_default_rule_holds_for_its_versions_only(tmp_path: Path) -> None:
    (tmp_path / "demo.toml").write_text("[[when]]\nversion = '>=2'\ntimeout = 1\n")
    customisation = customised("", tmp_path)

    assert customisation.effects("demo", Version("2.0")).timeout == 1
    assert customisation.effects("demo", Version("1.0")).timeout is None


def test_packages_without_a_rule_are_as_without_any() -> None:
    assert customised().rules("demo") == ()


def test_a_changed_default_rule_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "demo.toml").write_text("timeout = 1\n")
    before = customised("", tmp_path).signature()
    (tmp_path / "demo.toml").write_text("timeout = 10\n")

    assert customised("", tmp_path).signature() != before
