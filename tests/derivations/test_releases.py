"""Versions, from the names of files."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.utils import canonicalize_name, parse_sdist_filename
from packaging.version import Version

from fromager.derivations.index.page import ProjectFile, ProjectPage
from fromager.derivations.index.releases import (
    Release,
    releases,
    sdist_version,
    sdists,
)


def file(name: str, yanked: str | None = None) -> ProjectFile:
    url = f"https://files.test/{name}"
    return ProjectFile(name, url, None, None, yanked, None, None, False, None)


def read(*files: ProjectFile | str, project: str = "foo-bar") -> tuple[Release, ...]:
    rows = (f if isinstance(f, ProjectFile) else file(f) for f in files)
    return releases(ProjectPage(project, tuple(rows)))


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("foo_bar-1.0.tar.gz", "1.0"),
        ("Foo.Bar-1.0.zip", "1.0"),
        ("foo-bar-1.0.tar.bz2", "1.0"),
        ("FOO--bar-1.0.tar.xz", "1.0"),
        ("foo-bar-1.0-1.tar.gz", "1.0.post1"),
        ("foo_bar-1!2.0rc1+local.3.tgz", "1!2.0rc1+local.3"),
        ("foo_bar-v1.0.tar.gz", "1.0"),
    ],
)
def test_names_from_before_the_standard_are_understood(name: str, version: str) -> None:
    assert sdist_version(name, "foo-bar") == Version(version)


@pytest.mark.parametrize(
    "name",
    [
        "foo_bar-unknown.tar.gz",
        "foo_bar-1.0.linux-x86_64.tar.gz",
        "foo_bar_baz-1.0.tar.gz",
        "foo-1.0.tar.gz",
        "foo_bar-.tar.gz",
        "foo_bar.tar.gz",
        "foo_bar-1.0.exe",
        ".tar.gz",
    ],
)
def test_names_that_say_no_version_are_left_out(name: str) -> None:
    assert sdist_version(name, "foo-bar") is None
    assert read(name) == ()


def test_releases_come_newest_first() -> None:
    names = [f"foo_bar-{v}.tar.gz" for v in ("1.9", "1.10", "2.0rc1", "1.10.post1")]

    found = [str(release.version) for release in read(*names)]

    assert found == ["2.0rc1", "1.10.post1", "1.10", "1.9"]


def test_the_standard_form_is_preferred() -> None:
    (release,) = read("foo_bar-1.zip", "foo_bar-1.tar.bz2", "foo_bar-1.tar.gz")

    assert release.sdist == file("foo_bar-1.tar.gz")


def test_a_file_that_is_not_yanked_is_preferred() -> None:
    (release,) = read(file("foo_bar-1.tar.gz", yanked="oops"), "foo_bar-1.zip")

    assert release.sdist == file("foo_bar-1.zip")
    assert release.yanked is None


def test_spellings_of_a_version_are_one_release() -> None:
    (release,) = read("foo_bar-1.0.tar.gz", "foo_bar-1.0.0-py3-none-any.whl")

    assert (release.version, release.wheels) == (Version("1.0"), 1)


def test_a_release_may_have_wheels_only() -> None:
    found = read(
        "foo_bar-2-cp312-cp312-linux_x86_64.whl",
        "foo_bar-2-py3-none-any.whl",
        "other-2-py3-none-any.whl",
        "foo_bar-1.tar.gz",
    )

    assert [(r.wheel_only, r.wheels) for r in found] == [(True, 2), (False, 0)]
    assert list(sdists(ProjectPage("foo-bar", (file("foo_bar-2-x-y-z.whl"),)))) == []


def test_wheels_alone_are_yanked_if_all_are() -> None:
    one, two = "foo_bar-1-py2-none-any.whl", "foo_bar-1-py3-none-any.whl"

    assert read(file(one, yanked="bad"), two)[0].yanked is None
    assert read(file(one, yanked="bad"), file(two, yanked=""))[0].yanked == "bad"


def test_a_local_version_of_a_wheel_is_read() -> None:
    (release,) = read("foo_bar-1.0+ab_3-py3-none-any.whl")

    assert release.version == Version("1.0+ab.3")


words = st.from_regex(r"[a-z][a-z0-9]{0,4}", fullmatch=True)
versions = st.from_regex(r"[0-9]{1,2}(\.[0-9]{1,2}){0,2}(rc1|\.post2)?", fullmatch=True)


@given(st.lists(words, min_size=1, max_size=3), versions)
@settings(max_examples=80, deadline=None)
def test_standard_names_read_as_packaging_reads_them(
    parts: list[str], version: str
) -> None:
    name = f"{'_'.join(parts)}-{version}.tar.gz"

    project, expected = parse_sdist_filename(name)

    assert sdist_version(name, project) == expected
    assert project == canonicalize_name("-".join(parts))


def test_order_on_the_page_does_not_matter() -> None:
    names = ["foo_bar-1.tar.gz", "foo-bar-1.tar.gz", "foo_bar-2-py3-none-any.whl"]

    assert read(*names) == read(*reversed(names))
