"""What is done to wheels once they are built, and which keys that changes."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING

import pytest

from fromager.store import open_store
from support.store_check import check_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.command_line import Outcome, Place

    Offer = Callable[..., None]


def settings(place: Place, text: str) -> None:
    (place.folder / "fromager.toml").write_text(text)


def general(place: Place, text: str) -> None:
    (place.folder / "overrides").mkdir(exist_ok=True)
    (place.folder / "overrides/settings.yaml").write_text(text)


def filename(outcome: Outcome, name: str) -> str:
    return str(outcome.wheel(name)["path"]).rpartition("/")[2]


def member(outcome: Outcome, name: str, path: str) -> str:
    with zipfile.ZipFile(outcome.wheel(name)["path"]) as wheel:
        return wheel.read(f"{name}-1.0.dist-info/{path}").decode()


def test_a_changelog_entry_renames_the_wheel_and_builds_nothing(
    place: Place, offer: Offer
) -> None:
    offer("noted")
    offer("using_noted", requires=["noted"])
    before = place.realise("using-noted", "noted")
    settings(place, "[package.noted]\nchangelog = ['again', 'and again']\n")

    after = place.realise("using-noted", "noted")

    assert after.builds == 0
    assert filename(before, "noted") == "noted-1.0-py3-none-any.whl"
    assert filename(after, "noted") == "noted-1.0-2-py3-none-any.whl"
    assert after.wheel("noted")["key"] != before.wheel("noted")["key"]
    assert after.wheel("using-noted") == before.wheel("using-noted")


def test_what_a_changelog_says_is_in_no_key(place: Place, offer: Offer) -> None:
    offer("reworded")
    settings(place, "[package.reworded]\nchangelog = ['a']\n")
    first = place.realise("reworded")
    settings(place, "[package.reworded]\nchangelog = ['b']\n")

    assert place.realise("reworded").out == first.out


def test_upstreams_changelogs_add_up_for_version_and_variant(
    place: Place, offer: Offer
) -> None:
    offer("upnoted", "1.0")
    offer("upnoted", "2.0")
    general(place, "changelog: {cpu: [one], cuda: [one, two]}\n")
    (place.folder / "overrides/settings").mkdir()
    (place.folder / "overrides/settings/upnoted.yaml").write_text(
        "changelog: {'1.0': [a, b], '3.0': [c]}\n"
    )

    names = [
        filename(place.realise("upnoted==1.0"), "upnoted"),
        filename(place.realise("upnoted==2.0"), "upnoted"),
        filename(place.realise("upnoted==1.0", "--variant", "cuda"), "upnoted"),
    ]

    assert [name.split("-")[2] for name in names] == ["3", "1", "4"]


def test_a_finished_wheel_is_found_again_without_a_process(
    place: Place, offer: Offer
) -> None:
    offer("calm")
    settings(place, "[package.calm]\nchangelog = ['a']\nsbom = true\n")
    first = place.realise("calm")

    second = place.realise("calm")

    assert second.out == first.out
    assert (second.processes, second.connections) == ((), 0)


def test_files_and_needs_are_put_into_the_wheel(place: Place, offer: Offer) -> None:
    offer("stuffed")
    settings(
        place,
        "[package.stuffed]\nrequires-external = ['libfoo']\n"
        "[package.stuffed.wheel-files]\n'origin.txt' = 'from here'\n",
    )

    outcome = place.realise("stuffed")

    assert member(outcome, "stuffed", "origin.txt") == "from here"
    assert "Requires-External: libfoo" in member(outcome, "stuffed", "METADATA")


def test_an_sbom_names_the_sdist_by_its_hash(place: Place, offer: Offer) -> None:
    offer("billed")
    general(place, "sbom: {supplier: 'Organization: ACME'}\n")
    (place.folder / "overrides/settings").mkdir()
    (place.folder / "overrides/settings/billed.yaml").write_text(
        "purl: {namespace: acme, upstream: 'pkg:github/a/b@1.0'}\n"
    )

    document = json.loads(
        member(place.realise("billed"), "billed", "sboms/fromager.cdx.json")
    )

    about = document["metadata"]["component"]
    (ancestor,) = about["pedigree"]["ancestors"]
    assert about["purl"] == "pkg:pypi/acme/billed@1.0"
    assert ancestor["purl"] == "pkg:github/a/b@1.0"
    assert ancestor["description"] == "billed-1.0.tar.gz"
    assert len(ancestor["hashes"][0]["content"]) == 64


def test_the_sbom_of_a_closure_sees_through_to_the_build(
    place: Place, offer: Offer
) -> None:
    offer("seen_through")
    settings(place, "[package.seen-through]\nchangelog = ['a']\n")
    outcome = place.realise("seen-through")

    document = place.run("sbom", "seen-through").out

    assert outcome.wheel("seen-through")["level"] == "full"
    assert "seen_through-1.0.tar.gz" in document
    assert "none-needed" not in document


def test_one_package_may_have_no_sbom(place: Place, offer: Offer) -> None:
    offer("unbilled")
    settings(place, "[package.'*']\nsbom = true\n[package.unbilled]\nsbom = false\n")

    with zipfile.ZipFile(place.realise("unbilled").wheel("unbilled")["path"]) as wheel:
        assert not [name for name in wheel.namelist() if "sboms" in name]


def test_logs_checks_and_reasons_are_those_of_the_build(
    place: Place, offer: Offer
) -> None:
    offer("traced", quirk="cores")
    place.realise("traced")
    settings(place, "[package.traced]\nchangelog = ['a']\n")
    place.realise("traced")

    assert "cores" in place.run("log", "traced").out
    assert "built once only" in place.run("why-rebuilt", "traced").out
    checked = place.run("check", "traced", "--json")
    assert checked.code == 0, checked.err
    assert "traced==1.0" in checked.out


def test_a_finished_wheel_can_be_made_again(place: Place, offer: Offer) -> None:
    offer("remade")
    settings(place, "[package.remade]\nchangelog = ['a']\nsbom = true\n")
    place.realise("remade")

    outcome = place.run("check", "remade", "--closure", "--json")

    assert outcome.code == 0, outcome.err + outcome.out


def test_a_wheel_that_has_such_a_file_is_refused(place: Place, offer: Offer) -> None:
    offer("occupied", files={"occupied-1.0.dist-info/mine.txt": "x"})
    settings(place, "[package.occupied]\nwheel-files = { 'mine.txt' = 'y' }\n")

    outcome = place.run("realise", "occupied")

    check_error(outcome, 5, "already has a file occupied-1.0.dist-info/mine.txt")
    with open_store(place.store) as store:
        assert len(store.history("wheel", "occupied==1.0")) == 1


@pytest.mark.parametrize("text", ["changelog: [a]", "sbom: {maker: x}", "sbom: [a]"])
def test_general_settings_that_are_wrong_are_named(
    place: Place, offer: Offer, text: str
) -> None:
    offer("misled")
    general(place, text)

    check_error(place.run("realise", "misled"), 2, r"settings\.yaml:1")
