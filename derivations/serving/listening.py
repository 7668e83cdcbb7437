"""Where a server listens, and with which certificate."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fromager.derivations.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

BACKLOG: Final = 1024
"""Connections that may wait for being accepted."""


@dataclass(frozen=True)
class Tls:
    """The files of a server's certificate (with those above it) and of its key."""

    certificate: Path
    private_key: Path


@dataclass(frozen=True)
class Answered:
    """A request, and the status that it was answered with."""

    client: str
    method: str
    target: str
    """As it was sent; percent-encoded."""
    status: int


def listen(host: str, port: int) -> socket.socket:
    """A socket at an address of this machine; port 0 is any that is free.

    Raises:
        InputError: there is no such address, or somebody else uses it.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, kind, protocol)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(address)
            made.listen(BACKLOG)
        except BaseException:
            made.close()
            raise
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"cannot listen at {host}, port {port}: {reason}",
            hint="Choose another address or port; port 0 is any that is free",
        ) from error
    return made


def check_tls(tls: Tls) -> None:
    """Check that a certificate and its key can be used.

    Raises:
        InputError: they cannot be read, or do not belong together.
    """
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # Nobody is there who could be asked for a password.
        context.load_cert_chain(tls.certificate, tls.private_key, password="")
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"the certificate {tls.certificate} cannot be used with the private key "
            f"{tls.private_key}: {reason}",
            hint="Both are PEM files, the key without a password",
        ) from error
