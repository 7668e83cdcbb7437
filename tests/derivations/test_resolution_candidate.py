from __future__ import annotations

from packaging.specifiers import SpecifierSet

from fromager.derivations.resolution.candidate import Metadata

METADATA = """\
Metadata-Version: 2.1
Name: a
Requires-Python: >=3.9
Requires-Dist: b>=1
requires-dist: c[x]
        ; extra == "Some_Thing"
Provides-Extra: Some_Thing
Description-Content-Type: text/plain

Requires-Dist: not-a-header
"""


def test_metadata_is_read_from_headers_folded_ones_too() -> None:
    metadata = Metadata.parse(METADATA)

    assert [str(one) for one in metadata.requires_dist] == [
        "b>=1",
        'c[x]; extra == "some-thing"',
    ]
    assert metadata.requires_python == SpecifierSet(">=3.9")
    assert metadata.provides_extra == {"some-thing"}
    assert metadata.problem is None


def test_an_empty_file_requires_nothing() -> None:
    assert Metadata.parse("") == Metadata()


def test_an_invalid_requirement_is_a_problem_of_one_line() -> None:
    metadata = Metadata.parse("Requires-Dist: b (>dev)\n")

    assert metadata.problem is not None
    assert metadata.problem.startswith("has invalid metadata: ")
    assert "\n" not in metadata.problem


def test_an_invalid_requires_python_is_a_problem() -> None:
    assert Metadata.from_fields(requires_python="3.8 or so").problem is not None


def test_an_empty_requires_python_allows_every_python() -> None:
    metadata = Metadata.from_fields(requires_python="")

    assert metadata == Metadata(requires_python=SpecifierSet(""))


def test_a_folded_field_may_hold_lines_of_blanks() -> None:
    text = "License: First\n   \n   Second\nRequires-Dist: b>=2\n\nRequires-Dist: c\n"

    assert [str(each) for each in Metadata.parse(text).requires_dist] == ["b>=2"]
