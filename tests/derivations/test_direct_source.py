"""Places that requirements name: what they stand for, without any password."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fromager.derivations.errors import InputError
from fromager.derivations.requirement import parse_given
from fromager.derivations.resolution.request import GivenRequirement
from fromager.derivations.sources.direct import (
    ArchiveSource,
    DirectRequirement,
    FolderSource,
    GitSource,
    parse_source,
)

NOWHERE = Path("/nowhere")
SHA = "ab" * 32
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def direct(text: str, folder: Path = NOWHERE) -> DirectRequirement:
    found = parse_given(text, "here", folder)
    assert isinstance(found, DirectRequirement)
    return found


@pytest.mark.parametrize(
    ("text", "source"),
    [
        (
            "https://x.test/a/b-1.0.tar.gz",
            ArchiveSource("https://x.test/a/b-1.0.tar.gz"),
        ),
        (
            f"https://x.test/b.zip#sha256={SHA.upper()}&subdirectory=/p/./q/".replace(
                "=/p", "=p"
            ),
            ArchiveSource("https://x.test/b.zip", SHA, "p/q"),
        ),
        ("https://x.test/b.zip?x=1", ArchiveSource("https://x.test/b.zip?x=1")),
        ("git+https://x.test/o/r.git", GitSource("https://x.test/o/r.git")),
        ("git+https://x.test/o/r@v1.0", GitSource("https://x.test/o/r", "v1.0")),
        (
            "git+https://x.test/o/r@feature/x-1#subdirectory=p",
            GitSource("https://x.test/o/r", "feature/x-1", "p"),
        ),
        (
            f"git+ssh://git@x.test:22/o/r.git@{COMMIT.upper()}",
            GitSource("ssh://git@x.test:22/o/r.git", COMMIT),
        ),
        ("git+file:///srv/r@main", GitSource("file:///srv/r", "main")),
        (
            "git+http://x.test/r#submodules=none",
            GitSource("http://x.test/r", submodules=()),
        ),
        (
            "git+http://x.test/r#submodules=b,a/c,b",
            GitSource("http://x.test/r", submodules=("a/c", "b")),
        ),
        ("git+http://x.test/r#submodules=all", GitSource("http://x.test/r")),
    ],
)
def test_an_address_stands_for_a_source(
    text: str, source: ArchiveSource | GitSource
) -> None:
    parsed = parse_source(text, NOWHERE)

    assert parsed.source == source
    assert parsed.login is None
    assert parse_source(str(source), NOWHERE).source == source


def test_a_path_stands_for_a_folder_or_an_archive(tmp_path: Path) -> None:
    (tmp_path / "demo" / "python").mkdir(parents=True)
    (tmp_path / "demo-1.0.tar.gz").write_bytes(b"")
    folder = FolderSource(str(tmp_path / "demo"))
    archive = ArchiveSource((tmp_path / "demo-1.0.tar.gz").as_uri())

    for text in ("demo/", "./demo", str(tmp_path / "demo"), folder_url(tmp_path)):
        assert parse_source(text, tmp_path).source == folder
    for text in ("demo-1.0.tar.gz", f"./demo-1.0.tar.gz#sha256={SHA}", archive.url):
        found = parse_source(text, tmp_path).source
        assert isinstance(found, ArchiveSource) and found.url == archive.url
    inner = parse_source("./demo#subdirectory=python", tmp_path).source
    assert inner == FolderSource(str(tmp_path / "demo" / "python"))


def folder_url(tmp_path: Path) -> str:
    return (tmp_path / "demo").as_uri()


def test_what_is_fixed_can_only_be_one_content() -> None:
    fixed = [f"https://x.test/b.zip#sha256={SHA}", f"git+https://x.test/r@{COMMIT}"]
    loose = ["https://x.test/b.zip", "git+https://x.test/r@v1", "git+https://x.test/r"]

    assert all(parse_source(text, NOWHERE).source.is_fixed for text in fixed)
    assert not any(parse_source(text, NOWHERE).source.is_fixed for text in loose)


@pytest.mark.parametrize(
    "text",
    [
        "https://me:canary@x.test/b.zip",
        "demo @ https://me:canary@x.test/b.zip",
        "git+https://me:canary@x.test/r@v1",
        "git+https://me:canary@x.test/r@v1#egg=demo",
        "demo[x] @ git+http://me:canary@x.test/r ; python_version > '3'",
    ],
)
def test_a_password_is_kept_apart(text: str) -> None:
    found = direct(text)

    assert found.login is not None
    assert (found.login.user, found.login.password) == ("me", "canary")
    assert found.login.url.startswith(("https://x.test/", "http://x.test/"))
    assert "canary" not in f"{found} {found!r} {found.source} {found.source!r}"


def test_a_password_for_ssh_is_dropped() -> None:
    found = direct("git+ssh://git:canary@x.test/r")

    assert found.login is None
    assert found.source == GitSource("ssh://git@x.test/r")


@pytest.mark.parametrize(
    ("text", "name", "extras", "marker"),
    [
        ("Foo.Bar @ https://x.test/b.zip", "foo-bar", (), None),
        ("foo@https://x.test/b.zip", "foo", (), None),
        ("foo[b,A_x]@ https://x.test/b.zip", "foo", ("a-x", "b"), None),
        (
            "foo @ https://x.test/b.zip ; python_version < '4'",
            "foo",
            (),
            'python_version < "4"',
        ),
        ("https://x.test/b.zip[x]", None, ("x",), None),
        ("git+https://x.test/r[x,y] ; os_name=='posix'", None, ("x", "y"), None),
        ("git+https://x.test/r@v1#egg=foo[x]", "foo", ("x",), None),
    ],
)
def test_name_extras_and_marker_are_read(
    text: str, name: str | None, extras: tuple[str, ...], marker: str | None
) -> None:
    found = direct(text)

    assert (found.name, found.extras, found.origin) == (name, extras, "here")
    if marker is not None:
        assert str(found.marker) == marker


def test_a_folder_may_have_extras(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()

    found = direct("./demo[x]", tmp_path)

    assert found.source == FolderSource(str(tmp_path / "demo"))
    assert found.extras == ("x",)


@pytest.mark.parametrize("text", ["foo==1.0", "foo", "foo[x]>=1 ; os_name=='posix'"])
def test_others_are_for_an_index(text: str) -> None:
    assert isinstance(parse_given(text, "here", NOWHERE), GivenRequirement)


places = st.sampled_from(
    [
        "git+https://h.test/r@",
        "https://me:canary@h.test/",
        "./",
        "file://",
        "foo @ ",
        "",
    ]
)


@given(places, st.text(max_size=20))
@settings(max_examples=100, deadline=None)
def test_any_text_is_read_or_is_one_error_without_a_password(
    start: str, end: str
) -> None:
    try:
        found = parse_given(start + end, "here", NOWHERE)
    except InputError as error:
        assert "canary" not in f"{error}" or "canary" in end
    else:
        assert "canary" not in str(getattr(found, "source", "")) or "canary" in end
