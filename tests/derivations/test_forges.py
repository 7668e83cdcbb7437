"""Tags from stand-ins of GitHub and GitLab that speak their documented interfaces."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from fromager.derivations.errors import (
    AccessDenied,
    InputError,
    NetworkError,
    NotServed,
    RateLimited,
)
from fromager.derivations.index.client import open_client
from fromager.derivations.index.configuration import (
    Surroundings,
    find_forges,
    find_http_settings,
    forge_logins,
)
from fromager.derivations.index.forges import ForgeClient
from fromager.derivations.index.retries import Retries
from fromager.derivations.index.transport import Answer
from fromager.derivations.realising.tagged import tagged_releases
from fromager.derivations.sources.direct import ArchiveSource, GitSource
from fromager.derivations.sources.tag_rules import Tag, TagProvider, TagRule
from support.forge import COMMIT, TAGS, Forge, serve_forge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@pytest.fixture
def forge() -> Iterator[Forge]:
    with serve_forge() as forge:
        yield forge


@contextmanager
def asking(
    forge: Forge, tmp_path: Path, pauses: list[float] | None = None, **environ: str
) -> Iterator[ForgeClient]:
    variables = {**forge.environ, **environ}
    around = Surroundings(variables, tmp_path, tmp_path, tmp_path)
    client = open_client(
        (),
        lambda: find_http_settings(around),
        tmp_path / "cache",
        retries=Retries(tries=2, sleep=(pauses if pauses is not None else []).append),
    )
    try:
        yield ForgeClient(client.ask, find_forges(variables))
    finally:
        client.close()


def test_all_pages_of_tags_are_read(forge: Forge, tmp_path: Path) -> None:
    with asking(forge, tmp_path) as client:
        github = client.tags(TagProvider.GITHUB, "owner/demo")
        gitlab = client.tags(TagProvider.GITLAB, "group/sub/demo")

    assert github == gitlab == tuple(Tag(name, COMMIT) for name in TAGS)
    assert len(forge.requests) == 6


@pytest.mark.parametrize(
    ("variable", "provider", "project", "header", "value"),
    [
        (
            "GITHUB_TOKEN",
            TagProvider.GITHUB,
            "owner/demo",
            "authorization",
            "Bearer canary",
        ),
        (
            "GITLAB_PRIVATE_TOKEN",
            TagProvider.GITLAB,
            "group/sub/demo",
            "private-token",
            "canary",
        ),
        ("CI_JOB_TOKEN", TagProvider.GITLAB, "group/sub/demo", "job-token", "canary"),
    ],
)
def test_tokens_are_shown_to_their_server(
    forge: Forge,
    tmp_path: Path,
    variable: str,
    provider: TagProvider,
    project: str,
    header: str,
    value: str,
) -> None:
    with asking(forge, tmp_path, None, **{variable: "canary"}) as client:
        client.tags(provider, project)

    assert {headers.get(header) for _, headers in forge.requests} == {value}
    around = Surroundings({variable: "canary"}, tmp_path, tmp_path, tmp_path)
    assert "canary" not in repr(find_http_settings(around))
    (login,) = forge_logins({variable: "canary"})
    assert login.password == "canary" and "canary" not in repr(login)


def test_tokens_are_not_shown_to_another_server(forge: Forge, tmp_path: Path) -> None:
    with serve_forge() as stranger:
        target = f"{stranger.base}/gh/repos/owner/demo/tags?per_page=100"
        forge.refusals.append((302, {"Location": target}))
        with asking(forge, tmp_path, GITHUB_TOKEN="canary") as client:
            client.tags(TagProvider.GITHUB, "owner/demo")

        assert stranger.requests
        assert all("authorization" not in headers for _, headers in stranger.requests)


def soon(seconds: int) -> str:
    """A moment from now, as forges tell it."""
    return str(int(time.time()) + seconds)


@pytest.mark.parametrize(
    ("status", "headers", "least", "most"),
    [
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": soon}, 30, 60),
        (429, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": soon}, 30, 60),
        (429, {"RateLimit-Remaining": "0", "RateLimit-Reset": soon}, 30, 60),
        (429, {"RateLimit-Remaining": "0", "RateLimit-Reset": "45"}, 45, 45),
        (403, {"Retry-After": "20", "X-RateLimit-Remaining": "4000"}, 20, 20),
        (403, {"Retry-After": "20"}, 20, 20),
        (429, {"Retry-After": "7"}, 7, 7),
        (429, {}, 0.25, 0.5),
    ],
)
def test_a_limit_is_waited_for_as_long_as_the_forge_says(
    forge: Forge,
    tmp_path: Path,
    status: int,
    headers: dict[str, Any],
    least: float,
    most: float,
) -> None:
    pauses: list[float] = []
    said = {n: v(60) if callable(v) else v for n, v in headers.items()}
    forge.refusals.append((status, said))

    with asking(forge, tmp_path, pauses) as client:
        found = client.tags(TagProvider.GITHUB, "owner/demo")

    assert len(found) == len(TAGS) and len(pauses) == 1
    assert least <= pauses[0] <= most


@pytest.mark.parametrize(
    ("provider", "project", "variable"),
    [
        (TagProvider.GITHUB, "owner/demo", "GITHUB_TOKEN"),
        (TagProvider.GITLAB, "group/sub/demo", "GITLAB_PRIVATE_TOKEN"),
    ],
)
@pytest.mark.parametrize(
    ("status", "headers", "kind", "remedy"),
    [
        (401, {}, AccessDenied, "may read the project"),
        (403, {}, AccessDenied, "may read the project"),
        (403, {"X-RateLimit-Remaining": "58"}, AccessDenied, "may read the project"),
        (404, {}, NotServed, "private"),
        (
            403,
            {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "99999999999"},
            RateLimited,
            "more often",
        ),
        (429, {"Retry-After": "3600"}, RateLimited, "more often"),
    ],
)
def test_a_refusal_names_the_variable_of_the_token(
    forge: Forge,
    tmp_path: Path,
    provider: TagProvider,
    project: str,
    variable: str,
    status: int,
    headers: dict[str, str],
    kind: type[NetworkError],
    remedy: str,
) -> None:
    pauses: list[float] = []
    forge.refusals.append((status, headers))

    with asking(forge, tmp_path, pauses) as client, pytest.raises(kind) as caught:
        client.tags(provider, project)

    assert str(status) in str(caught.value) and forge.base in str(caught.value)
    assert variable in (caught.value.hint or "") and remedy in (caught.value.hint or "")
    assert pauses == [] and len(forge.requests) == 1


def test_a_limit_on_a_later_page_does_not_lose_the_earlier_ones(
    forge: Forge, tmp_path: Path
) -> None:
    limit = (429, {"Retry-After": "1"})
    pauses: list[float] = []
    forge.refusals_from = 2
    forge.refusals.append(limit)

    with asking(forge, tmp_path, pauses) as client:
        found = client.tags(TagProvider.GITLAB, "group/sub/demo")

    assert [tag.name for tag in found] == TAGS
    assert pauses == [1.0] and len(forge.requests) == 4


@pytest.mark.parametrize(
    ("environ", "provider", "url"),
    [
        ({}, TagProvider.GITHUB, "https://api.github.com/repos/o/p/tags"),
        ({}, TagProvider.GITLAB, "https://gitlab.com/api/v4/projects/o%2Fp/"),
        (
            {"GITHUB_API_URL": "https://forge.test/api/v3/"},
            TagProvider.GITHUB,
            "https://forge.test/api/v3/repos/o/p/tags",
        ),
        (
            {"CI_SERVER_URL": "https://lab.test/below"},
            TagProvider.GITLAB,
            "https://lab.test/below/api/v4/projects/o%2Fp/",
        ),
        (
            {
                "CI_SERVER_URL": "https://x.test",
                "CI_API_V4_URL": "https://y.test/api/v4",
            },
            TagProvider.GITLAB,
            "https://y.test/api/v4/projects/o%2Fp/",
        ),
    ],
)
def test_the_environment_says_where_forges_are(
    environ: dict[str, str], provider: TagProvider, url: str
) -> None:
    asked: list[str] = []

    def ask(url: str, headers: Mapping[str, str]) -> tuple[bytes, Answer]:
        asked.append(url)
        return b"[]", Answer(200, {}, url, iter(()))

    assert ForgeClient(ask, find_forges(environ)).tags(provider, "o/p") == ()
    assert len(asked) == 1 and asked[0].startswith(url)


def test_the_next_page_must_lie_on_the_same_server(
    forge: Forge, tmp_path: Path
) -> None:
    forge.next_page = "http://other.test/tags"

    with (
        asking(forge, tmp_path) as client,
        pytest.raises(NetworkError, match="another"),
    ):
        client.tags(TagProvider.GITHUB, "owner/demo")


def rule(**options: object) -> TagRule:
    values = {"provider": TagProvider.GITHUB, "project": "owner/demo", **options}
    return TagRule(**values)  # type: ignore[arg-type]


TAG = "rel-1.0", "rel-2.0rc1", "v3.0", "nightly"


@pytest.mark.parametrize(
    ("options", "versions"),
    [
        ({}, ["3.0", "2.0rc1", "1.0"]),
        ({"tag": "rel-{version}"}, ["2.0rc1", "1.0"]),
        ({"tag": "v{version}"}, ["3.0"]),
        ({"pattern": r"rel-(\d+\.\d+)"}, ["1.0"]),
        ({"pattern": r"(night)ly"}, []),
    ],
)
def test_a_rule_says_which_tags_are_versions(
    options: dict[str, str], versions: list[str]
) -> None:
    tags = [Tag(name, COMMIT) for name in TAG]

    found = tagged_releases("demo", rule(**options), tags, "https://forge.test")

    assert [str(release.version) for release in found] == versions
    for release in found:
        assert release.source == GitSource("https://forge.test/owner/demo.git", COMMIT)
        told = ("SETUPTOOLS_SCM_PRETEND_VERSION_FOR_DEMO", str(release.version))
        assert told in release.variables


def test_the_order_of_tags_makes_no_difference() -> None:
    tags = [Tag("v1.0", COMMIT), Tag("1.0", "f" * 40), Tag("v2.0", COMMIT)]

    found = tagged_releases("demo", rule(), tags, "https://forge.test")

    assert found == tagged_releases("demo", rule(), tags[::-1], "https://forge.test")
    assert len(found) == 2


def test_an_archive_may_be_taken_in_place_of_a_commit() -> None:
    template = "https://forge.test/{project}/archive/{tag}/{version}.tar.gz"
    tag = Tag("rel/v1.0", COMMIT)

    (found,) = tagged_releases("demo", rule(archive=template), [tag], "")

    url = "https://forge.test/owner/demo/archive/rel/v1.0/1.0.tar.gz"
    assert found.source == ArchiveSource(url)
    assert (found.filename, found.url) == ("1.0.tar.gz", url)


@pytest.mark.parametrize(
    "options",
    [
        {"tag": "v"},
        {"tag": "{version}{version}"},
        {"tag": "{other}"},
        {"tag": "v{version}", "pattern": "v(.*)"},
        {"pattern": "v.*"},
        {"pattern": "v(("},
        {"archive": "https://x.test/{secret}.tar.gz"},
    ],
)
def test_a_rule_that_says_nothing_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(InputError):
        rule(**options)


def test_a_repository_must_have_an_address() -> None:
    made = rule(clone_url="ext::sh -c true")

    with pytest.raises(InputError):
        made.source(Tag("v1", COMMIT), made.version("v1"), "")  # type: ignore[arg-type]
