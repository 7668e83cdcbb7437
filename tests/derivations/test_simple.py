"""Pages of indexes: what is read, what is left out, what is refused."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fromager.derivations.errors import InvalidDerivation, NetworkError
from fromager.derivations.index.answers import MAX_PAGE_SIZE
from fromager.derivations.index.page import (
    ProjectFile,
    ProjectPage,
    dump_page,
    load_page,
    page_digest,
)
from fromager.derivations.index.simple import parse_page

URL = "https://index.test/simple/foo-bar/"
JSON = "application/vnd.pypi.simple.v1+json"
HASH = "ab" * 32


def read_json(*rows: object, version: str = "1.1") -> tuple[ProjectFile, ...]:
    page = {"meta": {"api-version": version}, "name": "foo-bar", "files": list(rows)}
    return parse_page(json.dumps(page).encode(), JSON, URL, "foo-bar").files


def read_html(body: str, url: str = URL) -> tuple[ProjectFile, ...]:
    content = f"<!DOCTYPE html><html><body>{body}</body></html>".encode()
    return parse_page(content, "text/html; charset=UTF-8", url, "foo-bar").files


def row(**changes: object) -> dict[str, object]:
    name = "foo_bar-1.0.tar.gz"
    return {"filename": name, "url": f"https://files.test/{name}", **changes}


def test_a_json_row_is_read_whole() -> None:
    (file,) = read_json(
        row(
            hashes={"sha256": HASH.upper(), "md5": "x"},
            size=17,
            yanked="broken",
            **{
                "requires-python": ">=3.9",
                "upload-time": "2026-01-02T03:04:05.678901Z",
                "core-metadata": {"sha256": "cd" * 32},
                "provenance": "https://index.test/attested/foo_bar-1.0",
            },
        )
    )

    assert file == ProjectFile(
        "foo_bar-1.0.tar.gz",
        "https://files.test/foo_bar-1.0.tar.gz",
        HASH,
        ">=3.9",
        "broken",
        datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
        17,
        True,
        "cd" * 32,
        "https://index.test/attested/foo_bar-1.0",
    )


def test_an_anchor_is_read_whole() -> None:
    (file,) = read_html(
        f'<a href="../../files/foo_bar-1.0.tar.gz#sha256={HASH}"'
        ' data-requires-python="&gt;=3.9" data-yanked="broken"'
        ' data-upload-time="2026-01-02T03:04:05Z"'
        ' data-provenance="../../attested/foo_bar-1.0"'
        f' data-core-metadata="sha256={"cd" * 32}">foo_bar-1.0.tar.gz</a>'
    )

    assert file == ProjectFile(
        "foo_bar-1.0.tar.gz",
        "https://index.test/files/foo_bar-1.0.tar.gz",
        HASH,
        ">=3.9",
        "broken",
        datetime(2026, 1, 2, 3, 4, 5, 0, UTC),
        None,
        True,
        "cd" * 32,
        "https://index.test/attested/foo_bar-1.0",
    )


def test_a_bare_row_promises_nothing() -> None:
    (from_json,) = read_json(row())
    (from_html,) = read_html('<a href="https://files.test/foo_bar-1.0.tar.gz">x</a>')

    assert from_json == from_html
    assert from_json.sha256 is None
    assert from_json.yanked is None
    assert not from_json.has_metadata
    assert from_json.provenance is None


@pytest.mark.parametrize("value", [None, False, 3, "", "file:///etc/passwd", "x:y"])
def test_provenance_lies_on_the_network_or_nowhere(value: object) -> None:
    (file,) = read_json({**row(), "provenance": value})

    assert file.provenance is None


def test_what_is_attested_is_no_part_of_what_a_page_says() -> None:
    rows = row(), {**row(), "provenance": "https://index.test/attested"}
    bare, attested = (ProjectPage("foo-bar", read_json(each)) for each in rows)

    assert page_digest(bare) == page_digest(attested)
    assert load_page(dump_page(attested)) == attested


@pytest.mark.parametrize(
    ("yanked", "reason"), [(True, ""), (False, None), ("", ""), ("bad", "bad")]
)
def test_yanked_is_a_flag_or_a_reason(yanked: object, reason: str | None) -> None:
    (file,) = read_json(row(yanked=yanked))

    assert file.yanked == reason


def test_an_anchor_is_yanked_by_the_attribute_alone() -> None:
    (file,) = read_html('<a href="foo-1.zip" data-yanked>foo-1.zip</a>')

    assert file.yanked == ""


def test_links_are_resolved_against_the_base_of_the_page() -> None:
    (file,) = read_html('<base href="/mirror/x/"><a href="../foo-1.zip">foo-1.zip</a>')

    assert file.url == "https://index.test/mirror/foo-1.zip"


def test_the_metadata_attribute_has_an_older_name() -> None:
    (from_json,) = read_json(row(**{"dist-info-metadata": {"sha256": HASH}}))
    (from_html,) = read_html('<a href="a-1.whl" data-dist-info-metadata="true">a</a>')

    assert (from_json.has_metadata, from_json.metadata_sha256) == (True, HASH)
    assert (from_html.has_metadata, from_html.metadata_sha256) == (True, None)


def test_broken_rows_are_left_out() -> None:
    files = read_json(
        None,
        {"filename": 3, "url": "x"},
        row(filename="../../etc/passwd"),
        row(url="javascript:alert(1)"),
        row(url="file:///etc/passwd"),
        row(url="//[bad/"),
        row(hashes=[], size="many", **{"upload-time": "soon", "requires-python": 3}),
    )

    assert [file.filename for file in files] == ["foo_bar-1.0.tar.gz"]
    assert files[0].upload_time is None


def test_links_that_are_no_distributions_are_left_out() -> None:
    files = read_html('<a href="../">Parent</a> <a href="foo-1.zip">foo-1.zip</a><a>x')

    assert [file.filename for file in files] == ["foo-1.zip"]


def test_a_page_from_disk_may_link_to_the_disk() -> None:
    (file,) = read_html('<a href="foo-1.zip">foo</a>', url="file:///srv/foo-bar/")

    assert file.url == "file:///srv/foo-bar/foo-1.zip"


def test_credentials_in_a_link_are_dropped() -> None:
    (file,) = read_json(row(url="https://user:secret@files.test/foo_bar-1.0.tar.gz"))

    assert file.url == "https://files.test/foo_bar-1.0.tar.gz"


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"<html><form><input type=password></form></html>", "text/html"),
        (b"gateway is not amused", "text/html"),
        (b"gateway is not amused", "text/plain"),
        (b"\x00\x01\x02", "application/octet-stream"),
        (b"{", JSON),
        (b"[" * 100_000, JSON),
        (b"[]", JSON),
        (b'{"message": "not for you"}', "application/json"),
        (b'{"meta": {"api-version": "2.0"}, "files": []}', JSON),
        (b'{"meta": {"api-version": "1.0"}, "files": 7}', JSON),
        (b'<meta name="pypi:repository-version" content="2.0"><a>', "text/html"),
        (b"x" * (MAX_PAGE_SIZE + 1), "text/html"),
    ],
)
def test_what_is_no_project_page_is_refused(content: bytes, content_type: str) -> None:
    with pytest.raises(NetworkError) as caught:
        parse_page(content, content_type, URL, "foo-bar")

    assert caught.value.url == URL


def test_a_project_may_have_no_files() -> None:
    assert read_json() == ()
    assert read_html("<h1>Links for foo-bar</h1>") == ()


def test_the_form_is_guessed_where_the_server_does_not_say() -> None:
    page = b'{"meta": {"api-version": "1.0"}, "files": []}'

    assert parse_page(page, "", URL, "foo-bar").files == ()
    assert parse_page(b"<a href=x-1.zip>", "", URL, "x").files[0].filename == "x-1.zip"


@given(st.binary(max_size=300), st.sampled_from([JSON, "text/html", "", "text/x"]))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_a_page_or_one_kind_of_error(content: bytes, kind: str) -> None:
    try:
        parse_page(content, kind, URL, "foo-bar")
    except NetworkError as error:
        assert str(error).startswith(URL)


texts = st.text(max_size=12)
hashes = st.none() | st.just(HASH)
moments = st.datetimes(timezones=st.just(UTC))
files = st.builds(
    ProjectFile,
    filename=texts,
    url=texts,
    sha256=hashes,
    requires_python=st.none() | texts,
    yanked=st.none() | texts,
    upload_time=st.none() | moments,
    size=st.none() | st.integers(0, 1 << 40),
    has_metadata=st.booleans(),
    metadata_sha256=hashes,
)
pages = st.builds(
    ProjectPage, texts, st.lists(files, max_size=4).map(tuple), st.none() | texts
)


@given(pages)
@settings(max_examples=60, deadline=None)
def test_the_compact_form_gives_the_page_back(page: ProjectPage) -> None:
    assert load_page(dump_page(page)) == page


@given(st.binary(max_size=60) | st.just(b'[1,"x",[[1]]]') | st.just(b"[0,1,2]"))
@settings(max_examples=60, deadline=None)
def test_a_damaged_compact_form_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidDerivation):
        load_page(content)


def test_the_digest_is_blind_to_order_and_to_links_of_known_bytes() -> None:
    one, two = row(hashes={"sha256": HASH}), row(filename="foo_bar-2.0.tar.gz")
    elsewhere = {**one, "url": "https://mirror.test/foo_bar-1.0.tar.gz?token=1"}

    first = page_digest(ProjectPage("foo-bar", read_json(one, two)))
    second = page_digest(ProjectPage("foo-bar", read_json(two, elsewhere)))

    assert first == second


@pytest.mark.parametrize(
    "change",
    [
        {"hashes": {"sha256": "cd" * 32}},
        {"hashes": {}, "url": "https://mirror.test/x-1.zip"},
        {"yanked": True},
        {"requires-python": ">=3"},
        {"upload-time": "2026-01-02T03:04:05Z"},
        {"filename": "foo_bar-1.1.tar.gz"},
    ],
)
def test_the_digest_sees_all_that_matters(change: dict[str, object]) -> None:
    before = ProjectPage("foo-bar", read_json(row(hashes={"sha256": HASH})))
    after = ProjectPage("foo-bar", read_json(row(**{"hashes": {}, **change})))

    assert page_digest(before) != page_digest(after)


def test_a_large_page_does_not_take_for_ever() -> None:
    rows = [
        row(
            filename=f"foo_bar-1.{i}-py3-none-any.whl",
            hashes={"sha256": HASH},
            size=i,
            **{"upload-time": "2026-01-02T03:04:05.678901Z", "requires-python": ">=3"},
        )
        for i in range(5000)
    ]

    start = time.process_time()
    files = read_json(*rows)
    elapsed = time.process_time() - start

    assert len(files) == 5000
    # It takes a fifth of a second; what is quadratic takes minutes.
    assert elapsed < 20


def test_a_link_with_a_broken_host_is_not_read_further() -> None:
    (file,) = read_html('<a href="http://[bad/foo-1.zip?x=1">foo</a><a href="//[bad/">')

    assert file.filename == "foo-1.zip"
    assert read_html('<base href="//[bad/"><a href="foo-1.zip">')[0].url == (
        f"{URL}foo-1.zip"
    )


def test_a_project_may_be_in_quarantine() -> None:
    status = {"status": "quarantined", "reason": "malware"}
    meta = {"api-version": "1.4"}
    answer = {"meta": meta, "files": [], "project-status": status}
    html = (
        '<html><head><meta name="pypi:project-status" content="quarantined">'
        '<meta name="pypi:project-status-reason" content="malware"></head></html>'
    )

    from_json = parse_page(json.dumps(answer).encode(), JSON, URL, "foo")
    from_html = parse_page(html.encode(), "text/html", URL, "foo")

    assert from_json.quarantined == from_html.quarantined == "malware"
    assert page_digest(from_json) == page_digest(from_html)
    assert page_digest(from_json) != page_digest(ProjectPage("foo", ()))


@pytest.mark.parametrize(
    "status", [None, "quarantined", {}, {"status": "archived"}, {"status": 7}]
)
def test_any_other_status_holds_nothing_back(status: object) -> None:
    answer = {"meta": {"api-version": "1.4"}, "files": [], "project-status": status}

    page = parse_page(json.dumps(answer).encode(), JSON, URL, "foo")

    assert page.quarantined is None
