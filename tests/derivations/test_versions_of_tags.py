"""Versions out of tags, after the rules of setuptools-scm."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version

from fromager.derivations.sources.versions_of_tags import (
    development_version,
    newest_version,
    version_of_tag,
    version_variables,
)

COMMIT = "abcdef0123456789" + "0" * 24


@pytest.mark.parametrize(
    ("tag", "version"),
    [
        ("1.2", "1.2"),
        ("v1.2.3", "1.2.3"),
        ("V2", "2"),
        ("demo-1.2", "1.2"),
        ("my-demo-v2.0rc1", "2.0rc1"),
        ("py3-1.0", "1.0"),
        ("foo2-bar-1.0", "1.0"),
        ("release/v1.0", "1.0"),
        ("demo@1.0", "1.0"),
        ("2024.01.02", "2024.1.2"),
        ("1.0.post1", "1.0.post1"),
        ("latest", None),
        ("v", None),
        ("demo", None),
        ("1.0-final-really", None),
    ],
)
def test_a_tag_names_a_version(tag: str, version: str | None) -> None:
    assert version_of_tag(tag) == (None if version is None else Version(version))


def test_the_greatest_of_several_tags_counts() -> None:
    assert newest_version(["v1.9", "latest", "v1.10"]) == Version("1.10")
    assert newest_version(["latest"]) is None


@pytest.mark.parametrize(
    ("tagged", "expected"),
    [
        ("1.2", "1.3.dev5+gabcdef012"),
        ("1.2.9", "1.2.10.dev5+gabcdef012"),
        ("1.0rc1", "1.0rc2.dev5+gabcdef012"),
        ("1.0.dev3", "1.0.dev5+gabcdef012"),
        ("1.0.post1", "1.1.dev5+gabcdef012"),
        ("1!2.0", "1!2.1.dev5+gabcdef012"),
        (None, "0.1.dev5+gabcdef012"),
    ],
)
def test_between_tags_it_is_the_next_version(tagged: str | None, expected: str) -> None:
    before = None if tagged is None else Version(tagged)

    assert str(development_version(before, 5, COMMIT)) == expected


def test_a_tagged_commit_has_the_version_of_its_tag_unless_it_was_changed() -> None:
    tagged = Version("1.2")

    assert development_version(tagged, 0, COMMIT) == tagged
    changed = development_version(tagged, 0, COMMIT, changed=True)
    assert str(changed) == "1.3.dev0+gabcdef012.changed"


@given(
    st.builds(
        "{}.{}{}".format,
        st.integers(0, 99),
        st.integers(0, 99),
        st.sampled_from(["", "a1", "rc2", ".post3", ".dev4", ".7"]),
    ),
    st.integers(1, 999),
)
@settings(max_examples=100, deadline=None)
def test_a_commit_comes_after_its_tag(text: str, distance: int) -> None:
    tagged = Version(text)
    found = development_version(tagged, distance, COMMIT)

    assert found > tagged or tagged.is_devrelease
    assert found < development_version(tagged, distance + 1, COMMIT)


def test_backends_are_told_by_their_variables() -> None:
    found = dict(version_variables("My.Demo-x", Version("1.2")))

    assert found["SETUPTOOLS_SCM_PRETEND_VERSION_FOR_MY_DEMO_X"] == "1.2"
    assert set(found.values()) == {"1.2"}
    assert not any("_FOR_" in name for name, _ in version_variables(None, Version("1")))
