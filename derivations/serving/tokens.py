"""Tokens: who shows one may read."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fromager.derivations.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Tokens:
    """The tokens that are accepted; their hashes only, so that they are never shown."""

    hashes: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, texts: Iterable[str]) -> Tokens:
        """These tokens.

        Raises:
            InputError: one is empty, or cannot stand in a header.
        """
        found = []
        for text in texts:
            if not text or not text.isascii() or not text.isprintable() or " " in text:
                raise InputError(
                    "a token is empty, or holds blanks or characters outside ASCII",
                    hint="Make one of letters and digits, with `openssl rand -hex 32`",
                )
            found.append(_hash(text.encode()))
        return cls(tuple(found))

    def admit(self, authorization: bytes | None) -> bool:
        """Whether a request with this header may be answered.

        It shows a token as bearer (RFC 6750), or as the password of any user (RFC 7617).
        """
        if not self.hashes:
            return True
        shown = _hash(_token(authorization or b""))
        # Of hashes: how far a wrong token agrees with a right one takes no time to tell.
        return any(hmac.compare_digest(shown, each) for each in self.hashes)


def read_tokens(text: str) -> tuple[str, ...]:
    """The tokens in a file: one a line, without empty lines and comments (`#`)."""
    lines = (line.strip() for line in text.splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def _token(authorization: bytes) -> bytes:
    scheme, _, value = authorization.strip().partition(b" ")
    value = value.strip()
    if scheme.lower() == b"bearer":
        return value
    if scheme.lower() != b"basic":
        return b""
    try:
        user_and_password = base64.b64decode(value, validate=True)
    except ValueError:
        return b""
    return user_and_password.partition(b":")[2]


def _hash(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
