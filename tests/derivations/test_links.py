"""Folders of archives, and pages with links to files of many projects."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fromager.derivations.errors import NetworkError
from fromager.derivations.index.address import IndexUrl
from fromager.derivations.index.client import HttpIndexClient
from fromager.derivations.index.http_transport import HttpTransport
from fromager.derivations.index.page_cache import PageCache
from fromager.derivations.index.retries import Retries
from fromager.derivations.index.transport import HttpSettings
from support.index import Fault, local_index

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def client(
    folder: Path, *places: IndexUrl, assigned: dict[str, IndexUrl] | None = None
) -> Iterator[HttpIndexClient]:
    every = (*places, *(assigned or {}).values())
    transport = HttpTransport(HttpSettings(), every, lambda: 0.0)
    found = HttpIndexClient(
        places,
        PageCache(folder / "cache"),
        lambda: transport,
        retries=Retries(tries=1),
        assigned=assigned,
    )
    try:
        yield found
    finally:
        found.close()


def links(place: str) -> IndexUrl:
    return IndexUrl.parse_links(place, "test", Path("/"))


def names(client: HttpIndexClient, project: str) -> list[str] | None:
    found = client.lookup(project)
    return None if found is None else [file.filename for file in found.page.files]


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    folder = tmp_path / "archives"
    folder.mkdir()
    for name in ("My_Pkg-1.0.tar.gz", "my-pkg-1.1.zip", "my_pkg_more-2.tar.gz"):
        (folder / name).write_text(name)
    (folder / "my_pkg-1.0-py3-none-any.whl").write_text("w")
    (folder / "notes.txt").write_text("n")
    (folder / "my-pkg-9.tar.gz").mkdir()
    return folder


def test_a_folder_has_the_archives_of_a_project(archives: Path, tmp_path: Path) -> None:
    with client(tmp_path, links(str(archives))) as found:
        page = found.lookup("my-pkg")

        assert page is not None
        assert [file.filename for file in page.page.files] == [
            *("My_Pkg-1.0.tar.gz", "my-pkg-1.1.zip", "my_pkg-1.0-py3-none-any.whl")
        ]
        first = page.page.files[0]
        assert first.url == (archives / "My_Pkg-1.0.tar.gz").as_uri()
        assert first.sha256 == hashlib.sha256(b"My_Pkg-1.0.tar.gz").hexdigest()
        assert names(found, "my-pkg-more") == ["my_pkg_more-2.tar.gz"]
        assert found.lookup("other") is None


def test_a_folder_is_looked_at_anew_when_it_changes(
    archives: Path, tmp_path: Path
) -> None:
    place = links(str(archives))
    with client(tmp_path, place) as found:
        before = found.lookup("my-pkg")
        absent = found.peek("other")
        found.lookup("other")
    with client(tmp_path, place) as found:
        peek, nothing = found.peek("my-pkg"), found.peek("other")
        assert before is not None and peek is not None and nothing is not None
        assert (peek.digest, peek.fresh, nothing.fresh) == (before.digest, True, True)
        assert absent is None
        (archives / "my-pkg-1.1.zip").write_text("changed")
        (archives / "other-1.0.tar.gz").write_text("new")
        for name in ("my-pkg", "other"):
            seen = found.peek(name)
            assert seen is not None and not seen.fresh
        again = found.lookup("my-pkg")
        assert again is not None and again.digest != before.digest
        assert names(found, "other") == ["other-1.0.tar.gz"]


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with (
        client(tmp_path, links("/no/such/folder")) as found,
        pytest.raises(NetworkError, match="/no/such/folder"),
    ):
        found.lookup("any")


def test_a_page_on_this_machine_has_links_to_files_beside_it(
    archives: Path, tmp_path: Path
) -> None:
    page = archives / "list.html"
    page.write_text(
        "<html><a href='My_Pkg-1.0.tar.gz'>x</a><a href='sub/other-1.tar.gz'></a></html>"
    )
    with client(tmp_path, links(str(page))) as found:
        seen = found.lookup("my-pkg")
        assert seen is not None
        assert seen.page.files[0].url == (archives / "My_Pkg-1.0.tar.gz").as_uri()
        assert names(found, "other") == ["other-1.tar.gz"]
        assert found.lookup("third") is None


def test_a_page_is_asked_for_once_in_a_run(tmp_path: Path) -> None:
    body = b"<html><a href='/f/a-1.tar.gz'></a><a href='/f/b-2.tar.gz'></a></html>"
    with local_index() as server:
        server.faults.append(Fault("/links", body=body))
        place = links(f"{server.base}/links")
        with client(tmp_path, place) as found:
            assert names(found, "a") == ["a-1.tar.gz"]
            assert names(found, "b") == ["b-2.tar.gz"]
            assert found.lookup("c") is None

    assert place.url.endswith("/links")
    # The server notes what it answers itself as well as planted faults.
    assert server.count("/links") == 1


def test_a_page_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with (
        local_index() as server,
        client(tmp_path, links(f"{server.base}/none.html")) as found,
        pytest.raises(NetworkError, match="no such page"),
    ):
        found.lookup("any")


def test_a_folder_that_is_not_there_is_an_error_with_a_hint(tmp_path: Path) -> None:
    absent = IndexUrl.parse_links("absent", "test", tmp_path)

    with (
        client(tmp_path, absent) as found,
        pytest.raises(NetworkError, match="absent/: the folder of links") as caught,
    ):
        found.lookup("demo")

    assert "path" in (caught.value.hint or "")


def test_the_first_place_with_a_project_answers_for_it(
    archives: Path, tmp_path: Path
) -> None:
    with local_index({"my-pkg-3.0.tar.gz": b"x", "other-1.0.tar.gz": b"x"}) as server:
        index = IndexUrl.parse(server.url, "test", tmp_path)
        with client(tmp_path, links(str(archives)), index) as found:
            assert "my-pkg-3.0.tar.gz" not in (names(found, "my-pkg") or [])
            assert names(found, "other") == ["other-1.0.tar.gz"]

        assert server.count("my-pkg") == 0


def test_a_project_with_an_index_of_its_own_is_looked_for_nowhere_else(
    tmp_path: Path,
) -> None:
    with local_index({"acme-9.0.tar.gz": b"x"}) as public, local_index() as private:
        places = IndexUrl.parse(public.url, "test", tmp_path)
        own = {"acme": IndexUrl.parse(private.url, "test", tmp_path)}
        with client(tmp_path, places, assigned=own) as found:
            assert found.lookup("acme") is None
            private.add("acme-1.0.tar.gz", b"y")
        with client(tmp_path / "anew", places, assigned=own) as found:
            assert names(found, "acme") == ["acme-1.0.tar.gz"]

        assert public.requests == []
