"""The page of package settings lists every setting, condition and action as it is."""

import os
import re
from pathlib import Path

import pytest

from fromager.derivations.customisation.composites import ACTIONS
from fromager.derivations.customisation.native import CONDITIONS, package_rules
from fromager.derivations.customisation.overrides import DEFAULTS
from fromager.derivations.customisation.toml_document import parse_toml
from support.settings_reference import rows

ROOT = Path(__file__).parents[2] / "docs"
PAGE = ROOT / "reference" / "package-settings.md"


def section(title: str) -> str:
    text = PAGE.read_text(encoding="utf-8")
    return text.split(f"## {title}\n")[1].split("\n## ")[0]


def test_the_table_of_settings_is_made_from_the_schema() -> None:
    text = PAGE.read_text(encoding="utf-8")
    old = re.search(r"\| setting \|.*\n\|---.*\n((?:\|.*\n)+)", text)
    assert old is not None

    if os.environ.get("FROMAGER_ACCEPT"):
        PAGE.write_text(text.replace(old[1], "\n".join(rows()) + "\n"))
        pytest.skip("the table was written anew")

    assert old[1].splitlines() == rows()


def test_conditions_and_actions_are_all_there() -> None:
    names = re.compile(r"^\| `([\w-]+)` \|", re.MULTILINE)

    assert tuple(names.findall(section("Rules and their order"))) == CONDITIONS
    assert tuple(names.findall(section("Edits"))) == ACTIONS


def test_all_default_rules_are_told() -> None:
    told = re.findall(r"^\| `([\w-]+)` \|", section("Default rules"), re.MULTILINE)

    assert told == sorted(path.stem for path in DEFAULTS.glob("*.toml"))


@pytest.mark.parametrize("page", sorted(ROOT.rglob("*.md")), ids=lambda p: p.name)
def test_examples_of_package_settings_are_valid(page: Path) -> None:
    for text in re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL):
        node = parse_toml(text, page.name)
        assert isinstance(node.value, dict)
        packages = node.value.get("package")
        if packages is not None:
            assert isinstance(packages.value, dict)
            for name, table in packages.value.items():
                package_rules(name, table, 0)
