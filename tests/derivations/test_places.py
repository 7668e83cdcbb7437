"""Folders, web servers and buckets hold the files of a cache alike."""

from __future__ import annotations

from contextlib import ExitStack
from io import BytesIO
from typing import TYPE_CHECKING

import pytest

from fromager.derivations import InputError, NetworkError, PlaceMeans, Retries
from fromager.derivations.index.transport import HttpSettings
from fromager.derivations.sharing.place import Span, read
from fromager.derivations.sharing.places import open_place
from support.cache_server import FileServer, file_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fromager.derivations import CachePlace

LIMIT = 1 << 20


def means(folder: Path, **more: float) -> PlaceMeans:
    retries = Retries(tries=2, sleep=lambda seconds: None)
    return PlaceMeans(folder, HttpSettings, retries, **more)  # type: ignore[arg-type]


@pytest.fixture
def bucket_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(params=["folder", "http", "http without tags", "s3"])
def place(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[CachePlace]:
    kind, folder = request.param, tmp_path / "files"
    with ExitStack() as held:
        if kind == "folder":
            yield open_place(str(folder), means(tmp_path))
            return
        bucket = kind == "s3"
        if bucket:
            pytest.importorskip("s3fs")
            request.getfixturevalue("bucket_environment")
        server = held.enter_context(
            file_server(folder, bucket=bucket, tags="without" not in kind)
        )
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.base)
        url = "s3://cache" if bucket else server.url
        found = open_place(url, means(tmp_path))
        held.callback(found.close)
        yield found


def test_what_is_written_is_read(place: CachePlace) -> None:
    place.write("packs/a", b"content")

    assert read(place, "packs/a", LIMIT) == b"content"
    assert place.size("packs/a") == 7


def test_what_is_not_there_is_none(place: CachePlace) -> None:
    assert read(place, "packs/a", LIMIT) is None
    assert read(place, "packs/a", LIMIT, Span(0, 3)) is None
    assert place.size("packs/a") is None
    assert place.version("index.json", LIMIT) is None


def test_a_file_is_written_as_well(place: CachePlace, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 300_000)

    place.write("blobs/aa/b", source)

    sink = BytesIO()
    assert place.copy("blobs/aa/b", sink, 300_000)
    assert sink.getvalue() == b"x" * 300_000


def test_a_span_is_read(place: CachePlace) -> None:
    place.write("packs/a", b"0123456789")

    assert read(place, "packs/a", LIMIT, Span(2, 3)) == b"234"
    assert read(place, "packs/a", LIMIT, Span(8, 2)) == b"89"
    assert read(place, "packs/a", LIMIT, Span(3, 0)) == b""


def test_more_than_the_limit_is_refused(place: CachePlace) -> None:
    place.write("packs/a", b"0123456789")

    with pytest.raises(NetworkError, match="more than 9 bytes"):
        read(place, "packs/a", 9)


def test_a_file_that_is_new_is_swapped_in(place: CachePlace) -> None:
    assert place.swap("index.json", b"one", None)

    seen = place.version("index.json", LIMIT)
    assert seen is not None
    assert seen.content == b"one"
    assert place.swap("index.json", b"two", seen)
    assert read(place, "index.json", LIMIT) == b"two"


def test_what_others_changed_is_not_replaced(place: CachePlace) -> None:
    place.swap("index.json", b"one", None)
    seen = place.version("index.json", LIMIT)
    assert seen is not None
    place.write("index.json", b"theirs")

    swapped = place.swap("index.json", b"two", seen)

    tells = seen.tag is not None or place.url.startswith("file:")
    assert swapped is not tells
    assert read(place, "index.json", LIMIT) == (b"theirs" if tells else b"two")


def test_what_others_made_meanwhile_is_not_replaced(place: CachePlace) -> None:
    place.write("index.json", b"theirs")

    swapped = place.swap("index.json", b"mine", None)

    assert not swapped or read(place, "index.json", LIMIT) == b"mine"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    with file_server(tmp_path / "files") as server:
        yield server


def test_a_server_without_ranges_is_good_enough(
    server: FileServer, tmp_path: Path
) -> None:
    place = open_place(server.url, means(tmp_path))
    place.write("packs/a", b"0123456789")
    server.ranges = False

    assert read(place, "packs/a", LIMIT, Span(2, 3)) == b"234"


def test_a_server_that_fails_once_is_asked_again(
    server: FileServer, tmp_path: Path
) -> None:
    place = open_place(server.url, means(tmp_path))
    place.write("packs/a", b"content")
    server.fail("packs/a", status=503, times=1)

    assert read(place, "packs/a", LIMIT) == b"content"


def test_an_answer_that_is_cut_off_is_asked_for_again(
    server: FileServer, tmp_path: Path
) -> None:
    place = open_place(server.url, means(tmp_path))
    place.write("packs/a", b"content")
    server.fail("packs/a", truncate=3, times=1)

    assert read(place, "packs/a", LIMIT) == b"content"


def test_a_server_that_drips_for_ever_is_given_up(
    server: FileServer, tmp_path: Path
) -> None:
    place = open_place(server.url, means(tmp_path, patience=0.2))
    place.write("packs/a", b"content")
    server.fail("packs/a", drip=True, method="GET")

    with pytest.raises(NetworkError, match="no whole answer"):
        read(place, "packs/a", 10)


def test_a_server_that_takes_nothing_is_told_so(
    server: FileServer, tmp_path: Path
) -> None:
    server.writable = False
    place = open_place(server.url, means(tmp_path))

    with pytest.raises(NetworkError, match="answered 405"):
        place.write("packs/a", b"content")


def test_a_bucket_that_may_not_be_written_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket_environment: None
) -> None:
    pytest.importorskip("s3fs")
    with file_server(tmp_path / "files", bucket=True, writable=False) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.base)
        place = open_place("s3://cache/prefix", means(tmp_path))

        with pytest.raises(NetworkError) as caught:
            place.write("packs/a", b"content")

    assert caught.value.hint is not None
    assert "credentials" in caught.value.hint


def test_a_bucket_that_is_not_there_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket_environment: None
) -> None:
    pytest.importorskip("s3fs")
    with file_server(tmp_path / "files", bucket=True) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.base)
        place = open_place("s3://other", means(tmp_path))

        with pytest.raises(NetworkError):
            place.write("packs/a", b"content")


@pytest.mark.parametrize("text", ["ftp://files.test/cache", "gs://bucket", "file://"])
def test_other_addresses_are_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        open_place(text, means(tmp_path))


def test_a_folder_is_one_place_however_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "link").symlink_to("cache")
    means = PlaceMeans(tmp_path / "cache", HttpSettings, Retries())
    texts = (
        ".",
        "../cache",
        "../link",
        str(tmp_path / "cache"),
        f"file:{tmp_path}/cache",
    )

    urls = {open_place(text, means).url for text in texts}

    assert urls == {(tmp_path / "cache").resolve().as_uri()}


def test_nothing_but_folders_is_used_offline(tmp_path: Path) -> None:
    offline = PlaceMeans(tmp_path, HttpSettings, Retries(), offline=True)

    open_place("cache", offline)
    with pytest.raises(NetworkError, match="offline"):
        open_place("https://cache.test/", offline)


def test_passwords_are_in_no_address(tmp_path: Path) -> None:
    place = open_place("http://user:secret@127.0.0.1:9/cache", means(tmp_path))

    with pytest.raises(NetworkError) as caught:
        place.size("index.json")

    assert "secret" not in place.url + str(caught.value)
