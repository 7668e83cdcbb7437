"""Addresses of indexes, their credentials, and proxies."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fromager.derivations.errors import InputError
from fromager.derivations.index.address import (
    Credentials,
    IndexUrl,
    netrc_hosts,
    redact,
    without_credentials,
)
from fromager.derivations.index.proxies import proxy_for


def parse(text: str) -> IndexUrl:
    return IndexUrl.parse(text, "test", Path("/folder"))


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://index.test/simple", "https://index.test/simple/"),
        ("https://index.test/simple/#x", "https://index.test/simple/"),
        ("https://me:pw@index.test:8080/simple/", "https://index.test:8080/simple/"),
        ("file:///srv/simple", "file:///srv/simple/"),
        ("/srv/sim ple", "file:///srv/sim%20ple/"),
        ("simple", "file:///folder/simple/"),
    ],
)
def test_an_address_names_an_index(text: str, url: str) -> None:
    index = parse(text)

    assert index.url == index.name == url
    assert index.project_url("foo-bar") == f"{url}foo-bar/"


@pytest.mark.parametrize(
    "text", ["", "ftp://index.test/", "git+https://x.test/", "https://", "http://[x/"]
)
def test_other_addresses_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse(text)


def test_a_refusal_shows_no_password() -> None:
    with pytest.raises(InputError) as caught:
        parse("ftp://me:secret@index.test/")

    assert "secret" not in str(caught.value)


def test_credentials_are_part_of_no_text() -> None:
    index = parse("https://me:secret@index.test/simple/")

    assert index.credentials == ("me", "secret")
    assert "secret" not in repr(index) + repr(Credentials([index]))


def test_escapes_in_credentials_are_undone() -> None:
    assert parse("https://a%40b:c%2Fd@index.test/").credentials == ("a@b", "c/d")


def test_the_public_index_has_a_name_before_it_has_an_address() -> None:
    index = IndexUrl.default()

    assert index.name == "default"
    assert index.url.startswith("https://")
    assert index.url.endswith("/simple/")


def test_a_pair_is_for_its_own_origin_only() -> None:
    credentials = Credentials([parse("https://me:pw@index.test/simple/")])

    assert credentials.for_url("https://index.test/files/x") == ("me", "pw")
    assert credentials.for_url("https://index.test:443/files/x") == ("me", "pw")
    assert credentials.for_url("http://index.test/files/x") is None
    assert credentials.for_url("https://index.test:444/files/x") is None
    assert credentials.for_url("https://files.test/x") is None


def test_of_two_pairs_for_a_host_the_closer_path_wins() -> None:
    first = parse("https://one:pw@index.test/team-a/simple/")
    second = parse("https://two:pw@index.test/team-b/simple/")
    credentials = Credentials([first, second], {"index.test": ("three", "pw")})

    assert credentials.for_url("https://index.test/team-b/x.zip") == ("two", "pw")
    assert credentials.for_url("https://index.test/team-a/x.zip") == ("one", "pw")


def test_a_netrc_file_speaks_for_hosts(tmp_path: Path) -> None:
    path = tmp_path / "netrc"
    path.write_text("machine index.test login me password pw\n")
    credentials = Credentials((), netrc_hosts(path))

    assert credentials.for_url("https://index.test:8080/x") == ("me", "pw")
    assert credentials.for_url("https://other.test/x") is None
    assert netrc_hosts(tmp_path / "absent") == {}


words = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1)


@given(words, words, words)
@settings(max_examples=50, deadline=None)
def test_redaction_keeps_the_rest(user: str, password: str, path: str) -> None:
    url = f"https://{user}:{password}@index.test/{path}"

    assert redact(f"see {url} there") == f"see https://***@index.test/{path} there"
    assert without_credentials(url) == f"https://index.test/{path}"


def test_an_at_sign_in_a_path_is_no_credential() -> None:
    assert redact("https://index.test/a@b") == "https://index.test/a@b"


PROXIES = {"http": "http://p.test:1", "https": "http://p.test:2"}


@pytest.mark.parametrize(
    ("url", "no_proxy", "expected"),
    [
        ("http://a.test/", (), "http://p.test:1"),
        ("https://a.test/", (), "http://p.test:2"),
        ("https://a.test/", ("b.test",), "http://p.test:2"),
        ("https://a.test/", ("*",), None),
        ("https://a.test/", ("a.test",), None),
        ("https://x.a.test/", (" .A.test",), None),
        ("https://x.a.test/", ("*.a.test",), None),
        ("https://xa.test/", ("a.test",), "http://p.test:2"),
        ("https://a.test:8443/", ("a.test:8443",), None),
        ("https://a.test:8443/", ("a.test:1",), "http://p.test:2"),
        ("https://10.1.2.3/", ("10.0.0.0/8",), None),
        ("https://10.1.2.3/", ("11.0.0.0/8", ""), "http://p.test:2"),
        ("https://[::1]/", ("::1",), None),
        ("file:///x", (), None),
    ],
)
def test_the_proxy_for_a_url(
    url: str, no_proxy: tuple[str, ...], expected: str | None
) -> None:
    assert proxy_for(url, PROXIES, no_proxy) == expected


def test_one_proxy_may_serve_all_schemes() -> None:
    assert proxy_for("https://a.test/", {"all": "http://p.test"}, ()) == "http://p.test"
