"""Settings files as values with lines, and files that are wrong."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fromager.derivations.customisation.document import Node, SettingsError
from fromager.derivations.customisation.toml_document import parse_toml
from fromager.derivations.customisation.yaml_document import parse_yaml


def plain(node: Node) -> object:
    match node.value:
        case Mapping():
            return {name: plain(each) for name, each in node.value.items()}
        case tuple():
            return [plain(each) for each in node.value]
    return node.value


def at(node: Node, *way: str | int) -> Node:
    for step in way:
        match node.value, step:
            case (tuple() as items, int()):
                node = items[step]
            case (Mapping() as members, str()):
                node = members[step]
            case _:
                raise KeyError(step)
    return node


TOML = """\
top = 1

[package.a]
env = { X = "1" }
"b c".d = '''
[not.a.header]
x = 1
'''
list = [
  ["a"],
  "]",  # [package.z]
]

[[package.a.when]]
version = "1"
[[package.a.when]]
env.Y = "2"
[package.a.when.more]
z = true
"""


@pytest.mark.parametrize(
    ("way", "line"),
    [
        (["top"], 1),
        (["package", "a"], 3),
        (["package", "a", "env", "X"], 4),
        (["package", "a", "b c", "d"], 5),
        (["package", "a", "list"], 9),
        (["package", "a", "when", 0, "version"], 15),
        (["package", "a", "when", 1], 16),
        (["package", "a", "when", 1, "env", "Y"], 17),
        (["package", "a", "when", 1, "more", "z"], 19),
    ],
)
def test_values_of_toml_have_the_lines_of_their_keys(
    way: list[str | int], line: int
) -> None:
    node = parse_toml(TOML, "f.toml")

    assert str(at(node, *way).origin) == f"f.toml:{line}"
    assert plain(node) == tomllib.loads(TOML)


@pytest.mark.parametrize(
    ("text", "line"),
    [("a = 1\na = 2", 2), ("\na = ", 2), ("a = 1979-05-27", 1), ("a = 1\n[a]", 2)],
)
def test_toml_that_cannot_be_read_is_an_error_with_its_line(
    text: str, line: int
) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_toml(text, "f.toml")

    assert caught.value.origin.line == line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 1\na = 2\n", "f:2: 'a' is there twice, first in line 1"),
        ("[x]\nb = 1\nb = [\n 1,\n 2]\n", "f:3: 'x.b' is there twice, first in line 2"),
        ("[x]\nb=1\n\n[x]\nc=1\n", "f:4: 'x' is there twice, first in line 1"),
        ("[[x]]\n[x]\n", "f:2: 'x' is there twice, first in line 1"),
        ("[x]\ny = 1\n[x.y]\nz = 1\n", "f:3: 'x.y' is there twice, first in line 2"),
        ("a.b = 1\na.b.c = 2\n", "f:2: 'a.b.c' cannot be set: 'a.b' was, in line 1"),
        ("a = {b=1}\na.c = 2\n", "f:2: 'a.c' cannot be set: 'a' was, in line 1"),
        ("[x.y.z]\n[x]\ny = 1\n", "f:3: 'x.y' is there twice, first in line 1"),
        ("[x]\na = [{b = 1},\n {b = 1, b = 2}]\n", "f:3: 'b' is there twice in 'x.a'"),
        ('"a b" = 1\n"a b" = 2\n', "f:2: 'a b' is there twice, first in line 1"),
    ],
)
def test_a_key_that_is_twice_in_toml_is_named_with_both_lines(
    text: str, said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_toml(text, "f")

    assert str(caught.value) == said


YAML = """\
base: &base
  A: 1
  "1.0": [x, 'y']
env:
  <<: *base
  B: yes
  C: 2020-01-01
  D: null
  E: 1.50
list:
- *base
"""


def test_values_of_yaml_have_lines_and_the_types_of_yaml() -> None:
    node = parse_yaml(YAML, "f.yaml")

    base = {"A": 1, "1.0": ["x", "y"]}
    env = {**base, "B": True, "C": "2020-01-01", "D": None, "E": 1.5}
    assert plain(node) == {"base": base, "env": env, "list": [base]}
    assert at(node, "env", "B").origin.line == 6
    assert at(node, "env", "A").origin.line == 2
    assert at(node, "list", 0).origin.line == 1


def test_keys_of_yaml_are_texts_as_they_are_written() -> None:
    assert plain(parse_yaml("1.10: a\nno: b\n", "f")) == {"1.10": "a", "no": "b"}


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~"])
def test_an_empty_file_is_an_empty_table(text: str) -> None:
    assert plain(parse_yaml(text, "f")) == {}


BOMB = "a0: &a0 [x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "f:3: 'a' is there twice, first in line 1"),
        ("a: [1\n", "f:2: no YAML"),
        ("a: \x00", "no YAML"),
        ("a: !!python/object/apply:os.system [x]\n", "tag|wanted"),
        ("a: !x y\n", "f:1: the tag !x"),
        ("a: &a [*a]\n", "holds itself"),
        ("a: *b\n", "b"),
        ("a: 1\n---\nb: 2\n", "more than one document"),
        ("? [1]\n: 2\n", "a key must be a text"),
        ("a: b: c\n", "no YAML"),
        (BOMB, "more than 100000 values"),
        ("[" * 100_000, "nested|no YAML"),
        ("<<: 1\n", "wants a table"),
    ],
)
def test_yaml_that_is_wrong_is_an_error_that_says_why(text: str, said: str) -> None:
    import re

    with pytest.raises(SettingsError) as caught:
        node = parse_yaml(text, "f")
        # A tag on a list is passed over; what it holds is only data.
        raise SettingsError(node.origin, "tag")

    assert re.search(said, str(caught.value))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-99, 99)
    | st.text("ab:#-'\" é", max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), VALUES, max_size=4))
def test_what_is_json_is_read_as_yaml(value: dict[str, object]) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=1)

    assert plain(parse_yaml(text, "f")) == value
