"""Files from a real server: whole or not at all, resumed, checked."""

from __future__ import annotations

import fcntl
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from fromager.derivations.errors import HashMismatch, NetworkError, SourceError
from fromager.derivations.index.address import IndexUrl
from fromager.derivations.index.download import Downloader, DownloadLimits
from fromager.derivations.index.http_transport import HttpTransport
from fromager.derivations.index.retries import Retries
from fromager.derivations.index.transport import HttpSettings
from support.index import Hosted, local_index

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fromager.derivations.index.transport import Transport
    from support.index import LocalIndex

NAME = "pkg-1.0.tar.gz"
CONTENT = bytes(range(256)) * 2000
HASH = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Fetcher:
    """A downloader whose pauses are counted, not slept."""

    index: LocalIndex
    target: Path
    transport: HttpTransport
    pauses: list[float] = field(default_factory=list)
    limits: DownloadLimits = field(default_factory=DownloadLimits)

    def __call__(self, sha256: str | None = HASH, size: int | None = None) -> str:
        return self.downloader().download(
            self.index.file_url(NAME), self.target, sha256=sha256, size=size
        )

    def downloader(self) -> Downloader:
        def transport(url: str) -> Transport:
            return self.transport

        retries = Retries(5, self.pauses.append, lambda: 1.0)
        return Downloader(transport, retries, self.limits)

    @property
    def part(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part")

    def ranges(self) -> list[str | None]:
        return [request.headers.get("range") for request in self.index.requests]


@pytest.fixture
def fetch(tmp_path: Path) -> Iterator[Fetcher]:
    with local_index({NAME: CONTENT}) as index:
        url = IndexUrl.parse(index.url, "test", tmp_path)
        transport = HttpTransport(HttpSettings(timeout=5), [url], lambda: 0.0)
        yield Fetcher(index, tmp_path / "files" / NAME, transport)
        transport.close()


def test_a_file_is_fetched_and_checked(fetch: Fetcher) -> None:
    actual = fetch(HASH.upper(), len(CONTENT))

    assert actual == HASH
    assert fetch.target.read_bytes() == CONTENT
    assert list(fetch.target.parent.iterdir()) == [fetch.target]


def test_the_hash_is_told_where_none_was_promised(fetch: Fetcher) -> None:
    assert fetch(None) == HASH


def test_wrong_bytes_are_an_error_that_names_both_hashes(fetch: Fetcher) -> None:
    with pytest.raises(HashMismatch) as caught:
        fetch("ab" * 32)

    assert caught.value.filename == NAME
    assert (caught.value.expected, caught.value.actual) == ("ab" * 32, HASH)
    assert list(fetch.target.parent.iterdir()) == []


def test_a_login_is_for_the_server_that_is_asked_and_for_no_other(
    fetch: Fetcher,
) -> None:
    with local_index({NAME: CONTENT}) as other:
        there = {"Location": other.file_url(NAME)}
        fetch.index.fail(NAME, status=302, headers=there, times=1)
        url = fetch.index.file_url(NAME)

        fetch.downloader().download(url, fetch.target, sha256=HASH, login="secret")

    assert fetch.index.requests[0].headers["authorization"] == "secret"
    assert "authorization" not in other.requests[0].headers


def test_what_was_there_survives_a_failure(fetch: Fetcher) -> None:
    fetch.target.parent.mkdir()
    fetch.target.write_bytes(b"before")

    with pytest.raises(HashMismatch):
        fetch("ab" * 32)

    assert fetch.target.read_bytes() == b"before"


def test_a_cut_answer_is_resumed(fetch: Fetcher) -> None:
    fetch.index.fail(NAME, truncate=100_000, times=1)
    fetch.index.fail(NAME, truncate=50_000, times=1)

    assert fetch() == HASH
    assert fetch.ranges() == [None, "bytes=100000-", "bytes=150000-"]
    assert fetch.pauses == [0.5, 1.0]


def test_a_cut_answer_is_resumed_without_a_promised_hash(fetch: Fetcher) -> None:
    fetch.index.fail(NAME, truncate=100_000, times=1)

    assert fetch(None) == HASH
    assert fetch.ranges() == [None, "bytes=100000-"]


def test_a_cut_answer_begins_again_where_servers_know_no_ranges(
    fetch: Fetcher,
) -> None:
    fetch.index.ranges = False
    fetch.index.fail(NAME, truncate=100_000, times=1)

    assert fetch() == HASH


def test_an_answer_that_is_cut_each_time_is_an_error(fetch: Fetcher) -> None:
    fetch.index.ranges = False
    fetch.index.fail(NAME, truncate=10)

    with pytest.raises(NetworkError, match=r"ended after 10 bytes, 5 times"):
        fetch()

    assert not fetch.target.exists()


def test_a_part_of_an_earlier_run_is_gone_on_with(fetch: Fetcher) -> None:
    fetch.target.parent.mkdir()
    fetch.part.write_bytes(CONTENT[:1000])

    assert fetch() == HASH
    assert fetch.ranges() == ["bytes=1000-"]
    assert not fetch.part.exists()


def test_a_part_that_is_whole_needs_no_request(fetch: Fetcher) -> None:
    fetch.target.parent.mkdir()
    fetch.part.write_bytes(CONTENT)

    assert fetch(size=len(CONTENT)) == HASH
    assert fetch.ranges() == []


@pytest.mark.parametrize("part", [b"other" * 100, b"x" * (len(CONTENT) + 5)])
def test_a_part_of_another_file_is_thrown_away(fetch: Fetcher, part: bytes) -> None:
    fetch.target.parent.mkdir()
    fetch.part.write_bytes(part)

    assert fetch() == HASH
    assert fetch.ranges()[-1] is None


def test_a_part_that_nothing_vouches_for_is_not_used(fetch: Fetcher) -> None:
    fetch.target.parent.mkdir()
    fetch.part.write_bytes(b"other" * 100)

    assert fetch(None) == HASH
    assert fetch.ranges() == [None]


def test_a_part_in_use_by_another_is_left_alone(fetch: Fetcher) -> None:
    fetch.target.parent.mkdir()
    with fetch.part.open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        other.write(b"half")
        other.flush()
        assert fetch() == HASH

    assert fetch.part.read_bytes() == b"half"
    assert sorted(fetch.target.parent.iterdir()) == [fetch.target, fetch.part]


def test_many_threads_fetch_one_file(fetch: Fetcher) -> None:
    with ThreadPoolExecutor(6) as pool:
        hashes = list(pool.map(lambda _: fetch(), range(12)))

    assert hashes == [HASH] * 12
    assert list(fetch.target.parent.iterdir()) == [fetch.target]


def test_a_missing_file_is_an_error_at_once(fetch: Fetcher) -> None:
    fetch.index.remove(NAME)

    with pytest.raises(NetworkError, match="404"):
        fetch()

    assert fetch.pauses == []


def test_a_length_other_than_promised_is_an_error(fetch: Fetcher) -> None:
    with pytest.raises(SourceError, match=f"expected {len(CONTENT) + 1} bytes"):
        fetch(None, len(CONTENT) + 1)


def test_more_than_promised_is_not_read_to_its_end(fetch: Fetcher) -> None:
    with pytest.raises(SourceError, match="larger than 10 bytes"):
        fetch(HASH, 10)

    assert not fetch.target.exists()


def test_a_file_larger_than_the_limit_is_given_up(fetch: Fetcher) -> None:
    fetch.limits = DownloadLimits(size=1000)

    with pytest.raises(SourceError, match="larger than 1000 bytes"):
        fetch()

    assert fetch.part.stat().st_size == 0


def test_a_download_that_takes_too_long_is_given_up(fetch: Fetcher) -> None:
    ticks = iter(range(1_000_000))
    fetch.limits = DownloadLimits(seconds=2, clock=lambda: float(next(ticks)))

    with pytest.raises(NetworkError, match="not finished within 2 s"):
        fetch()


def test_progress_is_told_and_may_end_it(fetch: Fetcher) -> None:
    class Stop(Exception):
        pass

    def stop(count: int) -> None:
        raise Stop(count)

    counts: list[int] = []
    url = fetch.index.file_url(NAME)
    fetch.downloader().download(url, fetch.target, progress=counts.append)
    fetch.target.unlink()
    with pytest.raises(Stop):
        fetch.downloader().download(url, fetch.target, progress=stop)

    assert counts == sorted(counts)
    assert counts[-1] == len(CONTENT)
    assert not fetch.target.exists()


def test_a_target_that_cannot_be_written_is_named(fetch: Fetcher) -> None:
    fetch.target.parent.write_text("in the way")

    with pytest.raises(SourceError, match="cannot be written"):
        fetch()


def test_bytes_are_kept_as_they_are(fetch: Fetcher) -> None:
    fetch.index.fail(
        NAME,
        body=b"\x1f\x8b not really gzip",
        headers={"Content-Encoding": "gzip"},
        times=1,
    )

    fetch(None)

    assert fetch.target.read_bytes() == b"\x1f\x8b not really gzip"
    assert fetch.index.requests[0].headers["accept-encoding"] == "identity"


def test_a_file_of_no_bytes_is_a_file(fetch: Fetcher) -> None:
    fetch.index.add(NAME, Hosted(b""))

    assert fetch(hashlib.sha256().hexdigest(), 0) == hashlib.sha256().hexdigest()
    assert fetch.target.read_bytes() == b""
