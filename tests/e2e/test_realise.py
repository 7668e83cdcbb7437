"""What `fromager realise` gives for requests of every kind."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.index import Hosted, local_index
from support.projects import sdist

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.command_line import Place
    from support.index import LocalIndex

    Offer = Callable[..., None]


def names(outcome: object) -> list[str]:
    return [f"{row['name']}=={row['version']}" for row in outcome.json["wheels"]]  # type: ignore[attr-defined]


def test_the_path_of_what_was_asked_for_is_printed(place: Place, offer: Offer) -> None:
    offer("asked", dependencies=["needed"])
    offer("needed")

    outcome = place.run("realise", "asked")

    assert outcome.code == 0, outcome.err
    [wheel] = outcome.paths
    assert wheel.name == "asked-1.0-py3-none-any.whl"
    assert wheel.is_relative_to(place.store)
    assert zipfile.ZipFile(wheel).testzip() is None


def test_what_is_needed_at_run_time_is_built_too(place: Place, offer: Offer) -> None:
    offer("top", dependencies=["middle>=1"])
    offer("middle", "0.9")
    offer("middle", "1.5", dependencies=["bottom"], static=False)
    offer("bottom")

    outcome = place.realise("top")

    assert names(outcome) == ["bottom==1.0", "middle==1.5", "top==1.0"]
    requested = [row["name"] for row in outcome.json["wheels"] if row["requested"]]
    assert requested == ["top"]
    assert outcome.wheel("top")["dependencies"] == ["middle"]


def test_nothing_else_is_built_without_dependencies(place: Place, offer: Offer) -> None:
    offer("alone", dependencies=["absent"])

    outcome = place.realise("alone", "--no-deps")

    assert names(outcome) == ["alone==1.0"]


def test_extras_add_their_requirements(place: Place, offer: Offer) -> None:
    extra = 'colours; extra == "fancy"'
    offer("plain", dependencies=[extra], extras=["fancy"])
    offer("colours")

    assert names(place.realise("plain")) == ["plain==1.0"]
    assert names(place.realise("plain[fancy]")) == ["colours==1.0", "plain==1.0"]


def test_markers_that_do_not_hold_are_left_out(place: Place, offer: Offer) -> None:
    offer(
        "marked",
        dependencies=[
            'absent; sys_platform == "win32"',
            'there; python_version >= "3"',
        ],
    )
    offer("there")

    assert names(place.realise("marked")) == ["marked==1.0", "there==1.0"]
    outcome = place.run("realise", 'absent; sys_platform == "win32"')
    assert outcome.code == 0, outcome.err
    assert outcome.out == ""


def test_several_requirements_make_one_consistent_set(
    place: Place, offer: Offer
) -> None:
    offer("left", dependencies=["shared<2"])
    offer("right", dependencies=["shared"])
    offer("shared", "1.0")
    offer("shared", "2.0")

    outcome = place.realise("left", "right")

    assert names(outcome) == ["left==1.0", "right==1.0", "shared==1.0"]


def test_files_name_requirements_constraints_and_build_constraints(
    place: Place, offer: Offer
) -> None:
    offer("filed", dependencies=["narrowed"], requires=["toolbox"])
    for version in ("1.0", "2.0"):
        offer("narrowed", version)
        offer("toolbox", version)
    (place.folder / "r.txt").write_text("# what we want\nfiled==1.0\n")
    (place.folder / "c.txt").write_text("narrowed<2\n")
    (place.folder / "b.txt").write_text("toolbox<2\n")

    outcome = place.realise("-r", "r.txt", "-c", "c.txt", "-b", "b.txt")

    assert names(outcome) == ["filed==1.0", "narrowed==1.0"]
    assert "toolbox==1.0" in outcome.built
    assert "toolbox==2.0" not in outcome.built


def test_a_hash_in_a_file_picks_the_file_that_has_it(
    place: Place, offer: Offer, index: LocalIndex
) -> None:
    offer("hashed", "1.0")
    offer("hashed", "2.0")
    good = index.sha256("hashed-1.0.tar.gz")
    (place.folder / "r.txt").write_text(f"hashed==1.0 --hash=sha256:{good}\n")

    assert names(place.realise("-r", "r.txt")) == ["hashed==1.0"]

    (place.folder / "r.txt").write_text(f"hashed==2.0 --hash=sha256:{good}\n")
    outcome = place.run("realise", "-r", "r.txt")
    assert outcome.code == 4
    assert "hash" in outcome.err


def test_json_says_everything_of_every_wheel(place: Place, offer: Offer) -> None:
    offer("described")

    value = place.realise("described").json

    assert set(value) == {"version", "store", "wheels", "collection", "failures"}
    assert value["version"] == 1
    assert value["store"] == str(place.store)
    assert value["failures"] == []
    assert value["collection"] is None
    [row] = value["wheels"]
    assert set(row) == {
        *("name", "version", "requested", "dependencies", "path", "store_path", "key"),
        *("digest", "sha256", "raw_sha256", "level", "derivation", "prebuilt"),
    }
    content = Path(row["path"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == row["sha256"]
    assert row["level"] == "full"
    assert row["key"].startswith("blake3:")


def test_links_to_the_wheels_are_made(place: Place, offer: Offer) -> None:
    offer("first")
    offer("second")

    for _ in range(2):
        outcome = place.run(
            *("realise", "first", "second", "--no-collection", "--out-link", "result")
        )
        assert outcome.code == 0, outcome.err

    links = [place.folder / "result", place.folder / "result-2"]
    assert [link.resolve() for link in links] == outcome.paths


def test_a_link_is_not_made_over_a_file(place: Place, offer: Offer) -> None:
    offer("linked")
    (place.folder / "result").write_text("precious")

    outcome = place.run("realise", "linked", "--out-link", "result")

    assert outcome.code == 1
    assert len(outcome.errors) == 1
    assert (place.folder / "result").read_text() == "precious"


def test_pre_releases_are_taken_only_when_allowed(place: Place, offer: Offer) -> None:
    offer("early", "1.0")
    offer("early", "2.0a1")

    assert names(place.realise("early")) == ["early==1.0"]
    assert names(place.realise("early", "--pre")) == ["early==2.0a1"]


def test_offline_answers_from_the_store_what_was_built_before(
    place: Place, offer: Offer, index: LocalIndex
) -> None:
    offer("cached", dependencies=["cachedtoo"])
    offer("cachedtoo")
    before = place.realise("cached")
    index.requests.clear()

    outcome = place.run("--offline", "realise", "--json", "cached")

    assert outcome.out == before.out
    assert index.requests == []
    unknown = place.run("--offline", "realise", "never-seen")
    assert unknown.code == 1
    assert len(unknown.errors) == 1


def test_the_first_index_that_has_a_project_answers_for_it(
    place: Place, offer: Offer
) -> None:
    offer("rivalled", "1.0")
    second = dict([sdist("rivalled", "9.0"), sdist("elsewhere", "1.0")])
    with local_index(second) as other:
        flags = ("--index", place.index, "--index", other.url)
        outcome = place.run(*flags, "realise", "--json", "rivalled", "elsewhere")

    assert outcome.code == 0, outcome.err
    assert names(outcome) == ["elsewhere==1.0", "rivalled==1.0"]


def test_html_and_json_pages_give_the_same(place: Place, offer: Offer) -> None:
    files = dict([sdist("formed", "1.0")])
    found = []
    for form in ("html", "json"):
        with local_index(files, form=form) as index:
            outcome = place.run("--index", index.url, "realise", "--json", "formed")
            found.append((outcome.code, outcome.out, bool(index.requests)))

    assert found[0][0] == 0
    assert found[0] == found[1]


def test_a_file_without_a_hash_is_trusted_once_and_that_is_told(
    place: Place, index: LocalIndex, offer: Offer
) -> None:
    index.hashes = False
    offer("unhashed")

    outcome = place.run("realise", "unhashed")

    assert outcome.code == 0, outcome.err
    assert index.sha256("unhashed-1.0.tar.gz") in outcome.err


def test_yanked_files_are_used_only_when_named_exactly(
    place: Place, index: LocalIndex, offer: Offer
) -> None:
    offer("pulled", "1.0")
    index.add(*_hosted("pulled", "2.0", yanked="broken"))

    assert names(place.realise("pulled")) == ["pulled==1.0"]
    exact = place.realise("pulled==2.0")
    assert names(exact) == ["pulled==2.0"]
    assert "broken" in exact.err


def test_files_for_other_interpreters_are_passed_over(
    place: Place, index: LocalIndex, offer: Offer
) -> None:
    offer("modern", "1.0")
    index.add(*_hosted("modern", "2.0", requires_python=">=4"))

    assert names(place.realise("modern")) == ["modern==1.0"]
    outcome = place.run("realise", "modern==2.0")
    assert outcome.code == 4
    assert ">=4" in outcome.err


def test_a_patch_changes_what_is_built(place: Place, offer: Offer) -> None:
    offer("patched")
    patches = place.folder / "patches" / "patched-1.0"
    patches.mkdir(parents=True)
    (patches / "001-value.patch").write_text(
        "--- a/patched/__init__.py\n+++ b/patched/__init__.py\n"
        "@@ -1 +1 @@\n-VALUE = '1.0'\n+VALUE = 'better'\n"
    )

    plain = place.realise("patched")
    outcome = place.realise("patched", "--patches", "patches")

    with zipfile.ZipFile(outcome.wheel("patched")["path"]) as wheel:
        assert wheel.read("patched/__init__.py") == b"VALUE = 'better'\n"
    assert plain.wheel("patched")["key"] != outcome.wheel("patched")["key"]


@pytest.mark.parametrize("level", ["full", "none"])
def test_builds_work_at_every_level(place: Place, offer: Offer, level: str) -> None:
    offer("levelled", requires=["levelled-tool"], imports=["levelled_tool"])
    offer("levelled_tool")

    outcome = place.realise("levelled", "--sandbox", level)

    assert outcome.wheel("levelled")["level"] == level


def _hosted(name: str, version: str, **said: object) -> tuple[str, Hosted]:
    filename, content = sdist(name, version)
    return filename, Hosted(content, **said)  # type: ignore[arg-type]
