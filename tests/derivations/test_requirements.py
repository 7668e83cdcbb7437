"""Requirement files as pip reads them, and what is said of mistakes in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement

from fromager.derivations.errors import InputError
from fromager.derivations.requirement import parse_requirement
from fromager.derivations.requirement_lines import read_lines
from fromager.derivations.requirements import (
    RequirementFile,
    read_constraints,
    read_requirements,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fromager.derivations.resolution.request import GivenRequirement

A, B = "ab" * 32, "cd" * 32


def read(
    folder: Path, text: str | bytes, environ: Mapping[str, str] | None = None
) -> RequirementFile:
    path = folder / "requirements.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_requirements(path, environ or {})


def texts(given: tuple[GivenRequirement, ...]) -> list[str]:
    return [str(each.requirement) for each in given]


def test_requirements_tell_their_file_and_line(tmp_path: Path) -> None:
    found = read(tmp_path, "# all\n\nfoo==1.0\nbar[x,y]>=2; python_version<'4'\n")

    assert texts(found.requirements) == [
        "foo==1.0",
        'bar[x,y]>=2; python_version < "4"',
    ]
    path = tmp_path / "requirements.txt"
    assert [each.origin for each in found.requirements] == [f"{path}:3", f"{path}:4"]


def test_comments_end_lines(tmp_path: Path) -> None:
    found = read(
        tmp_path, "foo==1 # one\n  # two \\\nbar==2#3\n".replace("2#3", "2 #3")
    )

    assert texts(found.requirements) == ["foo==1", "bar==2"]


def test_a_backslash_joins_lines(tmp_path: Path) -> None:
    found = read(tmp_path, f"foo==1 \\\n    --hash=sha256:{A} \\\n --hash sha256:{B}\n")

    assert texts(found.requirements) == ["foo==1"]
    assert found.hashes == {"foo": (A, B)}
    assert found.require_hashes


def test_the_last_line_needs_no_end(tmp_path: Path) -> None:
    assert texts(read(tmp_path, "foo==1 \\").requirements) == ["foo==1"]


def test_hashes_are_by_normalised_name(tmp_path: Path) -> None:
    lines = (
        f"Foo.Bar==1 ; python_version<'3' --hash=sha256:{A.upper()} --hash=sha512:00\n"
        f"foo_bar==2 ; python_version>'3' --hash=sha256:{B}\n"
    )

    assert read(tmp_path, lines).hashes == {"foo-bar": (A, B)}


def test_variables_are_filled_in_where_they_exist(tmp_path: Path) -> None:
    text = "foo==${VERSION}\n--index-url https://${USER_NAME}:${ABSENT}@i.test/\n"

    found = read(tmp_path, text, {"VERSION": "1.0", "USER_NAME": "me"})

    assert texts(found.requirements) == ["foo==1.0"]
    assert found.index_urls == ("https://me:${ABSENT}@i.test/",)


def test_indexes_are_told_and_not_shown(tmp_path: Path) -> None:
    found = read(
        tmp_path, "--extra-index-url=https://b.test/\n-i https://me:secret@a.test/\n"
    )

    assert found.index_urls == ("https://me:secret@a.test/", "https://b.test/")
    assert "secret" not in repr(found)


def test_files_include_files_beside_them(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "more.txt").write_text("bar\n-c limits.txt\n")
    (tmp_path / "sub" / "limits.txt").write_text("baz<2\n")

    found = read(tmp_path, "foo\n-r sub/more.txt\n--constraint 'sub/limits.txt'\n")

    assert texts(found.requirements) == ["foo", "bar"]
    assert texts(found.constraints) == ["baz<2", "baz<2"]
    assert found.requirements[1].origin == f"{tmp_path / 'sub/more.txt'}:1"


def test_constraint_files_hold_constraints(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("foo<2\n-c b.txt\n")
    (tmp_path / "b.txt").write_text(f"bar<3 --hash=sha256:{A}\n")

    found = read_constraints(tmp_path / "a.txt", {})

    assert texts(found.constraints) == ["foo<2", "bar<3"]
    assert found.requirements == ()
    assert found.hashes == {"bar": (A,)}


def test_files_that_include_each_other_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("\n-r requirements.txt\n")

    with pytest.raises(InputError, match="include each other") as caught:
        read(tmp_path, "-r other.txt\n")

    assert "other.txt:2" in str(caught.value)


def test_a_file_may_be_included_twice(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("foo\n")

    found = read(tmp_path, "-r other.txt\n-rother.txt\n")

    assert texts(found.requirements) == ["foo", "foo"]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbffoo==1\n",
        "foo==1\n".encode("utf-16"),
        "foo==1\n".encode("utf-32"),
        b"\xfe\xff" + "foo==1\n".encode("utf-16-be"),
        b"foo==1\r\n",
        "# -*- coding: latin-1 -*-\nfoo==1 # \xe9\n".encode("latin-1"),
        "# \n# vim: set fileencoding=cp1252 :\nfoo==1 # \u20ac".encode("cp1252"),
    ],
)
def test_marks_of_encodings_are_understood(tmp_path: Path, content: bytes) -> None:
    assert texts(read(tmp_path, content).requirements) == ["foo==1"]


def test_an_encoding_that_nobody_knows_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="an unknown encoding, 'klingon'"):
        read(tmp_path, "# coding: klingon\nfoo==1\n")


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["a==1", "b", "#", " ", "\\", "\n", "\t", "${E}", "${SET}", "${NOT}", " #c"]
        ),
        max_size=25,
    )
)
def test_lines_are_those_that_pip_reads(parts: list[str]) -> None:
    pip = pytest.importorskip("pip._internal.req.req_file")
    text = "".join(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SET", "z")
        patch.setenv("E", "")
        patch.delenv("NOT", raising=False)
        expected = [line.strip() for _, line in pip.preprocess(text)]

    found = [line for _, line in read_lines(text, {"SET": "z", "E": ""})]

    assert found == [line for line in expected if line]


def test_options_with_no_effect_are_passed_over(tmp_path: Path) -> None:
    found = read(tmp_path, "--no-binary :all:\n--trusted-host i.test\n--pre\nfoo\n")

    assert texts(found.requirements) == ["foo"]
    assert found.prereleases


def test_options_that_are_not_used_are_noted(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()

    found = read(tmp_path, "--trusted-host i.test\n-e ./project\n")

    assert [note.partition(": ")[0][-18:] for note in found.notes] == [
        "requirements.txt:1",
        "requirements.txt:2",
    ]
    assert "certificates are always checked" in found.notes[0]
    assert "built as a wheel" in found.notes[1]


def test_places_with_links_are_meant_from_the_file(tmp_path: Path) -> None:
    found = read(tmp_path, "-f archives\n--find-links=https://i.test/l\n--no-index\n")

    assert found.find_links == (str(tmp_path / "archives"), "https://i.test/l")
    assert found.no_index


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-e", "needs the place of a project"),
        ("-e ./project", "no file or folder of this machine"),
        ("./project", "no file or folder of this machine"),
        ("dist/foo-1.0.tar.gz", "no file or folder of this machine"),
        ("https://me:secret@x.test/foo-1.0-py3-none-any.whl", "is a wheel"),
        ("https://me:secret@x.test/foo", "is no source archive by its name"),
        ("https://me:secret@x.test/foo.zip#sha256=12", "is not a sha256"),
        ("https://me:secret@x.test/foo.zip#md5=12", "kind md5 is not checked"),
        ("https://me:secret@x.test/foo.zip#subdirectory=../x", "leads out"),
        ("https://me:secret@x.test/foo.zip#token", "'token' after # is not"),
        ("ftp://me:secret@x.test/foo.zip", "no scheme that can be used"),
        ("git+ext://sh", "no scheme that can be used"),
        ("git+ftp://me:secret@x.test/foo", "no scheme that can be used"),
        ("git+https://-oProxyCommand=x/foo", "no address of a git repository"),
        ("git+ssh://-oProxyCommand=x@host/foo", "no address of a git repository"),
        ("git+https://x.test/foo@--upload-pack=x", "no name of a commit"),
        ("git+https://x.test/foo@a..b", "no name of a commit"),
        ("git@x.test:foo/bar.git", "cannot be used"),
        ("hg+https://me:secret@x.test/foo", "cannot be used"),
        ("file://other.test/foo.zip", "on another machine"),
        ("foo @ https://me:secret@x.test/foo.zip ; python > 3", "the marker cannot"),
        ("foo @ git+https://x.test/foo --hash=sha256:" + A, "has no sha256"),
        ("https://me:secret@x.test/f o.zip", "is not the address of a file"),
        ("foo==", "not a valid requirement"),
        ("foo>=1.*", "not a valid requirement"),
        ("foo; python > 3", "not a valid requirement"),
        ("--wrong", "--wrong is not known"),
        ("--wrong=x", "--wrong is not known"),
        ("-q", "-q is not known"),
        ("--index-url", "needs an address"),
        ("--only-binary foo", "built from source"),
        ("-r", "needs the name of a file"),
        ("-r https://me:secret@x.test/r.txt", "only files are read here"),
        ("-r ftp://me:secret@x.test/r.txt", "is not the address of a file"),
        ("-c file://other.test/r.txt", "lies on another machine"),
        ("-r absent.txt", "absent.txt cannot be read"),
        ("foo --hash=sha256:12", "is not a sha256"),
        ("foo --hash=md5:12", "no hash of the kind sha256"),
        ("foo --hash", "no hash of the kind sha256"),
        ("foo --config-settings a=b", "--config-settings"),
        ("-c 'x", "quote"),
        ("--pre foo", "--pre is not known"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, f"ok==1\n{line}\n")

    text = str(caught.value)
    assert text.startswith(f"{tmp_path / 'requirements.txt'}:2: ")
    assert message in text
    assert "secret" not in text


def test_constraints_have_no_extras(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("foo[x]<2\n")

    with pytest.raises(InputError, match=r"c\.txt:1: a constraint cannot have extras"):
        read_constraints(tmp_path / "c.txt", {})


@pytest.mark.parametrize("content", [None, b"\xff\xff\xff", b"foo==1 # \xe9\n"])
def test_a_file_that_is_no_text_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "requirements.txt"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(InputError, match=r"requirements\.txt"):
        read_requirements(path, {})


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("foo=1.0", "foo==1.0"),
        ("foo = 1.0", "foo==1.0"),
        ("foo 1.0", "foo==1.0"),
        ("foo@1.0", "foo==1.0"),
        ("foo[x] @ 1.0", "foo[x]==1.0"),
        ("foo=>1.0", "foo>=1.0"),
        ("foo=<1.0", "foo<=1.0"),
        ("foo=1.0; python_version<'4'", "foo==1.0; python_version<'4'"),
    ],
)
def test_what_was_meant_is_offered(text: str, meant: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_requirement(text)

    assert caught.value.hint == f"Did you mean {meant}?"


@pytest.mark.parametrize(
    "text",
    [
        "git@x.test:group/demo.git@v1.0",
        "git+git@x.test:group/demo.git@v1.0",
        "demo @ git+git@x.test:/group/demo.git@v1.0",
    ],
)
def test_the_short_form_of_ssh_is_written_out_in_the_hint(
    tmp_path: Path, text: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)

    assert caught.value.hint == "Write git+ssh://git@x.test/group/demo.git@v1.0"


@pytest.mark.parametrize("text", ["", "  ", "==1.0", "foo bar", "foo==1.0 bar", "é"])
def test_nonsense_is_one_error(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_requirement(text)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["foo", " foo ", "foo[a]>=1,<2", "foo===1.0", "foo (>=1)", "zip", "a.b-c_d"]
)
def test_requirements_are_requirements(text: str) -> None:
    assert parse_requirement(text) == Requirement(text.strip())


lines = st.lists(
    st.sampled_from(["foo==1", "# c", "", "-r", "x \\", "--hash=sha256:1", "\\", "-"])
    | st.text(max_size=8),
    max_size=6,
)


@given(lines)
@settings(max_examples=100, deadline=None)
def test_any_text_is_read_or_is_one_kind_of_error(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    try:
        read(folder, "\n".join(lines).encode("utf-8", "replace"))
    except InputError as error:
        assert "requirements.txt" in str(error)
