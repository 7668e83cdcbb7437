"""What is said of settings and patches: shown, listed, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.store_check import check_error

if TYPE_CHECKING:
    from support.command_line import Place


def write(place: Place, **files: str) -> None:
    for name, text in files.items():
        path = place.folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


PATCH = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"


@pytest.fixture
def furnished(place: Place) -> Place:
    write(
        place,
        fromager_dot_toml="[variants.cuda.env]\nX = '0'\n[package.a]\ntimeout = 5\n"
        "[[package.a.when]]\nversion = '<1'\ntimeout = 1\n",
        overrides__settings__a_dot_yaml="env:\n  X: 1\nvariants:\n  cuda:\n    env:\n      X: 2\n",
        overrides__settings__b_dot_toml="edits = [{ action = 'version' }]\n",
    )
    for name in ("a/1.patch", "a-2.0/2.patch", "a-2.0/cuda/3.patch"):
        path = place.folder / "overrides/patches" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PATCH)
    return place


def test_each_value_is_shown_with_where_it_came_from(furnished: Place) -> None:
    outcome = furnished.run("config", "show", "a==2.0", "--variant", "cuda", "--json")

    value = outcome.json
    rows = [
        (r["setting"], r["key"], r["value"], r["origin"].rpartition("/")[2])
        for r in value["settings"]
    ]
    assert rows == [
        ("env", "X", "0", "fromager.toml:2"),
        ("env", "X", "1", "a.yaml:2"),
        ("env", "X", "2", "a.yaml:6"),
        ("timeout", "", 5, "fromager.toml:4"),
    ]
    assert [r["when"] for r in value["elsewhere"]] == ["version <1"]
    assert [p.rpartition("/")[2] for p in value["patches"]] == [
        *("1.patch", "2.patch", "3.patch"),
    ]


def test_what_is_shown_is_also_told_to_people(furnished: Place) -> None:
    outcome = furnished.run("config", "show", "a")

    assert "timeout = 5  (" in outcome.out
    assert "only for version <1; " in outcome.out
    check_error(furnished.run("config", "show", "a>=1"), 2, "no single version")


def test_overrides_are_listed(furnished: Place) -> None:
    rows = furnished.run("list-overrides", "--json").json["packages"]

    assert furnished.run("list-overrides").out.split() == ["a", "b"]
    assert rows[0] == {
        "name": "a",
        "plugin": None,
        "functions": [],
        "settings": ["env", "timeout"],
        "variants": ["cuda"],
        "patches": ["a/1.patch", "a-2.0/2.patch", "a-2.0/cuda/3.patch"],
    }
    assert "a-2.0/2.patch" in furnished.run("list-overrides", "--details").out


def test_what_is_right_is_not_complained_of(furnished: Place) -> None:
    outcome = furnished.run("lint", "a==2.0", "b")

    assert (outcome.code, outcome.out) == (0, "")


def test_what_is_wrong_or_of_no_use_is_found(furnished: Place) -> None:
    write(
        furnished,
        overrides__settings__c_dot_yaml="envv: {}\n",
        overrides__settings__d_dot_yml="",
        overrides__patches__a__4_dot_patch="no patch\n",
        overrides__patches__a__deep__er__5_dot_patch=PATCH,
        overrides__patches__empty__readme="",
        overrides__settings_dot_yaml="packages: {x: {}}\n",
    )

    alone = furnished.run("lint")
    among = furnished.run("lint", "a==1.0", "bb", "--json")

    assert alone.code == among.code == 1
    for said in (
        "c.yaml:1: error: unknown setting 'envv' (Did you mean 'env')",
        "d.yml: warning: it is not read",
        "a/4.patch: error: it is no patch",
        "er/5.patch: warning: it lies too deep",
        "empty: warning: empty holds no patch",
        "settings.yaml:1: warning: packages has no effect",
    ):
        assert said in alone.out
    texts = [row["text"] for row in among.json["findings"]]
    assert "there is no package b; did you mean bb?" in texts
    assert "it matches nothing: a is 1.0" in texts


def test_files_of_other_packages_are_not_read(place: Place) -> None:
    write(place, overrides__settings__good_dot_yaml="env: {A: 1}\n")
    for number in range(20):
        write(place, **{f"overrides__settings__p{number}_dot_yaml": "envv: [\n"})

    outcome = place.run("config", "show", "good")
    other = place.run("config", "show", "unheard-of")

    assert "env A = 1" in outcome.out
    assert "nothing is done otherwise for unheard-of" in other.err
    check_error(place.run("config", "show", "p1"), 2, r"p1\.yaml:2")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--overrides", "none"], "no folder of overrides .*none"),
        (["--patches", "none"], "no folder of patches .*none"),
        (["--variant", "a/b"], "no name of a variant"),
    ],
)
def test_what_is_not_there_is_named(place: Place, words: list[str], said: str) -> None:
    check_error(place.run("realise", "demo", *words), 2, said)
