"""Small things beside files: asked for once, and never waited for."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from fromager.derivations import NetworkError
from fromager.derivations.index.glances import LARGEST, Glances
from fromager.derivations.index.transport import Answer, Transient

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

URL = "https://index.test/attested"


@dataclass
class Server:
    """A transport that gives pieces, or what goes wrong."""

    pieces: list[bytes] = field(default_factory=lambda: [b"one ", b"two"])
    status: int = 200
    error: Exception | None = None
    held: threading.Event | None = None
    asked: list[str] = field(default_factory=list)
    began: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def open(
        self, url: str, headers: Mapping[str, str], *, decode: bool
    ) -> Iterator[Answer]:
        self.asked.append(url)
        self.began.set()
        if self.error is not None:
            raise self.error
        yield Answer(self.status, {}, url, self._body())

    def _body(self) -> Iterator[bytes]:
        yield from self.pieces
        if self.held is not None:
            self.held.wait()

    def close(self) -> None:
        """Nothing is open."""


def glances(server: Server, patience: float = 30.0) -> Glances:
    return Glances(lambda url: server, patience)


def test_what_lies_there_is_given() -> None:
    assert glances(Server()).at(URL) == b"one two"


@pytest.mark.parametrize(
    "server",
    [
        Server(status=404),
        Server(error=NetworkError(URL, "it is not allowed")),
        Server(pieces=[b" " * LARGEST, b" "]),
    ],
)
def test_what_is_not_to_be_had_is_none_and_others_are_asked_for(server: Server) -> None:
    asking = glances(server)

    assert asking.at(URL) is None
    assert asking.at(f"{URL}/other") is None
    assert len(server.asked) == 2


def test_a_server_that_fails_is_asked_no_more() -> None:
    server = Server(error=Transient("the server answered 503"))
    asking = glances(server)

    assert asking.at(URL) is None
    assert asking.at(f"{URL}/other") is None
    assert asking.at("https://other.test/attested") is None
    assert server.asked == [URL, "https://other.test/attested"]


def test_a_server_that_never_ends_is_not_waited_for() -> None:
    server = Server(held=threading.Event())
    asking = glances(server, patience=0.01)

    assert asking.at(URL) is None
    assert asking.at(f"{URL}/other") is None
    # It may begin after it was given up.
    assert server.began.wait(30)
    assert server.asked == [URL]
    assert server.held is not None
    server.held.set()
