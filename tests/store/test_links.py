"""The links that are listed, looked at again and again while garbage is collected."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from fromager.store import LocalStore, open_store
from fromager.store.layout import StoreLayout
from fromager.store.links import Links, LinkState

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
