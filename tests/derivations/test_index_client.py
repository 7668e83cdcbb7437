"""The index client against a real server: cache, order of indexes, failures."""

from __future__ import annotations

import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from fromager.derivations.errors import InputError, NetworkError
from fromager.derivations.index.address import IndexUrl
from fromager.derivations.index.client import Freshness, HttpIndexClient
from fromager.derivations.index.http_transport import HttpTransport
from fromager.derivations.index.page_cache import PageCache
from fromager.derivations.index.retries import Retries
from fromager.derivations.index.transport import HttpSettings
from support.index import Hosted, LocalIndex, local_index

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fromager.derivations.index.page_cache import CachedPage

FILES = {"pkg-1.0.tar.gz": b"one", "pkg-2.0.tar.gz": b"two"}


@dataclass
class Bench:
    """Clients that share a cache, a clock and a list of pauses."""

    folder: Path
    now: float = 1_000_000.0
    tick: float = 0.0
    """By how much the clock moves when it is looked at."""
    pauses: list[float] = field(default_factory=list)
    retried: list[tuple[str, str, float]] = field(default_factory=list)

    @contextmanager
    def client(
        self,
        *indexes: LocalIndex | str,
        policy: Freshness = Freshness.CACHED,
        settings: HttpSettings | None = None,
    ) -> Iterator[HttpIndexClient]:
        urls = [i if isinstance(i, str) else i.url for i in indexes]
        parsed = [IndexUrl.parse(url, "test", self.folder) for url in urls]
        client = HttpIndexClient(
            parsed,
            PageCache(self.folder / "pages"),
            lambda: HttpTransport(
                settings or HttpSettings(timeout=5), parsed, lambda: self.now
            ),
            policy,
            Retries(5, self.pauses.append, lambda: 1.0, self.note),
            self.clock,
        )
        try:
            yield client
        finally:
            client.close()

    def clock(self) -> float:
        self.now += self.tick
        return self.now

    def note(self, url: str, reason: str, pause: float) -> None:
        self.retried.append((url, reason, pause))

    def lookup(self, *indexes: LocalIndex | str, **options: Any) -> CachedPage | None:
        with self.client(*indexes, **options) as client:
            return client.lookup("pkg")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def names(page: CachedPage | None) -> list[str]:
    assert page is not None
    return sorted(file.filename for file in page.page.files)


@pytest.mark.parametrize("form", ["json", "html", "both"])
def test_a_project_is_looked_up(bench: Bench, form: str) -> None:
    with local_index(FILES, form=form) as index:
        found = bench.lookup(index)

    assert names(found) == sorted(FILES)


def test_both_forms_of_a_page_have_one_digest(bench: Bench) -> None:
    details = Hosted(b"x", requires_python=">=3", yanked="no", sha256="ab" * 32)
    with (
        local_index({"pkg-1.zip": details}, form="json") as first,
        local_index({"pkg-1.zip": details}, form="html") as second,
    ):
        pages = bench.lookup(first), bench.lookup(second)

    files = [page.page.files[0] for page in pages if page is not None]
    assert [file.yanked for file in files] == ["no", "no"]
    assert [file.requires_python for file in files] == [">=3", ">=3"]
    assert [file.sha256 for file in files] == ["ab" * 32] * 2


def test_a_fresh_page_is_not_asked_for_again(bench: Bench) -> None:
    with local_index(FILES, cache_control="max-age=60") as index:
        first = bench.lookup(index)
        bench.now += 59
        second = bench.lookup(index)

    assert second == first
    assert index.count("/pkg/") == 1


def test_a_stale_page_is_confirmed_by_its_tag(bench: Bench) -> None:
    with local_index(FILES, cache_control="max-age=60") as index:
        first = bench.lookup(index)
        bench.now += 61
        second = bench.lookup(index)
        third = bench.lookup(index)

    assert [request.status for request in index.requests] == [200, 304]
    assert first is not None and second is not None and third is not None
    assert first.digest == second.digest == third.digest
    assert third.fresh_until == bench.now + 60


def test_a_page_is_fresh_for_ten_minutes_if_nothing_else_is_said(bench: Bench) -> None:
    with local_index(FILES) as index:
        page = bench.lookup(index)

    assert page is not None
    assert page.fresh_until == bench.now + 600


