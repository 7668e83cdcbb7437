"""What reference pages state is what the program does."""

import json
import os
import re
from pathlib import Path
from typing import Final

import pytest

from fromager.cli.exit_codes import ExitCode
from fromager.cli.main import main_group
from fromager.derivations.derivation import decode, encode
from fromager.store import Directory, Realisation, StorePath, dump_realisation
from fromager.store.digest import (
    DERIVATION_CONTEXT,
    PATH_CONTEXT,
    RECORD_CONTEXT,
    TREE_CONTEXT,
)
from fromager.store.layout import StoreLayout
from fromager.store.records import ObjectRecord, dump_record
from support.cli_reference import render

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


def test_contexts_of_digests_are_those_in_use() -> None:
    pages = ("reference/store-layout.md", "reference/derivation-encoding.md")
    text = "".join((DOCS / page).read_text(encoding="utf-8") for page in pages)

    contexts = re.findall(r"`(fromager store [^`]*)`", text)

    used = {TREE_CONTEXT, PATH_CONTEXT, DERIVATION_CONTEXT, RECORD_CONTEXT}
    assert set(contexts) == used


def test_places_in_the_store_are_those_in_use() -> None:
    text = (DOCS / "reference/store-layout.md").read_text(encoding="utf-8")
    layout = StoreLayout(Path("/root"))

    for folder in layout.folders:
        assert f"{folder.relative_to(layout.private).parts[0]}/" in text
    for file in (layout.version, layout.database):
        assert re.search(rf"^ +{re.escape(file.name)} ", text, flags=re.MULTILINE)


def test_members_of_records_are_those_in_use() -> None:
    text = (DOCS / "reference/store-layout.md").read_text(encoding="utf-8")
    directory = Directory.of({})
    path = StorePath.of(directory.digest, "empty")
    digest = directory.digest

    records = [
        dump_record(ObjectRecord(path, (), directory)),
        dump_realisation(Realisation(digest, path, "wheel", "a==1", path, digest)),
    ]

    members = {name for record in records for name in json.loads(record)}
    rows = re.findall(r"^\| (`.*?) \|", text, flags=re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert members <= documented
    assert documented - members == {"f", "x", "l", "d"}


def test_the_reference_of_the_command_line_is_made_from_its_help() -> None:
    page = DOCS / "reference/cli.md"
    text = render(main_group, "fromager")

    if os.environ.get("FROMAGER_ACCEPT"):
        page.write_text(text, encoding="utf-8")
        pytest.skip("the page was written anew")

    assert page.read_text(encoding="utf-8") == text
