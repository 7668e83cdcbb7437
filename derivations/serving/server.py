"""The server: it listens, and does not wait for those who are slow."""

from __future__ import annotations

import asyncio
import resource
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from starlette.responses import PlainTextResponse
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from fromager.derivations.errors import DerivationError
from fromager.derivations.realising.events import Noted
from fromager.derivations.serving.listening import BACKLOG, Answered
from fromager.derivations.serving.sending import with_files
from fromager.store import ObjectMissing, StoreError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from fromager.derivations.realising.events import Reporter
    from fromager.derivations.serving.listening import Tls
    from fromager.derivations.serving.tokens import Tokens

CONNECTIONS: Final = 1000
"""More than these at once are told to come again."""
PATIENCE: Final = 20.0
"""Seconds that a request may take to arrive, and that nothing of an answer may be taken.
"""
LONGEST_REQUEST: Final = 64 << 10
"""Bytes that a request's head may have."""
FILES: Final = 8192
"""Files that may be open at once, where the system allows it."""
GOODBYE: Final = 5
"""Seconds that answers which are being sent are given at the end."""


def serve(
    application: ASGIApp,
    listener: socket.socket,
    *,
    tokens: Tokens,
    tls: Tls | None,
    report: Reporter,
    answered: Callable[[Answered], None] | None,
    started: Callable[[], None],
) -> None:
    """Answer requests until SIGINT or SIGTERM comes; `started` is called before."""
    _allow_files()
    guarded = _Guarded(application, tokens, report, answered)
    config = uvicorn.Config(
        guarded,
        http=_patient,  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        backlog=BACKLOG,
        timeout_graceful_shutdown=GOODBYE,
        ssl_certfile=tls.certificate if tls is not None else None,
        ssl_keyfile=tls.private_key if tls is not None else None,
    )
    _Server(config, started).run([listener])


class _Server(uvicorn.Server):
    """Ends in good order when it is told to; that is no failure."""

    def __init__(self, config: uvicorn.Config, tell: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = tell

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._tell()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        wanted = (signal.SIGINT, signal.SIGTERM)
        before = {each: signal.signal(each, self.handle_exit) for each in wanted}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


class _Guarded:
    """Lets in who shows a token; tells of what went wrong, and of all that was asked."""

    def __init__(
        self,
        application: ASGIApp,
        tokens: Tokens,
        report: Reporter,
        answered: Callable[[Answered], None] | None,
    ) -> None:
        self._application, self._tokens = application, tokens
        self._report, self._answered = report, answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False
        scope, send = with_files(scope, send, PATIENCE)

        async def heard(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                if self._answered is not None:
                    self._answered(_answer(scope, message["status"]))
            await send(message)

        authorization = dict(scope["headers"]).get(b"authorization")
        answer: ASGIApp = self._application
        if not self._tokens.admit(authorization):
            challenge = {"WWW-Authenticate": 'Basic realm="fromager", charset="UTF-8"'}
            answer = PlainTextResponse("a token is needed\n", 401, challenge)
        try:
            await answer(scope, receive, heard)
        except (ConnectionError, TimeoutError):
            # Whoever goes away, or takes nothing any more, needs no answer.
            return
        except (StoreError, DerivationError, OSError) as error:
            # Once begun, an answer that is cut off is all that can be said.
            self._report(Noted(scope["path"], str(error)))
            if not begun:
                gone = isinstance(error, ObjectMissing)
                text = "not here any more\n" if gone else "the store cannot be read\n"
                failed = PlainTextResponse(text, 404 if gone else 500)
                await failed(scope, receive, heard)


def _answer(scope: Scope, status: int) -> Answered:
    target = scope["raw_path"].decode("ascii", "replace")
    client = scope["client"]
    return Answered(client[0] if client else "", scope["method"], target, status)


def _patient(**parts: Any) -> asyncio.Protocol:
    return _Patient(AutoHTTPProtocol(**parts))


class _Patient(asyncio.Protocol):
    """Ends connections whose requests do not arrive, or whose answers are not taken."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._loop = asyncio.get_running_loop()
        self._reading: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None
        self._received = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._inner.connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)
        cycle = self._inner.cycle
        if cycle is not None and not cycle.response_complete:
            self._received = 0
            _cancel(self._reading)
            self._reading = None
            return
        self._received += len(data)
        if self._received > LONGEST_REQUEST:
            self._transport.abort()
        elif self._reading is None:
            self._wait()

    def eof_received(self) -> bool | None:
        kept: bool | None = self._inner.eof_received()
        return kept

    def connection_lost(self, error: Exception | None) -> None:
        _cancel(self._reading)
        _cancel(self._writing)
        self._inner.connection_lost(error)

    def pause_writing(self) -> None:
        self._writing = self._loop.call_later(PATIENCE, self._transport.abort)
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        _cancel(self._writing)
        self._inner.resume_writing()

    def _wait(self) -> None:
        self._reading = self._loop.call_later(PATIENCE, self._transport.abort)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def _allow_files() -> None:
    """Each connection is a file, and so is each wheel that is being sent."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