@pytest.mark.parametrize("directive", ["no-cache", "no-store, max-age=60", "max-age=0"])
def test_a_page_may_forbid_to_rely_on_it(bench: Bench, directive: str) -> None:
    with local_index(FILES, cache_control=directive) as index:
        bench.lookup(index)
        bench.lookup(index)

    assert [request.status for request in index.requests] == [200, 304]


def test_a_changed_page_is_seen_when_stale(bench: Bench) -> None:
    with local_index(FILES, cache_control="max-age=60") as index:
        before = bench.lookup(index)
        index.add("pkg-3.0.tar.gz", b"three")
        bench.now += 61
        after = bench.lookup(index)

    assert len(names(after)) == 3
    assert before is not None and after is not None
    assert before.digest != after.digest


def test_refreshing_asks_once_for_each_page(bench: Bench) -> None:
    with local_index(FILES, cache_control="max-age=60") as index:
        bench.lookup(index)
        with bench.client(index, policy=Freshness.REFRESH) as client:
            before = client.peek("pkg")
            client.lookup("pkg")
            client.lookup("pkg")
            after = client.peek("pkg")

    assert [request.status for request in index.requests] == [200, 304]
    assert before is not None and not before.fresh
    assert after is not None and after.fresh


def test_offline_a_stale_page_is_good_enough(bench: Bench) -> None:
    with local_index(FILES, cache_control="max-age=60") as index:
        first = bench.lookup(index)
    bench.now += 1e6

    assert bench.lookup(index, policy=Freshness.OFFLINE) == first


def test_offline_an_unknown_page_is_an_error_with_the_remedy(bench: Bench) -> None:
    with pytest.raises(NetworkError) as caught:
        bench.lookup("http://127.0.0.1:9/simple", policy=Freshness.OFFLINE)

    assert caught.value.hint == "Run the same command once with the network"


def test_an_absent_project_is_remembered(bench: Bench) -> None:
    with local_index({"other-1.zip": b""}) as index:
        assert bench.lookup(index) is None
        assert bench.lookup(index) is None
        with bench.client(index) as client:
            peek = client.peek("pkg")

    assert index.count("/pkg/") == 1
    assert peek is not None and peek.fresh


def test_an_absent_project_may_appear(bench: Bench) -> None:
    with local_index({"other-1.zip": b""}, cache_control="max-age=60") as index:
        assert bench.lookup(index) is None
        index.add("pkg-1.0.tar.gz", b"")
        bench.now += 61

        assert names(bench.lookup(index)) == ["pkg-1.0.tar.gz"]


def test_a_removed_project_disappears(bench: Bench) -> None:
    with local_index(
        {"pkg-1.zip": b"", "x-1.zip": b""}, cache_control="max-age=9"
    ) as index:
        bench.lookup(index)
        index.remove("pkg-1.zip")
        bench.now += 10

        assert bench.lookup(index) is None


def test_the_first_index_that_has_a_project_answers_alone(bench: Bench) -> None:
    with (
        local_index({"other-1.zip": b""}) as first,
        local_index({"pkg-1.zip": b"mine"}) as second,
        local_index({"pkg-99.zip": b"theirs"}) as third,
    ):
        found = bench.lookup(first, second, third)

    assert names(found) == ["pkg-1.zip"]
    assert (first.count(), second.count(), third.count()) == (1, 1, 0)


def test_a_failing_index_is_never_passed_over(bench: Bench) -> None:
    with (
        local_index({"pkg-1.zip": b"mine"}) as first,
        local_index({"pkg-99.zip": b"theirs"}) as second,
    ):
        first.fail("/pkg/", status=500)
        with pytest.raises(NetworkError):
            bench.lookup(first, second)

    assert second.count() == 0


def test_peeking_tells_what_a_lookup_would_give(bench: Bench) -> None:
    with (
        local_index({"other-1.zip": b""}, cache_control="max-age=60") as first,
        local_index(FILES, cache_control="max-age=90") as second,
        bench.client(first, second) as client,
    ):
        nothing = client.peek("pkg")
        page = client.lookup("pkg")
        fresh = client.peek("pkg")
        bench.now += 61
        stale = client.peek("pkg")

    assert nothing is None
    assert page is not None and fresh is not None and stale is not None
    assert fresh.digest == stale.digest == page.digest
    assert (fresh.fresh, stale.fresh) == (True, False)


