"""Tags from stand-ins of GitHub and GitLab that speak their documented interfaces."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from fromager.derivations.errors import InputError, NetworkError
from fromager.derivations.index.client import open_client
from fromager.derivations.index.configuration import (
    Surroundings,
    find_forges,
    find_http_settings,
    forge_logins,
)
from fromager.derivations.index.forges import ForgeClient
from fromager.derivations.index.retries import Retries
from fromager.derivations.realising.tagged import tagged_releases
from fromager.derivations.sources.direct import ArchiveSource, GitSource
from fromager.derivations.sources.tag_rules import Tag, TagProvider, TagRule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TAGS = [f"v{number}.0" for number in range(1, 251)]


@dataclass
class Forge:
    """GitHub's interface below `/gh`, GitLab's below `/gl`; 250 tags, 100 to a page."""

    base: str = ""
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    refusals: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Status and headers of answers that come before the proper ones."""
    next_page: str = ""
    """What the link to the next page is instead of the true one."""

    @property
    def environ(self) -> dict[str, str]:
        return {
            "GITHUB_API_URL": f"{self.base}/gh",
            "GITHUB_SERVER_URL": f"{self.base}/gh-site",
            "CI_SERVER_URL": f"{self.base}/gl",
        }


class _Server(ThreadingHTTPServer):
    forge: Forge


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        forge = cast("_Server", self.server).forge
        headers = {name.lower(): value for name, value in self.headers.items()}
        forge.requests.append((self.path, headers))
        if forge.refusals:
            status, more = forge.refusals.pop(0)
            self._answer(status, b"{}", more)
            return
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        page, size = int(query.get("page", ["1"])[0]), int(query["per_page"][0])
        key = "sha"
        if parts.path == "/gl/api/v4/projects/group%2Fsub%2Fdemo/repository/tags":
            key = "id"
        elif unquote(parts.path) != "/gh/repos/owner/demo/tags":
            self._answer(404, b"{}", {})
            return
        rows = [
            {"name": tag, "commit": {key: COMMIT}}
            for tag in TAGS[(page - 1) * size : page * size]
        ]
        more = {}
        if page * size < len(TAGS):
            base = f"{forge.base}{parts.path}?per_page={size}"
            following = forge.next_page or f"{base}&page={page + 1}"
            more["Link"] = f'<{base}&page=1>; rel="first", <{following}>; rel="next"'
        self._answer(200, json.dumps(rows).encode(), more)

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def forge() -> Iterator[Forge]:
    with serve() as forge:
        yield forge


@contextmanager
def serve() -> Iterator[Forge]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.forge = Forge(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.forge
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


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
    with serve() as stranger:
        target = f"{stranger.base}/gh/repos/owner/demo/tags?per_page=100"
        forge.refusals.append((302, {"Location": target}))
        with asking(forge, tmp_path, GITHUB_TOKEN="canary") as client:
            client.tags(TagProvider.GITHUB, "owner/demo")

        assert stranger.requests
        assert all("authorization" not in headers for _, headers in stranger.requests)


def test_a_spent_limit_is_waited_for(forge: Forge, tmp_path: Path) -> None:
    import time

    pauses: list[float] = []
    reset = str(int(time.time()) + 60)
    spent = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
    forge.refusals.append((403, spent))

    with asking(forge, tmp_path, pauses) as client:
        client.tags(TagProvider.GITHUB, "owner/demo")

    assert len(pauses) == 1 and 50 < pauses[0] <= 60


def test_a_limit_that_takes_too_long_is_an_error(forge: Forge, tmp_path: Path) -> None:
    reset = "99999999999"
    spent = {"RateLimit-Remaining": "0", "RateLimit-Reset": reset}
    forge.refusals.append((429, spent))

    with asking(forge, tmp_path) as client, pytest.raises(NetworkError, match="wait"):
        client.tags(TagProvider.GITLAB, "group/sub/demo")


def test_a_refusal_is_an_error_with_a_hint(forge: Forge, tmp_path: Path) -> None:
    forge.refusals.append((403, {}))

    with asking(forge, tmp_path) as client, pytest.raises(NetworkError) as caught:
        client.tags(TagProvider.GITHUB, "owner/demo")

    assert "403" in str(caught.value) and caught.value.hint


def test_a_project_that_is_not_there_is_an_error(forge: Forge, tmp_path: Path) -> None:
    with asking(forge, tmp_path) as client, pytest.raises(NetworkError, match="404"):
        client.tags(TagProvider.GITHUB, "owner/none")


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
