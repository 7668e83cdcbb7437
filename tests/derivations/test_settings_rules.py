"""Rules, their conditions, and which of them counts."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from fromager.derivations.customisation.document import Origin, SettingsError
from fromager.derivations.customisation.native import package_rules, variant_rules
from fromager.derivations.customisation.rules import (
    Assignment,
    Circumstances,
    Condition,
    Rule,
    precedence,
    settle,
)
from fromager.derivations.customisation.toml_document import parse_toml
from fromager.derivations.customisation.upstream import (
    general_rules,
    general_settings,
    without_effect,
)
from fromager.derivations.customisation.upstream import (
    package_rules as upstream_rules,
)
from fromager.derivations.customisation.yaml_document import parse_yaml

LINUX = Circumstances(
    "cuda", "linux_x86_64", {"python_version": "3.12", "sys_platform": "linux"}
)


def in_force(text: str, version: str | None = "1.5") -> dict[str, Any]:
    rules = package_rules("demo", parse_toml(text, "f.toml"), 0)
    found = settle(rules, Version(version) if version else None, LINUX)
    return {f"{a.setting} {a.key}".strip(): a.value for a in found}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("version = '>=1,<2'", True),
        ("version = '>=2'", False),
        ("variant = 'cuda'", True),
        ("variant = ['cpu', 'cuda']", True),
        ("variant = 'cpu'", False),
        ("platform = 'linux_*'", True),
        ("platform = ['macosx_*', 'linux_aarch64']", False),
        ("marker = \"python_version >= '3.9'\"", True),
        ("marker = \"sys_platform == 'win32'\"", False),
        ("version = '>=1'\nvariant = 'cpu'", False),
    ],
)
def test_a_rule_holds_when_all_of_its_conditions_do(
    condition: str, holds: bool
) -> None:
    found = in_force(f"timeout = 1\n[[when]]\n{condition}\ntimeout = 2\n")

    assert found == {"timeout": 2 if holds else 1}


def test_without_a_version_no_rule_for_versions_holds() -> None:
    assert in_force("[[when]]\nversion='>=0'\ntimeout=1\n", None) == {}


def test_tables_are_merged_key_by_key_and_lists_are_joined() -> None:
    found = in_force(
        "config-settings = { a = '1', b = '1' }\nbuild-requires = ['x']\n"
        "[variants.cuda]\nconfig-settings = { b = '2' }\n"
    )

    assert found == {
        "config-settings a": "1",
        "config-settings b": "2",
        "build-requires": "x",
    }


def test_a_rule_for_a_package_counts_more_than_one_for_all() -> None:
    everywhere = variant_rules(parse_toml("cuda.timeout = 9\n", "f"), 5)
    own = package_rules("demo", parse_toml("timeout = 1\n", "f"), 0)

    (found,) = settle([*own, *everywhere], None, LINUX)

    assert found.value == 1


CONDITIONS = st.builds(
    Condition,
    st.sampled_from([None, SpecifierSet(">=1")]),
    st.sampled_from([(), ("cuda",), ("cpu",)]),
    st.sampled_from([(), ("linux_*",)]),
)
ASSIGNMENTS = st.builds(
    Assignment,
    st.sampled_from(["timeout", "env", "config-settings"]),
    st.sampled_from(["a", "b"]),
    st.integers(0, 9),
    st.just(Origin("f", 1)),
)
RULES = st.lists(
    st.builds(
        Rule,
        st.sampled_from(["*", "demo"]),
        CONDITIONS,
        st.lists(ASSIGNMENTS, max_size=3).map(tuple),
        st.integers(0, 2),
        st.integers(0, 99),
    ),
    max_size=5,
    unique_by=lambda rule: rule.position,
)


@given(RULES, st.randoms())
def test_what_counts_does_not_depend_on_the_order_of_rules(
    rules: list[Rule], chance: Any
) -> None:
    shuffled = list(rules)
    chance.shuffle(shuffled)

    version = Version("1.5")
    assert settle(rules, version, LINUX) == settle(shuffled, version, LINUX)


@given(RULES)
def test_of_two_values_that_of_the_later_rule_counts(rules: list[Rule]) -> None:
    version = Version("1.5")
    for found in settle(rules, version, LINUX):
        if found.setting != "timeout":
            continue
        holding = [
            (precedence(rule), each)
            for rule in rules
            if rule.condition.holds(version, LINUX)
            for each in rule.assignments
            if (each.setting, each.key) == (found.setting, found.key)
        ]
        best = max(rank for rank, _ in holding)
        last = [each for rank, each in holding if rank == best][-1]
        assert found.value == last.value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("timout = 1", "f.toml:1: unknown setting 'timout'.*Did you mean 'timeout'"),
        ("\ntimeout = '1'", "f.toml:2: timeout: a whole number is wanted, not a text"),
        ("timeout = 0", "at least 1"),
        ("memory-per-job = -1", "at least"),
        ("build-dir = '../x'", "leads out"),
        ("build-dir = '/x'", "leads out"),
        ("env = { 'A-B' = '1' }", "no variable's name"),
        ("env = { A = [1] }", "a text, a number, or true or false"),
        ("exclusive = 'yes'", "true or false is wanted"),
        ("build-requires = ['a b']", "is no requirement"),
        ("remove-build-requires = ['-']", "no name of a project"),
        ("index = 'https://me:secret@x.example/'", "credentials do not belong"),
        ("index = 'ftp://x.example/'", "is no URL"),
        ("[[when]]\ntimeout = 1", "when has no condition"),
        ("[[when]]\nversoin = '1'\ntimeout = 1", "unknown setting 'versoin'"),
        ("[[when]]\nversion = 'x'", "is no version specifier"),
        ("[[when]]\nmarker = 'x'", "is no marker"),
        ("[[when]]\nversion = '1'\nindex = 'https://x.example'", "index|specifier"),
        ("[[when]]\nversion = '==1'\nindex = 'https://x.example'", "cannot be limited"),
        ("edits = [{ action = 'patch' }]", "unknown action 'patch'"),
        ("edits = [{ files = ['x'] }]", "'action' is missing"),
        (
            "edits = [{ action = 'delete-line', files = 'x', search = '(' }]",
            "no regular",
        ),
        ("edits = [{ action = 'file', path = '../x', content = '' }]", "leads out"),
        ("edits = [{ action = 'file', path = 'x' }]", "'content' and 'from'"),
        ("extra-sources = [{ url = 'https://x.example/y' }]", "'sha256' is missing"),
        (
            "extra-sources = [{ url = 'https://x.example/y', sha256 = '1', path='x' }]",
            "64 hexadecimal digits",
        ),
        ("open = ['opt']", "no absolute path"),
        ("open = [{ path = '/dev/kvm', at = '/dev/x' }]", "at its own place"),
        ("system-packages = { apt = ['x'] }", "unknown key 'apt'"),
        ("system-packages.commands = ['/bin/sh']", "no program's name"),
        ("wheel-files = { METADATA = 'x' }", "written by the build"),
        ("wheel-files = { 'sboms/x' = 'x' }", "written by the build"),
        ("wheel-files = { '../x' = 'x' }", "no path in a folder"),
        ("sbom = { maker = 'x' }", "unknown key 'maker'"),
        ("sbom = 'yes'", "a table is wanted"),
        ("purl = { upstream = 'x' }", "no package URL"),
        ("purl = { version = 1 }", "a text is wanted"),
        ('requires-external = ["a\\nb"]', "of one line"),
        ("changelog = 'x'", "a list is wanted"),
        ("submodules = ['../x']", "leads out"),
        ("min-age = -1", "at least 0"),
        ("[[when]]\nversion = '==1'\nmin-age = 1", "cannot be limited"),
    ],
)
def test_settings_that_are_wrong_say_where_and_why(text: str, said: str) -> None:
    import re

    with pytest.raises(SettingsError) as caught:
        package_rules("demo", parse_toml(text, "f.toml"), 0)

    message = f"{caught.value} {caught.value.hint}"
    assert re.search(said, message, re.DOTALL), message
    assert "secret" not in message


UPSTREAM = Path(__file__).parents[1] / "data" / "settings" / "upstream.yaml"


def test_upstreams_whole_schema_is_understood() -> None:
    rules = upstream_rules("demo", parse_yaml(UPSTREAM.read_text(), "u.yaml"), 0)

    own, rocm, changelog = rules
    assert sorted({each.setting for each in own.assignments}) == [
        *("annotations", "build-dir", "build_options.build_ext_parallel"),
        *("config-settings", "cores-per-job", "download-filename", "download-url"),
        *("env", "exclusive", "ignore-platform", "include-sdists", "include-wheels"),
        *("index", "memory-per-job", "min-age", "purl", "remove-build-requires"),
        *("requires-external", "submodules", "update-build-requires"),
    ]
    assert rocm.condition.variants == ("rocm",)
    assert {each.setting for each in rocm.assignments} == {
        *("annotations", "env", "prebuilt", "prebuilt-index"),
    }
    assert str(changelog.condition.version) == "==1.0"
    assert [each.setting for each in changelog.assignments] == ["changelog"]


def test_upstreams_general_settings_hold_for_every_package() -> None:
    text = (
        "changelog: {cpu: [rebuilt, again], cuda: [rebuilt]}\n"
        "sbom: {supplier: me, creators: [a], purl_type: generic}\n"
    )

    rules = general_rules(parse_yaml(text, "s.yaml"), 0)

    assert {rule.package for rule in rules} == {"*"}
    found = [(a.setting, a.key, a.value) for a in settle(rules, None, LINUX)]
    assert found == [
        ("changelog", "", "rebuilt"),
        ("sbom", "wanted", True),
        ("sbom", "supplier", "me"),
        ("sbom", "creators", ("a",)),
        ("sbom", "purl-type", "generic"),
    ]


@pytest.mark.parametrize(("text", "wanted"), [("sbom: null", 0), ("sbom: {}", 1)])
def test_upstreams_sbom_is_wanted_where_its_table_is(text: str, wanted: int) -> None:
    assert len(general_rules(parse_yaml(text, "s.yaml"), 0)) == wanted


def test_what_has_no_effect_says_why() -> None:
    text = (
        "external_commands: {keep_env: [A], delete_env: ['SECRET_*']}\n"
        "pre_built: {cpu: [x]}\npackages: {x: {}}\n"
    )

    found = {
        each.setting: without_effect(each)
        for each in general_settings(parse_yaml(text, "s.yaml"))
    }

    assert "host-env" in found["external_commands.keep_env"]
    assert found["external_commands.delete_env"].endswith("has no effect")
    assert "file of its own" in found["packages"]
    assert "variants of packages" in found["pre_built"]


def test_of_submodules_the_paths_count_wherever_they_stand() -> None:
    for text in ("submodule_paths: [b, a], submodules: true", "submodules: false, submodule_paths: [a, b]"):  # fmt: skip
        (rule,) = upstream_rules(
            "demo", parse_yaml(f"git_options: {{{text}}}", "u.yaml"), 0
        )
        assert rule.assignments[-1].value == ("a", "b")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("build_dri: x", "Did you mean 'build_dir'"),
        ("variants: {cpu: {prebuilt: true}}", "Did you mean 'pre_built'"),
        ("build_options: {cpu_cores: 1}", "Did you mean 'build_options.cpu_cores_per"),
        ("env: {A: $(id)}", "commands are not run"),
        ("changelog: {x: [a]}", "is no version"),
        ("changelog: {1.0: a}", "a list is wanted"),
        ("env: [a]", "env: a table is wanted, not a list"),
        ("- a", "a table is wanted"),
        ("resolver_dist: {min_release_age: -1}", "at least 0"),
        ("build_options: {cpu_cores_per_job: true}", "a whole number is wanted"),
    ],
)
def test_upstreams_settings_that_are_wrong_say_where_and_why(
    text: str, said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        upstream_rules("demo", parse_yaml(text, "u.yaml"), 0)

    assert said in f"{caught.value} {caught.value.hint}"
    assert str(caught.value).startswith("u.yaml:1: ")


def test_ranks_of_rules_are_all_different() -> None:
    text = "timeout=1\n[[when]]\nversion='>1'\n[[when]]\nvariant='a'\n[variants.b]\n"
    rules = package_rules("demo", parse_toml(text, "f"), 0)

    ranks = [precedence(rule) for rule in rules]

    assert all(a != b for a, b in itertools.combinations(ranks, 2))
