"""Differences of texts get the right cause, and every difference gets one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fromager.derivations.comparing.causes import EXPLANATIONS, Cause
from fromager.derivations.comparing.texts import compare_texts, decoded
from fromager.derivations.comparing.tokens import Clues, known_words

NOTHING = Clues.none()
TREE = "0f3c1e2d4b5a69788796a5b4c3d2e1f00f3c1e2d4b5a69788796a5b4c3d2e1f0"

PAIRS = [
    ("t = 1795390212.336", "t = 1795390215.578", Cause.TIMESTAMP),
    ("built 1795390212", "built 1795390299", Cause.TIMESTAMP),
    ("ns = 1795390212336145612", "ns = 1795390215336145612", Cause.TIMESTAMP),
    ("on 2026-11-22", "on 2026-11-23", Cause.TIMESTAMP),
    ("2026-11-22T23:14:51Z", "2026-11-22T23:14:52Z", Cause.TIMESTAMP),
    ("2026-11-22 23:14:51.123+00:00", "2026-11-23 01:00:00.5+00:00", Cause.TIMESTAMP),
    ("Sun Nov 22 23:14:51 2026", "Mon Nov 23 03:14:51 2026", Cause.TIMESTAMP),
    ("Sun, 22 Nov 2026 23:14:51 GMT", "Mon, 23 Nov 2026 01:14:51 GMT", None),
    ('__DATE__ "Nov 22 2026"', '__DATE__ "Dec  2 2026"', Cause.TIMESTAMP),
    ("version 1.0+g12ab.d20261122", "version 1.0+g12ab.d20261123", Cause.TIMESTAMP),
    ("at 23:14:51", "at 23:14:59", Cause.TIMESTAMP),
    (
        "urn:uuid:2b0e1f0a-6c1d-4f5e-9a3b-1c2d3e4f5a6b",
        "urn:uuid:9b0e1f0a-6c1d-4f5e-8a3b-1c2d3e4f5a6b",
        Cause.RANDOM,
    ),
    ("token = deadbeef12", "token = 12beefdead", Cause.RANDOM),
    (f"sha256={TREE}", f"sha256={TREE[::-1]}", Cause.DIGEST),
    ("/home/alice/src/x.c", "/home/robert/checkout/src/x.c", Cause.BUILD_PATH),
    ("/build/one/x.c", "/elsewhere/two/x.c", Cause.BUILD_PATH),
    ("'/tmp/tmpab12cd_8/x.c'", "'/tmp/tmpzz9_0qwe/x.c'", Cause.TEMPORARY_NAME),
    (
        "/b/.tmp-frozenlist-pep517-4k3jx9q2/a.c",
        "/b/.tmp-frozenlist-pep517-m2n8x1p0/a.c",
        Cause.TEMPORARY_NAME,
    ),
    ("dir: .mesonpy-qz3k1x8w/build", "dir: .mesonpy-0a9s8d7f/build", None),
    ("<object at 0x7f3a5c0d12e0>", "<object at 0x7f3a5c0d99f0>", Cause.ADDRESS),
    ("hostname: alpha", "hostname: beta", Cause.HOST),
    ("author = alice@one", "author = bob@two", Cause.HOST),
    ("CPU_COUNT = 2", "CPU_COUNT = 16", Cause.CORES),
    ("make jobs: 4", "make jobs: 8", Cause.CORES),
    ("kernel 6.1.0-18-amd64", "kernel 6.12.3-1-arch", Cause.KERNEL),
    ("Generator: setuptools (80.1)", "Generator: setuptools (80.2)", None),
    ("['b', 'a', 'c']", "['c', 'a', 'b']", Cause.SET_ORDER),
    ("['b.py', 'a.py']", "['a.py', 'b.py']", Cause.FILE_ORDER),
    ("a = 1", "a = 2", Cause.TEXT),
    ("", "added", Cause.TEXT),
]
EXPECTED = {
    "Sun, 22 Nov 2026 23:14:51 GMT": Cause.TIMESTAMP,
    "dir: .mesonpy-qz3k1x8w/build": Cause.TEMPORARY_NAME,
    "Generator: setuptools (80.1)": Cause.TOOL_VERSION,
}


@pytest.mark.parametrize(("first", "second", "cause"), PAIRS)
def test_a_line_that_differs_has_its_cause(
    first: str, second: str, cause: Cause | None
) -> None:
    wanted = cause or EXPECTED[first]
    around = "same before\n{}\nsame after\n"

    for old, new in ((first, second), (second, first)):
        texts = around.format(old), around.format(new)
        findings, excerpt = compare_texts(*texts, {"a.py", "b.py"}, NOTHING)

        assert [finding.cause for finding in findings] == [wanted]
        assert excerpt


@pytest.mark.parametrize(
    ("first", "second", "cause"),
    [
        ("one\r\ntwo\r\n", "one\ntwo\n", Cause.LINE_ENDINGS),
        ("b.c\na.c\nx.c\n", "a.c\nb.c\nx.c\n", Cause.FILE_ORDER),
        ("Requires-Dist: x\nRequires-Dist: y\n", "Requires-Dist: y\nRequires-Dist: x\n",
         Cause.SET_ORDER),
        ('{"a": 1, "b": [1, 2]}', '{"b": [2, 1], "a": 1}', Cause.SET_ORDER),
    ],
)  # fmt: skip
def test_a_text_with_the_same_parts_differs_in_order(
    first: str, second: str, cause: Cause
) -> None:
    findings, _ = compare_texts(first, second, {"a.c", "b.c", "x.c"}, NOTHING)

    assert [finding.cause for finding in findings] == [cause]


def test_a_line_may_have_several_causes() -> None:
    first = "built 2026-11-22 in /home/alice/x for 2b0e1f0a-6c1d-4f5e-9a3b-1c2d3e4f5a6b"
    second = "built 2026-11-23 in /srv/bob/y/x for 9b0e1f0a-6c1d-4f5e-8a3b-1c2d3e4f5a6b"

    findings, _ = compare_texts(first, second, (), NOTHING)

    assert {finding.cause for finding in findings} == {
        Cause.TIMESTAMP,
        Cause.BUILD_PATH,
        Cause.RANDOM,
    }


def test_a_name_of_this_machine_is_known_by_itself() -> None:
    clues = known_words(host="zeta-17", user="root", home="/root", kernel="6.18-test")

    host, _ = compare_texts("x = zeta-17", "x = other", (), clues)
    kernel, _ = compare_texts("x = 6.18-test", "x = 5.5-other", (), clues)

    assert [f.cause for f in host] == [Cause.HOST]
    assert [f.cause for f in kernel] == [Cause.KERNEL]
    # What stands in half of all files proves nothing.
    assert "root" not in clues.words


def test_many_differing_lines_are_counted_and_shown_in_part() -> None:
    first = "".join(f"{n}: 2026-11-22\n" for n in range(500))
    second = "".join(f"{n}: 2026-11-23\n" for n in range(500))

    (finding,), excerpt = compare_texts(first, second, (), NOTHING)

    assert (finding.cause, finding.count) == (Cause.TIMESTAMP, 500)
    assert len(excerpt) < 20 and excerpt[-1] == "…"


def test_large_texts_are_compared_in_time() -> None:
    first = "".join(f"line {n * 7919 % 10007}\n" for n in range(100_000))
    second = "".join(f"line {n * 7919 % 10009}\n" for n in range(90_000))

    findings, _ = compare_texts(first, second, (), NOTHING)

    assert findings


@given(st.text(), st.text())
def test_texts_that_differ_have_a_cause_and_equal_sides_do_not_matter(
    first: str, second: str
) -> None:
    if first == second:
        return

    there, _ = compare_texts(first, second, (), NOTHING)
    back, _ = compare_texts(second, first, (), NOTHING)

    assert there
    assert {f.cause for f in there} == {f.cause for f in back}


def test_every_cause_is_explained() -> None:
    assert set(EXPLANATIONS) == set(Cause)
    assert not [about for about in EXPLANATIONS.values() if about.remedy.endswith(".")]


def test_bytes_are_text_only_if_they_read_as_such() -> None:
    assert decoded("naïve\n".encode()) == "naïve\n"
    assert decoded(b"a\0b") is None
    assert decoded(b"\xff\xfe") is None
