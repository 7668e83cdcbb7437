"""The page of settings lists every setting, with its variable."""

from pathlib import Path

from fromager.cli.settings import SETTINGS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


def test_the_page_has_a_row_for_every_setting_and_no_other() -> None:
    rows = [
        [cell.strip().strip("`") for cell in line.strip("|\n").split("|")]
        for line in PAGE.read_text().splitlines()
        if line.startswith("| `")
    ]

    assert {(row[0], row[1]) for row in rows} == {
        (setting.name, setting.variable) for setting in SETTINGS.values()
    }
