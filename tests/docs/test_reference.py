"""What reference pages state is what the program does."""

import re
from pathlib import Path
from typing import Final

from fromager.cli.exit_codes import ExitCode
from fromager.derivations.derivation import decode, encode

DOCS: Final = Path(__file__).parents[2] / "docs"


def test_examples_of_derivations_are_canonical_and_have_the_keys_given() -> None:
    text = (DOCS / "reference/derivation-encoding.md").read_text(encoding="utf-8")

    encoded = re.findall(r"```json\n(.*)\n```", text)
    keys = re.findall(r"Its key is `([^`]*)`", text)

    derivations = [decode(line.encode()) for line in encoded]
    assert [encode(derivation).decode() for derivation in derivations] == encoded
    assert [str(derivation.key) for derivation in derivations] == keys
    assert len(keys) >= 2


def test_the_table_of_exit_codes_is_complete() -> None:
    text = (DOCS / "reference/exit-codes.md").read_text(encoding="utf-8")

    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", text, flags=re.MULTILINE)

    assert rows == [(str(int(code)), code.name) for code in ExitCode]