def test_passing_failures_are_repeated_with_growing_pauses(bench: Bench) -> None:
    with local_index(FILES) as index:
        index.fail("/pkg/", status=503, times=2)
        index.fail("/pkg/", hang_up=True, times=1)
        index.fail("/pkg/", truncate=10, times=1)
        found = bench.lookup(index)

    assert names(found) == sorted(FILES)
    assert bench.pauses == [0.5, 1.0, 2.0, 4.0]
    assert [reason for _, reason, _ in bench.retried][:2] == [
        "the server answered 503 Service Unavailable"
    ] * 2


def test_it_gives_up_after_five_tries(bench: Bench) -> None:
    with local_index(FILES) as index:
        index.fail("/pkg/", status=502)
        with pytest.raises(NetworkError, match=r"502 Bad Gateway, 5 times in a row"):
            bench.lookup(index)

    assert index.count("/pkg/") == 5


def test_the_pause_that_a_server_asks_for_is_kept(bench: Bench) -> None:
    with local_index(FILES) as index:
        index.fail("/pkg/", status=429, times=1, headers={"Retry-After": "7"})
        when = {"Retry-After": "Mon, 12 Jan 1970 13:47:00 GMT"}
        index.fail("/pkg/", status=429, times=1, headers=when)
        index.fail("/pkg/", status=429, times=1, headers={"Retry-After": "soon"})
        bench.lookup(index)

    assert bench.pauses == [7.0, 20.0, 2.0]


def test_a_server_that_asks_for_an_hour_is_an_error(bench: Bench) -> None:
    with local_index(FILES) as index:
        index.fail("/pkg/", status=429, headers={"Retry-After": "3600"})
        with pytest.raises(NetworkError, match=r"429.*wait for 3600 s"):
            bench.lookup(index)

    assert bench.pauses == []


def test_a_server_that_is_not_there_is_named(bench: Bench) -> None:
    with local_index() as index:
        url = index.url

    with pytest.raises(NetworkError, match="Connection refused") as caught:
        bench.lookup(url)

    assert caught.value.url == f"{url}pkg/"


