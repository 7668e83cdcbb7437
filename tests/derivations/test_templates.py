"""Templates of environment variables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fromager.derivations.customisation.templates import (
    InvalidTemplate,
    expand,
    fill,
    finish,
)
from fromager.derivations.customisation.values import Variable

KNOWN = {"PATH": "/bin", "EMPTY": ""}


def expanded(*declared: tuple[str, str], version: str | None = "1.5") -> dict[str, str]:
    variables = [Variable(name, template, "f:1") for name, template in declared]
    found = expand(variables, KNOWN, {"MAX_JOBS"}, version)
    return {**found.variables, **finish(found.late, {"MAX_JOBS": "4"})}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("plain", "plain"),
        ("${PATH}:$PATH", "/bin:/bin"),
        ("${NONE:-a b}", "a b"),
        ("${NONE:-}", ""),
        ("${PATH:-other}", "/bin"),
        ("${EMPTY:-other}", ""),
        ("$$PATH $${PATH} $$$$", "$PATH ${PATH} $$"),
        ("${__version__}", "1.5"),
        ("-j${MAX_JOBS}$$", "-j4$"),
    ],
)
def test_a_template_is_expanded(template: str, value: str) -> None:
    assert expanded(("X", template)) == {"X": value}


def test_variables_may_name_those_before_them_and_themselves() -> None:
    assert expanded(
        ("A", "1"), ("B", "${A}2"), ("A", "${A}3"), ("PATH", "$PATH:x")
    ) == {
        "A": "13",
        "B": "12",
        "PATH": "/bin:x",
    }


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ([("A", "${HOME_OF_X}")], "HOME_OF_X.*not known"),
        ([("A", "${A}")], "names itself"),
        ([("A", "${B}"), ("B", "${A}")], r"\$\{B\} is set only later"),
        ([("A", "$")], "is no name"),
        ([("A", "${}")], "is no name"),
        ([("A", "${A-B}")], "is no name"),
        ([("A", "$(id)")], "is no name"),
        ([("A", "${1}")], "is no name"),
    ],
)
def test_what_cannot_be_expanded_is_an_error(
    declared: list[tuple[str, str]], said: str
) -> None:
    with pytest.raises(InvalidTemplate, match=said) as caught:
        expanded(*declared)

    assert str(caught.value).startswith("f:1: env A: ")
    assert caught.value.hint


def test_without_a_version_it_needs_a_default() -> None:
    assert expanded(("A", "${__version__:-none}"), version=None) == {"A": "none"}
    with pytest.raises(InvalidTemplate):
        expanded(("A", "${__version__}"), version=None)


def test_what_names_the_number_of_jobs_is_told_apart_from_a_text_that_looks_so() -> (
    None
):
    real = expand([Variable("A", "${MAX_JOBS}")], {}, {"MAX_JOBS"}, None)
    text = expand([Variable("A", "$${MAX_JOBS}")], {}, {"MAX_JOBS"}, None)

    assert real != text
    assert text.variables == {"A": "${MAX_JOBS}"}
    assert real.late == {"A": "${MAX_JOBS}"}


@given(st.text())
def test_a_text_with_its_dollars_doubled_is_that_text(text: str) -> None:
    template = text.replace("$", "$$")

    assert expanded(("X", template)) == {"X": text}
    assert expanded(("X", f"{template}${{MAX_JOBS}}")) == {"X": f"{text}4"}


def test_a_name_that_an_address_cannot_have_is_told_with_those_that_it_can() -> None:
    with pytest.raises(InvalidTemplate) as caught:
        fill("https://x.test/${nope}", {"version": "1", "name": "a"}, "f:1", "url")

    assert str(caught.value) == "f:1: url: ${nope} is not known"
    assert caught.value.hint == "There are ${name} and ${version}"
