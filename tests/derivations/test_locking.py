"""Locks as text: nothing is lost, nothing dangles, and changes are told in words."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.markers import Marker
from packaging.pylock import Pylock
from packaging.version import Version

from fromager.derivations import (
    InvalidLock,
    Lock,
    LockedRequest,
    format_lock,
    joined,
    lock_changes,
    parse_lock,
)
from fromager.derivations.locking.lock import (
    LockedBuild,
    LockedFile,
    LockedPlace,
    LockedPlatform,
    LockedRelease,
    LockedSet,
)
from fromager.derivations.locking.places import ORIGIN, recorded
from fromager.derivations.sources.direct import (
    ArchiveSource,
    DirectRequirement,
    FolderSource,
    GitSource,
)

GOLDEN = Path(__file__).parents[1] / "data" / "lockfile" / "two-platforms.toml"


def platform(python: str = "3.12") -> LockedPlatform:
    tag = f"cpython-{python.replace('.', '')}-linux-x86_64"
    markers = (
        ("implementation_name", "cpython"),
        ("platform_machine", "x86_64"),
        ("python_version", python),
        ("sys_platform", "linux"),
    )
    return LockedPlatform(tag, python, markers)


def release(
    name: str, version: str = "1.0", *needs: str, sha: str = "ab", **more: object
) -> LockedRelease:
    filename = f"{name}-{version}.tar.gz"
    url = f"https://files.test/{filename}"
    file = LockedFile(filename, url, sha * 32, 120, datetime(2026, 1, 2, tzinfo=UTC))
    index = "https://index.test/simple/"
    found = LockedRelease(name, Version(version), file, index, dependencies=needs)
    return replace(found, **more)  # type: ignore[arg-type]


def lock(
    *releases: LockedRelease,
    wheels: tuple[str, ...],
    builds: dict[str, tuple[str, ...]],
    python: str = "3.12",
) -> Lock:
    return Lock(
        LockedRequest(("top>=1",), indexes=("https://index.test/simple/",)),
        tuple(sorted(releases, key=lambda each: (each.name, each.version))),
        (
            LockedSet(
                platform(python),
                tuple(sorted(wheels)),
                {
                    each.subject: LockedBuild(
                        "blake3:" + "0" * 64, builds.get(each.subject, ())
                    )
                    for each in releases
                },
            ),
        ),
    )


def example(top: str = "1.0", tool: str = "2.0", python: str = "3.12") -> Lock:
    return lock(
        release("top", top, "needed"),
        release("needed"),
        release("tool", tool),
        wheels=(f"top=={top}", "needed==1.0"),
        builds={f"top=={top}": (f"tool=={tool}",)},
        python=python,
    )


def told(before: Lock, after: Lock) -> list[str]:
    return [str(change) for change in lock_changes(before, after)]


def another_file(release: LockedRelease) -> LockedRelease:
    assert isinstance(release.origin, LockedFile)
    return replace(release, origin=replace(release.origin, sha256="cd" * 32))


names = st.sampled_from(("a", "b-c", "d"))
versions = st.sampled_from(("1.0", "2!1.0rc1", "1.0+local.1"))
texts = st.text(max_size=8)
files = st.builds(
    LockedFile,
    filename=st.sampled_from(("a-1.tar.gz", "ä.zip")),
    url=texts,
    sha256=st.sampled_from(("ab" * 32, "0" * 64)),
    size=st.none() | st.integers(0, 1 << 40),
    upload_time=st.none() | st.datetimes(timezones=st.just(UTC)),
    prebuilt=st.booleans(),
)

paths = st.sampled_from(("/srv/demo", "/srv/a b;c#d/demo", "/elsewhere/é"))
folders = st.builds(FolderSource, path=paths)
below = st.sampled_from(("", "python/sub"))
archives = st.builds(
    ArchiveSource,
    url=paths.map(lambda path: Path(f"{path}-1.tar.gz").as_uri())
    | st.just("https://host.test/demo-1.0.tar.gz"),
    sha256=st.just("ab" * 32),
    subdirectory=below,
)
commits = st.builds(
    GitSource,
    url=st.sampled_from(("https://host.test/a.git", "ssh://git@host.test/a%20b")),
    ref=st.just("c" * 40),
    subdirectory=below,
    submodules=st.sampled_from((None, (), ("one", "two"))),
)
digests = st.just("blake3:" + "1" * 64)
variables = st.just(()) | st.just((("SETUPTOOLS_SCM_PRETEND_VERSION", "1=2"),))
places = (
    st.builds(LockedPlace, folders, digests, variables=variables)
    | st.builds(LockedPlace, archives, variables=variables)
    | st.builds(LockedPlace, commits, digests, st.none() | st.just("v1"), variables)
)
asked = st.builds(
    DirectRequirement,
    source=folders
    | archives
    | commits
    | archives.map(lambda source: replace(source, sha256=None))
    | commits.map(lambda source: replace(source, ref=None))
    | commits.map(lambda source: replace(source, ref="feature/x")),
    origin=st.just(ORIGIN),
    name=names,
    extras=st.just(()) | st.just(("x", "y")),
    marker=st.none() | st.just(Marker("python_version < '4' and os_name == 'posix'")),
)


def of_an_index(release: LockedRelease) -> LockedRelease:
    """What is taken from a place has no index."""
    is_place = isinstance(release.origin, LockedPlace)
    return replace(release, index=None) if is_place else release


@st.composite
def locks(draw: st.DrawFn) -> Lock:
    pool = {
        found.subject: found
        for found in draw(
            st.lists(
                st.builds(
                    LockedRelease,
                    name=names,
                    version=versions.map(Version),
                    origin=files | places,
                    index=st.none() | texts,
                    requires_python=st.none() | st.just(">=3.9"),
                    extras=st.just(()) | st.just(("x", "y")),
                    dependencies=st.just(()) | st.just(("a", "d")),
                ).map(of_an_index),
                min_size=1,
                max_size=5,
            )
        )
    }

    def chosen() -> tuple[str, ...]:
        one_each = {pool[s].name: s for s in draw(st.permutations(sorted(pool)))}
        picked = draw(st.sets(st.sampled_from(sorted(one_each.values()))))
        return tuple(sorted(picked))

    pythons = draw(st.sets(st.sampled_from(("3.9", "3.12")), min_size=1))
    sets = tuple(
        LockedSet(
            platform(python),
            chosen(),
            {
                subject: LockedBuild(draw(st.none() | texts), chosen())
                for subject in sorted(pool)
            },
        )
        for python in sorted(pythons, key=lambda text: platform(text).name)
    )
    request = LockedRequest(
        tuple(draw(st.lists(texts.filter(lambda t: " @ " not in t), max_size=2))),
        prereleases=draw(st.booleans()),
        variant=draw(texts),
        limits=draw(st.just(()) | st.just((("min-age", 7),))),
        direct=recorded(draw(st.lists(asked, max_size=2))),
        direct_constraints=recorded(draw(st.lists(asked, max_size=1))),
    )
    ordered = sorted(pool.values(), key=lambda each: (each.name, each.version))
    return Lock(request, tuple(ordered), sets)


@given(locks())
@settings(max_examples=80, deadline=None)
def test_a_lock_that_is_written_is_read_as_it_was(lock: Lock) -> None:
    text = format_lock(lock)

    assert parse_lock(text) == lock
    assert format_lock(parse_lock(text)) == text
    near = Path("/srv/project")
    relative = format_lock(lock, near)
    assert parse_lock(relative, folder=near) == lock
    assert '"/srv' not in relative and "= ./srv" not in relative


@given(st.text(max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_other_text_is_one_kind_of_error(text: str) -> None:
    with pytest.raises(InvalidLock):
        parse_lock(text)


def test_a_lock_for_two_platforms_is_written_like_this() -> None:
    found = joined([example(), example(top="1.1", python="3.13")])

    assert format_lock(found) == GOLDEN.read_text(encoding="utf-8")


def test_the_file_is_what_the_specification_says() -> None:
    found = joined([example(), example(top="1.1", python="3.13")])

    read = Pylock.from_dict(tomllib.loads(format_lock(found)))

    read.validate()
    assert [(str(p.name), str(p.version), str(p.marker)) for p in read.packages][1] == (
        "top",
        "1.0",
        str(Marker(platform().marker)),
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (('name = "tool"', 'name = "other"'), "tool==2.0 is needed and is not in it"),
        (('"tool==2.0",', '"tool==2.0",\n"tool==9",'), "tool has several versions"),
        (("ab" * 32, "ab"), "invalid sha256"),
        (('name = "top"', 'name = "Top"'), "is not normalised"),
        (('\nversion = "1.0"', '\nversion = "one"'), "Invalid version"),
        (('lock-version = "1.0"', 'lock-version = "2.0"'), "its version is '2.0'"),
        (("[tool.fromager]\nversion = 1", "[tool.fromager]\nversion = 9"), "version 9"),
        (("[tool.fromager", "[tool.other"), "no table [tool.fromager]"),
        (("<<", "<<"), ""),
        (("variant =", "collection = 1\nvariant ="), "it is that of a collection"),
        (('"top-1.0.tar.gz"', '"../top"'), "has a file with the name"),
        (("sdist = ", 'directory = { path = "x" }\nsdist = '), "exactly one file"),
        (("sdist = {", 'vcs = { type = "git",'), "has no content"),
        (('"top>=1"', '"top @ ftp://host.test/x"'), "no requirement with a place"),
    ],
)
def test_a_lock_that_was_broken_by_hand_is_refused(
    change: tuple[str, str], reason: str
) -> None:
    text = format_lock(example()).replace(*change)
    if not reason:
        text += "<<<<<<< ours\n"

    with pytest.raises(InvalidLock) as error:
        parse_lock(text, "pylock.toml")

    assert reason in str(error.value)
    assert str(error.value).startswith("pylock.toml: the lock cannot be used: ")


def test_what_changed_is_told_in_words() -> None:
    before, after = example(), example("1.1", "2.1")

    assert lock_changes(before, before) == ()
    assert told(before, after) == ["top is 1.1, it was 1.0"]
    same_top = example(tool="2.1")
    assert told(before, same_top) == ["tool is 2.1, it was 2.0 to build top==1.0"]
    [change] = lock_changes(before, same_top)
    assert change.row == {
        "aspect": "environment",
        "subject": "tool",
        "before": "2.0",
        "after": "2.1",
        "build_of": "top==1.0",
        "platform": None,
        "text": "tool is 2.1, it was 2.0 to build top==1.0",
    }


def test_another_file_of_the_same_version_is_told() -> None:
    before = example()
    releases = tuple(
        another_file(each) if each.name == "needed" else each
        for each in before.releases
    )

    [sentence] = told(before, replace(before, releases=releases))

    assert sentence.startswith("the file of needed==1.0 is another one: sha256 cdcd")


def test_what_was_asked_for_is_told() -> None:
    before = example()
    request = LockedRequest(("top>=2",), variant="rocm", limits=(("min-age", 7),))

    changes = told(before, replace(before, request=request))

    assert changes == [
        "the requirement top>=1 is gone",
        "the requirement top>=2 is new",
        "the index https://index.test/simple/ is gone",
        "the variant is rocm, it was cpu",
        "min-age is 7, it was not set",
    ]
