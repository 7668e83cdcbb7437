"""Files that the kernel sends by itself, without a detour through this process.

That is `sendfile(2)`. Web applications ask for it by an extension of ASGI, "pathsend",
which uvicorn does not have: it is added here, for plain HTTP.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.concurrency import run_in_threadpool

if TYPE_CHECKING:
    from starlette.types import Message, Scope, Send

EXTENSION: Final = "http.response.pathsend"
SPAN: Final = 256 << 10
"""Bytes that a client must take within the time it is given."""


def with_files(scope: Scope, send: Send, patience: float) -> tuple[Scope, Send]:
    """Scope and `send` of a request whose answer may be a file; as they were, where
    that cannot be. `patience` is in seconds."""
    # What uvicorn gives is a method of the request; the other parser counts for
    # itself what is sent, and what is encrypted has to pass through here.
    request = getattr(send, "__self__", None)
    if scope["scheme"] != "http" or not hasattr(request, "expected_content_length"):
        return scope, send
    extensions = {**scope.get("extensions", {}), EXTENSION: {}}
    sending = partial(_send, request, send, patience)
    return {**scope, "extensions": extensions}, sending


async def _send(request: Any, send: Send, patience: float, message: Message) -> None:
    if message["type"] != EXTENSION:
        await send(message)
        return
    try:
        await _send_file(request.transport, Path(message["path"]), patience)
    except (OSError, TimeoutError):
        request.transport.abort()
        # The loop tells the request of it, which is then over.
        await asyncio.sleep(0)
        raise
    request.expected_content_length = 0
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_file(
    transport: asyncio.WriteTransport, path: Path, patience: float
) -> None:
    loop = asyncio.get_running_loop()
    with await run_in_threadpool(path.open, "rb") as file:
        at = 0
        while True:
            if transport.is_closing():
                raise ConnectionResetError("the client has gone away")
            span = loop.sendfile(transport, file, at, SPAN)
            sent = await asyncio.wait_for(span, patience)
            if sent == 0:
                return
            at += sent
