"""Logs of two builds: what is never the same is no difference."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fromager.derivations import compare_logs
from fromager.derivations.comparing.logs import LINES_TOLD

LINES = st.lists(
    st.text(st.characters(exclude_characters="\n\r", codec="utf-8"), max_size=30)
)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("at 2026-11-22T10:00:00Z", "at 2026-11-23T08:15:07Z"),
        ("Sat Nov 22 10:00:00 2026: begin", "Sun Nov 23 08:15:07 2026: begin"),
        ("10:00:00 INFO x", "08:15:07 INFO x"),
        ("stamp 1790000000", "stamp 1790000017.25"),
        ("Finished release in 12.31s", "Finished release in 9.02s"),
        ("took 1 second", "took 0.5 seconds"),
        ("elapsed 0:00:12.5", "elapsed 1:04:03"),
        ("12:01 x", "12:02 x"),
        ("3 ms", "12 ms"),
        ("in /tmp/tmpab12cd_x/src", "in /tmp/tmpzz99yy_q/src"),
        ("/tmp/pip-req-build-x1y2z3w4", "/tmp/pip-req-build-9abc8def"),
        ("cc /tmp/ccAbC123.o", "cc /tmp/ccZyX987.o"),
        ("process 17 ended", "process 2041 ended"),
        ("pid=17", "pid=18"),
        ("<object at 0x7f21a0b3c4d0>", "<object at 0x7fee90b3c4d0>"),
        (
            "id 7d444840-9dc0-11d1-b245-5ffdce74fad2",
            "id 11111840-9dc0-11d1-b245-5ffdce74fad2",
        ),
        ("12.5 MB/s", "9.1 MB/s"),
        ("  10%\r 100%", " 100%"),
        ("one  ", "one"),
    ],
)
def test_what_is_never_the_same_is_no_difference(first: str, second: str) -> None:
    assert compare_logs(first.encode(), second.encode()).same


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("checking for gcc... yes", "checking for gcc... no"),
        ("version 1.2.3", "version 1.2.4"),
        ("building with 2 jobs", "building with 4 jobs"),
        ("-O2 -g", "-O3 -g"),
        ("/usr/lib/python3.11", "/usr/lib/python3.12"),
        ("4 warnings", "5 warnings"),
        ("compiled 12 files", "compiled 13 files"),
        ("a.c:12:34: warning", "a.c:13:34: warning"),
        ("-std=c++17", "-std=c++20"),
    ],
)
def test_what_a_build_did_otherwise_is(first: str, second: str) -> None:
    found = compare_logs(f"same\n{first}\n".encode(), f"same\n{second}\n".encode())

    assert found.lines == (f"- {first}", f"+ {second}")


def test_lines_in_another_order_are_told_as_that() -> None:
    found = compare_logs(b"cc a.c\ncc b.c\n", b"cc b.c\ncc a.c\n")

    assert (found.same, found.reordered, found.lines) == (False, True, ())


def test_of_many_lines_the_first_are_told_and_the_rest_counted() -> None:
    first = b"".join(b"line %d\n" % n for n in range(5000))
    second = b"".join(b"other %d\n" % n for n in range(5000))

    found = compare_logs(first, second)

    assert len(found.lines) == LINES_TOLD
    assert found.left_out == 10_000 - LINES_TOLD
    assert json.loads(json.dumps(found.row))["left_out"] == found.left_out


def test_what_is_no_text_is_compared_too() -> None:
    assert compare_logs(b"\xff\xfe\0", b"\xff\xfe\0").same
    assert not compare_logs(b"\xff\xfe\0", b"\xff\0").same


@given(first=LINES, second=LINES)
def test_just_the_lines_that_one_side_lacks_are_told(
    first: list[str], second: list[str]
) -> None:
    found = compare_logs("\n".join(first).encode(), "\n".join(second).encode())
    back = compare_logs("\n".join(second).encode(), "\n".join(first).encode())

    assert found.same == back.same
    assert found.reordered == back.reordered
    removed = sum(line.startswith("- ") for line in found.lines)
    added = sum(line.startswith("+ ") for line in found.lines)
    kept = [len([line for line in side if line.rstrip()]) for side in (first, second)]
    assert kept[0] - removed == kept[1] - added
