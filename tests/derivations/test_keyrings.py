"""Passwords from a keyring: asked for when a server wants one, and only then."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from fromager.derivations.errors import NetworkError
from fromager.derivations.index.address import IndexUrl
from fromager.derivations.index.client import open_client
from fromager.derivations.index.configuration import Surroundings, find_http_settings
from fromager.derivations.index.retries import Retries
from support.index import LocalIndex, local_index

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fromager.derivations.index.client import HttpIndexClient

SECRET = ("me", "canary")
PROGRAM = """#!/bin/sh
echo "$@" >> {log}
case "$*" in
  "--mode creds --output json get {known}")
    echo '{{"username": "me", "password": "canary"}}' ;;
  "get {known} me") echo canary ;;
  *) exit 1 ;;
esac
"""


@dataclass
class Machine:
    """A home with a keyring that knows one place."""

    folder: Path
    known: str = ""

    def __post_init__(self) -> None:
        (self.folder / "bin").mkdir()

    @property
    def asked(self) -> list[str]:
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []

    def install(self, known: str) -> None:
        program = self.folder / "bin" / "keyring"
        program.write_text(PROGRAM.format(log=self.folder / "log", known=known))
        program.chmod(0o755)

    @contextmanager
    def client(self, url: str, **environ: str) -> Iterator[HttpIndexClient]:
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        around = Surroundings(
            {"PATH": path, **environ}, self.folder, self.folder, self.folder
        )
        client = open_client(
            (IndexUrl.parse(url, "test", self.folder),),
            lambda: find_http_settings(around),
            self.folder / "cache",
            retries=Retries(tries=1),
        )
        try:
            yield client
        finally:
            client.close()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def private() -> Iterator[LocalIndex]:
    with local_index({"pkg-1.0.tar.gz": b"x"}, credentials=SECRET) as index:
        yield index


def test_a_server_that_wants_a_password_gets_that_of_the_keyring(
    machine: Machine, private: LocalIndex, tmp_path: Path
) -> None:
    machine.install(private.url)

    with machine.client(private.url) as client:
        assert client.lookup("pkg") is not None
        client.download(private.file_url("pkg-1.0.tar.gz"), tmp_path / "file")

    assert machine.asked == [f"--mode creds --output json get {private.url}"]
    assert [request.status for request in private.requests].count(401) == 1


def test_the_host_is_asked_for_where_the_address_is_not_known(
    machine: Machine, private: LocalIndex
) -> None:
    host = private.base.removeprefix("http://")
    machine.install(host)

    with machine.client(private.url) as client:
        assert client.lookup("pkg") is not None

    assert [line.rpartition(" ")[2] for line in machine.asked] == [private.url, host]


def test_a_user_in_the_address_is_asked_for(
    machine: Machine, private: LocalIndex
) -> None:
    machine.install(private.url)

    with machine.client(private.url.replace("://", "://me@")) as client:
        assert client.lookup("pkg") is not None

    assert machine.asked == [f"get {private.url} me"]


def test_a_server_that_wants_nothing_is_not_looked_up(
    machine: Machine, tmp_path: Path
) -> None:
    with local_index({"pkg-1.0.tar.gz": b"x"}) as index:
        machine.install(index.url)
        with machine.client(index.url) as client:
            assert client.lookup("pkg") is not None

    assert machine.asked == []


@pytest.mark.parametrize("variable", ["PIP_KEYRING_PROVIDER", "UV_KEYRING_PROVIDER"])
def test_a_keyring_can_be_left_out(
    machine: Machine, private: LocalIndex, variable: str
) -> None:
    machine.install(private.url)

    with (
        machine.client(private.url, **{variable: "disabled"}) as client,
        pytest.raises(NetworkError, match="401"),
    ):
        client.lookup("pkg")

    assert machine.asked == []


def test_a_keyring_that_knows_nothing_is_asked_once(
    machine: Machine, private: LocalIndex
) -> None:
    machine.install("nothing")

    with machine.client(private.url) as client:
        for _ in range(2):
            with pytest.raises(NetworkError, match="401"):
                client.lookup("pkg")

    assert len(machine.asked) == 2
