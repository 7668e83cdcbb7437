"""`fromager diff`: two outputs, whether in the store or beside it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.wheels import WheelMaker

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.command_line import Place

STAMPED = {"demo/when.py": b"WHEN = '2026-11-22T10:00:00'\n"}
LATER = {"demo/when.py": b"WHEN = '2026-11-23T11:22:33'\n"}


def wheels(folder: Path) -> tuple[str, str]:
    """Two wheels of one name that differ in the time that they name."""
    for name, files in (("a", STAMPED), ("b", LATER)):
        (folder / name).mkdir()
        WheelMaker(files=files).write(folder / name)
    filename = WheelMaker().filename
    return f"a/{filename}", f"b/{filename}"


def test_files_are_compared_without_a_store(fresh: Place) -> None:
    first, second = wheels(fresh.folder)

    outcome = fresh.run("diff", first, second)

    assert outcome.code == 2, outcome.err
    assert "2 members differ: the time of the build" in outcome.out
    assert "- WHEN = '2026-11-22T10:00:00'" in outcome.out
    assert "SOURCE_DATE_EPOCH" in outcome.out
    assert not fresh.store.exists()
    assert fresh.run("diff", first, first).code == 0


def test_the_json_is_whole(fresh: Place) -> None:
    first, second = wheels(fresh.folder)

    outcome = fresh.run("diff", "--json", first, second)

    assert outcome.json["version"] == 1
    assert outcome.json["sameness"] == "different"
    assert outcome.json["causes"] == ["timestamp"]
    assert outcome.json["same_derivation"] is None
    (when,) = (m for m in outcome.json["members"] if m["path"] == "demo/when.py")
    assert when["findings"][0]["variation"] == "time"


def test_a_page_is_written(fresh: Place) -> None:
    first, second = wheels(fresh.folder)

    outcome = fresh.run("diff", first, second, "--html", "page.html")

    assert outcome.code == 2
    page = (fresh.folder / "page.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "the time of the build" in page


def test_what_was_built_from_other_inputs_is_told_first(
    place: Place, offer: Callable[..., None]
) -> None:
    offer("diff-tool", "1.0", offers="build_meta")
    offer("diff-tool", "2.0", offers="build_meta", value="2")
    tool = {"requires": ["diff-tool"], "backend": "diff_tool.build_meta"}
    offer("diff-made", **tool, imports=["diff_tool"])
    (place.folder / "old.txt").write_text("diff-tool==1.0\n")
    old = place.realise("diff-made", "-b", "old.txt").wheel("diff-made")
    new = place.realise("diff-made").wheel("diff-made")

    outcome = place.run("diff", "--json", old["store_path"], new["store_path"])

    assert outcome.code == 2, outcome.err
    assert outcome.json["same_derivation"] is False
    fields = {row["field"] for row in outcome.json["inputs"]}
    assert any("diff-tool" in " ".join(row["way"]) or "diff-tool" in row["field"]
               for row in outcome.json["inputs"]), fields  # fmt: skip
    text = place.run("diff", old["store_path"], new["store_path"]).out
    assert text.startswith("different derivations gave them\n")


CHATTY = """
import os, tempfile, time
print('began at', time.strftime('%Y-%m-%dT%H:%M:%SZ'), 'as process', os.getpid())
print('made', tempfile.mkdtemp())
VALUE = f'n{time.time_ns()}'
print('chose', VALUE)
print(f'done in {time.process_time():.3f} seconds')
"""


def test_the_logs_of_both_builds_are_compared_without_what_never_is_the_same(
    place: Place, offer: Callable[..., None]
) -> None:
    offer("diff-chatty", imports=["chatty"], more={"chatty.py": CHATTY})
    built = place.realise("diff-chatty").wheel("diff-chatty")
    check = place.run("check", "diff-chatty", "--json", "--out", "found")
    (verdict,) = check.json["verdicts"]
    (other,) = verdict["others"]

    told = place.run("diff", "--json", built["store_path"], other["output"]).json
    text = place.run("diff", built["store_path"], other["output"], "--html", "p.html")

    assert {"diff-chatty==1.0"} == {verdict["subject"]}
    assert not told["logs"]["same"]
    marks = [line.split(" n")[0] for line in told["logs"]["lines"]]
    assert marks == ["- chose", "+ chose"], told["logs"]
    assert told["replay"].startswith(f"fromager check {verdict['key']}")
    assert f"to see it again: {told['replay']}\n" in text.out
    assert "the logs of both builds differ:\n  - chose n" in text.out
    assert "<del>- chose" in (place.folder / "p.html").read_text()
    report = place.folder / "found" / "diff-chatty-1.0-wheel"
    row = json.loads((report / "report.json").read_text())
    assert row["logs"] == told["logs"]
    assert row["replay"] in (report / "report.html").read_text()
    words = told["replay"].split()[1:]
    assert place.run(*words).code == 2


def test_derivations_are_compared_down_to_where_the_change_began(
    place: Place, offer: Callable[..., None]
) -> None:
    offer("diff-drv", "1.0", value="1")
    offer("diff-drv", "2.0", value="2")
    one = place.realise("diff-drv==1.0").wheel("diff-drv")
    two = place.realise("diff-drv==2.0").wheel("diff-drv")

    outcome = place.run("diff", one["derivation"], two["derivation"])

    assert outcome.code == 2
    assert "<- fetch diff_drv-2.0.tar.gz: option filename: diff_drv-1.0" in outcome.out
    same = place.run("diff", one["derivation"], one["derivation"])
    assert (same.code, same.out) == (0, "the same derivation\n")


def test_requirements_and_paths_in_the_store_mean_their_outputs(
    place: Place, offer: Callable[..., None]
) -> None:
    offer("diff-named", "1.0")
    path = place.run("realise", "diff-named").paths[0]

    assert place.run("diff", "diff-named==1.0", str(path)).code == 0
    beside = os.path.relpath(path.parent, place.folder)
    assert place.run("diff", "diff-named==1.0", beside).code == 0
    assert place.run("diff", "diff-named", str(path.parent)).code == 0


@pytest.mark.parametrize(
    ("first", "says"),
    [
        ("no-such-thing", "is not in the store"),
        ("./no-such.whl", "no-such.whl"),
        ("broken.whl", "broken.whl cannot be read"),
    ],
)
def test_bad_input_is_one_clear_error(place: Place, first: str, says: str) -> None:
    (place.folder / "broken.whl").write_bytes(b"PK\3\4")

    outcome = place.run("diff", first, "trial")

    assert outcome.code in (1, 2)
    assert says in outcome.error
    assert "Traceback" not in outcome.err


def test_diffoscope_is_attached_where_it_is_installed(fresh: Place) -> None:
    first, second = wheels(fresh.folder)
    tools = fresh.folder / "tools"
    tools.mkdir()
    fake = tools / "diffoscope"
    fake.write_text(
        '#!/bin/sh\nfor last; do :; done\necho "what it says of $last"\nexit 1\n'
    )
    fake.chmod(0o755)
    fresh.variables["PATH"] = f"{tools}:{os.environ['PATH']}"

    outcome = fresh.run("diff", "--diffoscope", "--json", first, second)

    assert outcome.code == 2, outcome.err
    assert outcome.json["diffoscope"].startswith("what it says of ")
    fake.write_text("#!/bin/sh\necho 'it broke' >&2\nexit 2\n")
    assert "it broke" in fresh.run("diff", "--diffoscope", first, second).error
    fake.unlink()
    fresh.variables["PATH"] = str(tools)
    missing = fresh.run("diff", "--diffoscope", first, second)
    assert missing.code == 2
    assert "diffoscope is not installed" in missing.error


def test_the_schema_of_findings_is_what_the_page_says(fresh: Place) -> None:
    first, second = wheels(fresh.folder)
    page = Path(__file__).parents[2] / "docs" / "reference" / "comparison-report.md"

    report = fresh.run("diff", "--json", first, second).json

    text = page.read_text()
    names = {*report, *report["members"][0], *report["members"][0]["findings"][0]}
    names |= set(report["first"])
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []
    from fromager.derivations import EXPLANATIONS, Variation

    for cause, about in EXPLANATIONS.items():
        row = f"| `{cause.value}` | {about.title} |"
        assert row in text, row
        assert about.remedy in text
    for variation in Variation:
        assert f"| `{variation.value}` |" in text
    json.dumps(report)
