"""`fromager sbom`: the bill of what was really built."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.command_line import Place

PATCH = """--- a/bill_demo/__init__.py
+++ b/bill_demo/__init__.py
@@ -1 +1,2 @@
 VALUE = '1.0'
+FIXED = True
"""


@pytest.fixture
def built(place: Place, offer: Callable[..., None]) -> Place:
    """A patched package, what it needs, and the tool that built it."""
    offer("bill-tool")
    offer("bill-base")
    offer("bill-demo", requires=["bill-tool"], dependencies=["bill-base"])
    folder = place.folder / "overrides" / "patches" / "bill_demo-1.0"
    folder.mkdir(parents=True)
    (folder / "0001-fix.patch").write_text(PATCH)
    place.realise("bill-demo")
    return place


def test_a_bill_tells_how_a_closure_was_made(built: Place) -> None:
    bill = built.run("sbom", "bill-demo").json

    base, demo = bill["components"]
    assert (base["name"], demo["name"]) == ("bill-base", "bill-demo")
    assert demo["pedigree"]["notes"] == "patched: 0001-fix.patch"
    assert demo["pedigree"]["ancestors"][0]["hashes"][0]["alg"] == "SHA-256"
    (formula,) = bill["formulation"]
    assert [each["name"] for each in formula["components"]] == ["bill-tool"]
    timestamp = bill["metadata"]["timestamp"]
    assert timestamp == "2020-09-13T12:26:40Z"


def test_a_bill_is_written_to_a_file(built: Place) -> None:
    printed = built.run("sbom", "bill-demo", "--format", "spdx")
    written = built.run("sbom", "bill-demo", "--format", "spdx", "-o", "bill.json")

    dashed = built.run("sbom", "bill-demo", "--format", "spdx", "-o", "-")

    assert (printed.code, written.code, written.out) == (0, 0, "")
    assert dashed.out == printed.out
    assert not (built.folder / "-").exists()
    assert (built.folder / "bill.json").read_text() == printed.out
    assert json.loads(printed.out)["spdxVersion"] == "SPDX-2.3"


def test_mistakes_are_told(built: Place) -> None:
    unknown = built.run("sbom", "never-built")
    (source,) = [
        line.split()[0]
        for line in built.run("store", "ls").out.splitlines()
        if "bill-demo-1.0-source" in line
    ][:1]
    other = built.run("sbom", source)
    nowhere = built.run("sbom", "bill-demo", "-o", "no/such/folder/x.json")

    assert unknown.code == 1
    assert (other.code, "no wheel" in other.err) == (2, True)
    assert (nowhere.code, "Traceback" in nowhere.err) == (1, False)
