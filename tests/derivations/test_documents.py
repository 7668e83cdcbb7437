"""Files of text at an address: fetched when they changed, kept for when there is no network."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from fromager.derivations.errors import NetworkError, NotServed
from fromager.derivations.index.client import Freshness, open_client
from fromager.derivations.index.documents import Documents
from fromager.derivations.index.retries import Retries
from fromager.derivations.index.transport import HttpSettings
from support.index import LocalIndex, local_index

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXT = b"demo==1.0\n"


@dataclass
class Shelf:
    """Who fetches, with a clock."""

    folder: Path
    now: float = 1_000_000.0
    pauses: list[float] = field(default_factory=list)

    def fetch(self, url: str, policy: Freshness = Freshness.CACHED) -> bytes:
        settings = HttpSettings(netrc=self.folder / ".netrc")
        retries = Retries(3, self.pauses.append)
        client = open_client((), lambda: settings, self.folder, policy, retries)
        try:
            return Documents(
                client.transport, self.folder, policy, retries, lambda: self.now
            ).fetch(url)
        finally:
            client.close()


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


@contextmanager
def serving(
    *, max_age: int | None = None, credentials: tuple[str, str] | None = None
) -> Iterator[tuple[LocalIndex, str]]:
    """A server of one file, which it tells apart by a tag."""
    with local_index(credentials=credentials) as server:
        held = {} if max_age is None else {"Cache-Control": f"max-age={max_age}"}
        server.texts["/lists/r.txt"] = (TEXT, held)
        yield server, f"{server.base}/lists/r.txt"


def test_a_file_is_asked_for_each_time_and_sent_once(shelf: Shelf) -> None:
    with serving() as (server, url):
        assert shelf.fetch(url) == shelf.fetch(url) == TEXT
        server.texts["/lists/r.txt"] = (b"other", {})
        assert shelf.fetch(url) == b"other"

    assert [request.status for request in server.requests] == [200, 304, 200]


def test_a_file_is_believed_for_as_long_as_its_server_says(shelf: Shelf) -> None:
    with serving(max_age=60) as (server, url):
        shelf.fetch(url)
        shelf.now += 59
        shelf.fetch(url)
        shelf.now += 2
        shelf.fetch(url)

    assert [request.status for request in server.requests] == [200, 304]


def test_a_file_may_be_asked_for_anew(shelf: Shelf) -> None:
    with serving(max_age=60) as (server, url):
        shelf.fetch(url)
        shelf.fetch(url, Freshness.REFRESH)

    assert [request.status for request in server.requests] == [200, 304]


def test_without_a_network_there_is_what_was_fetched(shelf: Shelf) -> None:
    with serving() as (server, url):
        shelf.fetch(url)
        shelf.now += 1e9
        assert shelf.fetch(url, Freshness.OFFLINE) == TEXT
        with pytest.raises(NetworkError, match="the network is not to be used"):
            shelf.fetch(f"{url}.other", Freshness.OFFLINE)

    assert len(server.requests) == 1


def test_a_copy_that_was_damaged_is_fetched_anew(shelf: Shelf) -> None:
    with serving(max_age=60) as (_, url):
        shelf.fetch(url)
        (copy,) = (p for p in shelf.folder.glob("*/*") if p.is_file())
        copy.write_bytes(copy.read_bytes() + b"evil\n")

        assert shelf.fetch(url) == TEXT


@pytest.mark.parametrize("way", ["address", "netrc"])
def test_a_password_is_sent_and_not_kept(shelf: Shelf, way: str) -> None:
    with serving(credentials=("me", "c4n/ry")) as (server, url):
        if way == "netrc":
            text = "machine 127.0.0.1 login me password c4n/ry\n"
            (shelf.folder / ".netrc").write_text(text)
        else:
            url = url.replace("://", "://me:c4n%2Fry@")
        assert shelf.fetch(url) == TEXT
        (copy,) = shelf.folder.glob("*/document")

    assert b"c4n" not in copy.read_bytes()
    assert server.requests[-1].path == "/lists/r.txt"


def test_a_password_that_is_refused_is_not_shown(shelf: Shelf) -> None:
    with serving(credentials=("me", "c4nary")) as (_, url):
        for login in ("", "me:c4narx@"):
            with pytest.raises(NetworkError, match="401") as caught:
                shelf.fetch(url.replace("://", f"://{login}"))

            assert "c4narx" not in str(caught.value) and caught.value.hint


def test_a_password_does_not_follow_a_redirect(shelf: Shelf) -> None:
    with serving() as (stranger, target), serving() as (server, url):
        server.fail("/lists/", status=302, headers={"Location": target})
        assert shelf.fetch(url.replace("://", "://me:c4nary@")) == TEXT

    assert "authorization" in server.requests[0].headers
    assert "authorization" not in stranger.requests[0].headers


def test_what_is_not_there_is_an_error_at_once(shelf: Shelf) -> None:
    with serving() as (server, url), pytest.raises(NotServed, match="404"):
        shelf.fetch(f"{url}.absent")

    assert len(server.requests) == 1 and shelf.pauses == []


def test_a_server_that_fails_for_now_is_asked_again(shelf: Shelf) -> None:
    with serving() as (server, url):
        server.fail("/lists/", status=503, times=2)
        assert shelf.fetch(url) == TEXT

    assert len(shelf.pauses) == 2


def test_a_file_that_is_too_large_is_refused(shelf: Shelf) -> None:
    with serving() as (server, url):
        server.texts["/lists/r.txt"] = (b"#" * (16 << 20) + b"##", {})
        with pytest.raises(NetworkError, match="larger than 16 MiB"):
            shelf.fetch(url)
