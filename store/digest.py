"""Digests: what a store object, a file or a record is, in 256 bits.

A blob's digest is plain BLAKE3-256 of its bytes, so that `b3sum` agrees.
Everything else that is hashed uses BLAKE3's key derivation with a context of its
own (BLAKE3 specification, section 2.3, `derive_key`), so that no two kinds of
thing can ever share a digest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from blake3 import blake3

from fromager.store.errors import InvalidRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

ALGORITHM: Final = "blake3"
SIZE: Final = 32
TREE_CONTEXT: Final = "fromager store 2026-11 tree listing v1"
PATH_CONTEXT: Final = "fromager store 2026-11 store path v1"
DERIVATION_CONTEXT: Final = "fromager store 2026-11 derivation v1"
RECORD_CONTEXT: Final = "fromager store 2026-11 record v1"

_PATTERN: Final = re.compile(rf"{ALGORITHM}:([0-9a-f]{{64}})")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A BLAKE3-256 digest, written `blake3:` and 64 lower-case hex digits."""

    raw: bytes
    """The 32 bytes."""

    def __post_init__(self) -> None:
        if len(self.raw) != SIZE:
            raise InvalidRecord("digest", f"{len(self.raw)} bytes instead of {SIZE}")

    def __hash__(self) -> int:
        # Sets and dictionaries hold as many as there are files.
        return hash(self.raw)

    @classmethod
    def parse(cls, text: str) -> Digest:
        """The digest written as `blake3:<hex>`.

        Raises:
            InvalidRecord: anything else.
        """
        match = _PATTERN.fullmatch(text)
        if match is None:
            raise InvalidRecord(f"digest {text!r}", "expected blake3:<64 hex digits>")
        return cls(bytes.fromhex(match.group(1)))

    @property
    def hex(self) -> str:
        """The 64 hex digits alone."""
        return self.raw.hex()

    def __str__(self) -> str:
        return f"{ALGORITHM}:{self.raw.hex()}"


def blob_digest(content: bytes) -> Digest:
    """The digest of a file with these bytes."""
    return Digest(blake3(content).digest())


def stream_digest(chunks: Iterable[bytes]) -> Digest:
    """The digest of a file whose bytes are these chunks, wherever they are cut."""
    hasher = blake3()
    for chunk in chunks:
        hasher.update(chunk)
    return Digest(hasher.digest())


def derived_digest(context: str, content: bytes) -> Digest:
    """The digest of something that is not a blob; one context per kind of thing."""
    return Digest(blake3(content, derive_key_context=context).digest())