def test_a_host_that_does_not_exist_is_an_error(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    with pytest.raises(NetworkError, match="cannot be reached: Name or service"):
        bench.lookup("https://no-such-host.invalid/simple/")


def test_silence_is_an_error(bench: Bench) -> None:
    with local_index(FILES) as index:
        index.fail("/pkg/", delay=0.3)
        with pytest.raises(NetworkError, match=r"said nothing for 0\.05 s"):
            bench.lookup(index, settings=HttpSettings(timeout=0.05))


def test_a_login_page_is_an_error(bench: Bench) -> None:
    with local_index(FILES) as index:
        index.fail("/pkg/", body=b"<html><form>user?</form></html>")
        with pytest.raises(NetworkError, match="no project page"):
            bench.lookup(index)

    assert index.count() == 1


def test_garbage_does_not_replace_what_is_cached(bench: Bench) -> None:
    with local_index(FILES, cache_control="max-age=60") as index:
        bench.lookup(index)
        index.fail("/pkg/", body=b"\x00\x01", content_type="image/png", times=1)
        bench.now += 61
        with pytest.raises(NetworkError):
            bench.lookup(index)

        assert names(bench.lookup(index)) == sorted(FILES)


def test_other_statuses_are_errors_at_once(bench: Bench) -> None:
    with local_index(FILES) as index:
        index.fail("/pkg/", status=418)
        with pytest.raises(NetworkError, match="418"):
            bench.lookup(index)

    assert index.count() == 1


def test_credentials_of_the_address_are_used_and_never_shown(bench: Bench) -> None:
    with local_index(FILES, credentials=("me", "s3cret/@:")) as index:
        found = bench.lookup(index.url_with_credentials)

    assert found is not None
    kept = [path for path in bench.folder.rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if b"cret" in path.read_bytes()]
    assert "cret" not in repr(found)


def test_credentials_come_from_a_netrc_file(bench: Bench) -> None:
    netrc = bench.folder / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    with local_index(FILES, credentials=("me", "secret")) as index:
        found = bench.lookup(index, settings=HttpSettings(netrc=netrc))

    assert names(found) == sorted(FILES)


def test_a_broken_netrc_file_is_named_but_not_quoted(bench: Bench) -> None:
    netrc = bench.folder / "netrc"
    netrc.write_text("machine 127.0.0.1 passwort secret")
    with (
        local_index(FILES) as index,
        pytest.raises(InputError, match="netrc") as caught,
    ):
        bench.lookup(index, settings=HttpSettings(netrc=netrc))

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("pair", ["", "me:wrong@"])
def test_missing_credentials_are_said(bench: Bench, pair: str) -> None:
    with local_index(FILES, credentials=("me", "secret")) as index:
        url = index.url.replace("://", f"://{pair}")
        with pytest.raises(NetworkError, match="401") as caught:
            bench.lookup(url)

    assert "user and password" in (caught.value.hint or "")
    assert "wrong" not in str(caught.value)


def test_credentials_do_not_follow_a_redirect_to_another_host(bench: Bench) -> None:
    with (
        local_index(FILES) as target,
        local_index(FILES, credentials=("me", "secret")) as index,
    ):
        there = {"Location": f"{target.url}pkg/"}
        index.fail("/pkg/", status=302, headers=there)
        found = bench.lookup(index.url_with_credentials)

    assert "authorization" in index.requests[0].headers
    assert "authorization" not in target.requests[0].headers
    assert found is not None
    assert found.page.files[0].url.startswith(target.base)


def test_a_redirect_without_end_is_an_error(bench: Bench) -> None:
    with local_index(FILES) as index:
        index.fail("/pkg/", status=302, headers={"Location": "../pkg/"})
        with pytest.raises(NetworkError, match="redirected more than 10 times"):
            bench.lookup(index)


def test_a_redirect_to_the_disk_is_refused(bench: Bench) -> None:
    with local_index(FILES) as index:
        index.fail("/pkg/", status=302, headers={"Location": "file:///etc/passwd"})
        with pytest.raises(NetworkError, match="redirected to file:"):
            bench.lookup(index)


def test_tls_failures_say_so(bench: Bench) -> None:
    with local_index(FILES) as index:
        url = index.url.replace("http:", "https:")
        with pytest.raises(NetworkError, match="TLS") as caught:
            bench.lookup(url)

    assert "certificate" in (caught.value.hint or "")


def test_a_bundle_of_certificates_that_is_none_is_named(bench: Bench) -> None:
    bundle = bench.folder / "bundle.pem"
    bundle.write_text("nothing")

    with pytest.raises(InputError, match=r"bundle\.pem"):
        bench.lookup("https://127.0.0.1:9/", settings=HttpSettings(ca_bundle=bundle))


def test_requests_go_through_the_proxy(bench: Bench) -> None:
    with local_index(FILES) as proxy:
        proxies = (("http", proxy.base.replace("://", "://me:pw@")),)
        bench.lookup("http://index.test/simple", settings=HttpSettings(proxies=proxies))

    assert proxy.requests[0].path == "http://index.test/simple/pkg/"
    assert proxy.requests[0].headers["proxy-authorization"] == "Basic bWU6cHc="


def test_what_needs_no_proxy_is_asked_directly(bench: Bench) -> None:
    settings = HttpSettings(
        proxies=(("http", "http://127.0.0.1:9"),), no_proxy=("127.0.0.0/8",)
    )
    with local_index(FILES) as index:
        assert bench.lookup(index, settings=settings) is not None


def test_a_folder_is_an_index(bench: Bench) -> None:
    folder = bench.folder / "simple index"
    (folder / "pkg").mkdir(parents=True)
    page = folder / "pkg" / "index.html"
    page.write_text("<a href='pkg-1.0.tar.gz'>x</a>")
    (folder / "pkg" / "pkg-1.0.tar.gz").write_bytes(b"content")

    with bench.client("simple index") as client:
        found = client.lookup("pkg")
        peek = client.peek("pkg")
        assert found is not None
        client.download(found.page.files[0].url, bench.folder / "out")
        absent = client.lookup("other")

    assert (bench.folder / "out").read_bytes() == b"content"
    assert peek is not None and peek.fresh
    assert absent is None


def test_a_change_in_a_folder_is_seen_at_once(bench: Bench) -> None:
    page = bench.folder / "simple" / "pkg" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text("<a href='pkg-1.0.tar.gz'>x</a>")
    bench.lookup("simple")
    page.write_text("<a href='pkg-1.0.1.tar.gz'>x</a>")

    assert names(bench.lookup("simple")) == ["pkg-1.0.1.tar.gz"]


def test_a_damaged_cache_is_fetched_anew(bench: Bench) -> None:
    with local_index(FILES) as index:
        before = bench.lookup(index)
        for path in (bench.folder / "pages").rglob("*"):
            if path.is_file():
                path.write_bytes(path.read_bytes()[:-20])
        assert bench.lookup(index) == before
        for path in (bench.folder / "pages").rglob("*"):
            if path.is_file():
                path.write_bytes(b'{"version":1}\n')
        assert bench.lookup(index) == before

    assert [request.status for request in index.requests] == [200, 200, 200]


def test_a_cache_that_cannot_be_written_is_done_without(bench: Bench) -> None:
    (bench.folder / "pages").write_text("in the way")
    with local_index(FILES) as index:
        assert bench.lookup(index) is not None


def test_a_name_that_is_not_normalised_is_refused(bench: Bench) -> None:
    with bench.client("http://127.0.0.1:9/simple/") as client:
        for name in ("Pkg", "../pkg", "", "a b"):
            with pytest.raises(InputError):
                client.lookup(name)


def test_many_threads_share_a_client(bench: Bench) -> None:
    files = {f"pkg{i}-1.zip": b"x" for i in range(40)}
    with (
        local_index(files) as index,
        bench.client(index) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        found = list(pool.map(client.lookup, [f"pkg{i}" for i in range(40)]))

    assert all(found)
    assert index.count("/simple/") == 40


def test_one_connection_serves_request_after_request(bench: Bench) -> None:
    with local_index(FILES, cache_control="max-age=0") as index:
        index.fail("/pkg/", status=302, headers={"Location": "../pkg/"}, times=1)
        with bench.client(index, policy=Freshness.REFRESH) as client:
            found = client.lookup("pkg")
            assert found is not None
            assert client.lookup("absent") is None
            for file in found.page.files:
                client.download(file.url, bench.folder / "out")

    assert [r.status for r in index.requests] == [302, 200, 404, 200, 200]
    assert len({request.port for request in index.requests}) == 1


def test_a_confirmed_page_keeps_the_connection(bench: Bench) -> None:
    with local_index(FILES, cache_control="max-age=0") as index:
        bench.lookup(index)
        with bench.client(index) as client:
            client.lookup("pkg")
            client.lookup("absent")

    assert [request.status for request in index.requests] == [200, 304, 404]
    assert len({request.port for request in index.requests[1:]}) == 1


def test_a_page_that_drips_without_end_is_given_up(bench: Bench) -> None:
    bench.tick = 301
    with (
        local_index(FILES) as index,
        pytest.raises(NetworkError, match="took longer than 300 s"),
    ):
        bench.lookup(index)


def test_a_cached_page_is_read_without_the_http_library(bench: Bench) -> None:
    with local_index(FILES) as index:
        bench.lookup(index)
    bench_script = f"""
import sys
from pathlib import Path
from fromager.derivations.index.address import IndexUrl
from fromager.derivations.index.client import Freshness, open_client
from fromager.derivations.index.transport import HttpSettings
index = IndexUrl.parse({index.url!r}, "test", Path("/"))
cache = Path({str(bench.folder / "pages")!r})
client = open_client([index], HttpSettings, cache, Freshness.OFFLINE)
assert client.peek("pkg").fresh and client.lookup("pkg")
costly = ("urllib3", "requests", "ssl", "html.parser", "pypi_simple", "asyncio")
print(sorted(set(costly) & set(sys.modules)))
"""

    output = subprocess.check_output([sys.executable, "-c", bench_script], text=True)

    assert output == "[]\n"
