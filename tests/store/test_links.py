"""The links that are listed, looked at again and again while garbage is collected."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fromager.store import Digest, InvalidRecord, LocalStore, StorePath, open_store
from fromager.store.layout import StoreLayout
from fromager.store.links import Links, LinkState, Listed, parse_listing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    with open_store(tmp_path / "store") as opened:
        yield opened


def linked(store: LocalStore, link: Path, content: bytes = b"") -> str:
    with store.transaction() as transaction:
        path = transaction.add_bytes(content or link.name.encode(), "object").path
    store.link_root(link, path.below(store.root))
    return str(path)


def found(links: Links) -> dict[str, tuple[LinkState, str]]:
    return {each.link: (each.state, each.target) for each in links.all()}


def test_what_is_listed_right_after_a_look_is_seen(
    store: LocalStore, tmp_path: Path
) -> None:
    links = Links(StoreLayout(store.root))
    wanted = {}
    links.watch()
    for number in range(20):
        link = tmp_path / f"link{number}"
        wanted[str(link)] = (LinkState.THERE, linked(store, link))
        assert found(links) == wanted


def test_nothing_is_missed_when_another_watches_in_between(
    store: LocalStore, tmp_path: Path
) -> None:
    one, other = (Links(StoreLayout(store.root)) for _ in range(2))
    one.watch()
    assert found(one) == {}
    path = linked(store, tmp_path / "link")
    other.watch()

    one.watch()

    assert found(one) == {str(tmp_path / "link"): (LinkState.THERE, path)}


def test_a_link_that_is_led_elsewhere_or_removed_is_seen(
    store: LocalStore, tmp_path: Path
) -> None:
    links = Links(StoreLayout(store.root))
    link, other = tmp_path / "link", tmp_path / "other"
    path, new = linked(store, link), linked(store, other, b"new")
    links.watch()
    before = links.all()
    assert links.all() is before

    other.replace(link)

    assert found(links) == {
        str(link): (LinkState.THERE, new),
        str(other): (LinkState.GONE, new),
    }
    link.unlink()
    link.symlink_to(os.path.relpath(store.root / path, tmp_path))
    assert found(links)[str(link)] == (LinkState.THERE, path)
    link.unlink()
    assert found(links)[str(link)] == (LinkState.GONE, path)


def let_time_pass(folder: Path) -> None:
    """Return when the file system's clock shows another time than now."""
    probe = folder / "probe"
    probe.write_bytes(b"")
    before = probe.stat().st_ctime_ns
    while probe.stat().st_ctime_ns == before:
        probe.chmod(0o600)


def test_a_link_that_is_led_elsewhere_in_a_folder_long_unchanged_is_seen(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = Links(StoreLayout(store.root))
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    link, other = tmp_path / "one" / "link", tmp_path / "two" / "link"
    path, new = linked(store, link, b"first"), linked(store, other, b"other")
    let_time_pass(tmp_path)
    # An hour later all of it is old.
    monkeypatch.setattr(
        "fromager.store.links.time_ns", lambda: time.time_ns() + 3600 * 10**9
    )
    links.watch()
    before = links.all()
    assert links.all() is before

    link.unlink()
    link.symlink_to(store.root / new)
    assert found(links) == {
        str(link): (LinkState.THERE, new),
        str(other): (LinkState.THERE, new),
    }
    let_time_pass(tmp_path)
    (tmp_path / "two").rename(tmp_path / "three")
    (tmp_path / "two").mkdir()
    assert found(links)[str(other)] == (LinkState.GONE, new)

    let_time_pass(tmp_path)
    (tmp_path / "two").rmdir()
    (tmp_path / "three").rename(tmp_path / "two")
    assert found(links)[str(other)] == (LinkState.THERE, new)
    assert path != new


@given(st.text(), st.text(), st.integers(-1, 1 << 70))
@settings(max_examples=100, deadline=None)
def test_whatever_a_listing_says_is_read_as_it_was_written(
    link: str, mount: str, made: int
) -> None:
    path = str(StorePath.of(Digest(b"d" * 32), "object"))
    record = {"version": 1, "link": link, "mount": mount, "path": path, "made": made}

    read = parse_listing("it", json.dumps(record).encode())

    assert read == Listed(link, mount, path, made, "it")


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"path": "x"},
        {"path": "../" + "a" * 32 + "-object"},
        {"link": 1},
        {"made": "then"},
    ],
    ids=str,
)
def test_what_is_no_listing_is_refused(change: dict[str, object]) -> None:
    path = str(StorePath.of(Digest(b"d" * 32), "object"))
    record = {"version": 1, "link": "/l", "mount": "/", "path": path, "made": 1}

    with pytest.raises(InvalidRecord):
        parse_listing("it", json.dumps(record | change).encode())
