"""Logs of builds: one per key, compressed; the last build's replaces the one before."""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, Final

from fromager.store.effects import no_effect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

_GZIP: Final = 31
"""zlib's `wbits` for a gzip stream (RFC 1952); its time field is then 0."""
_CHUNK: Final = 1 << 18


def write_log(
    source: Path,
    temporary: Path,
    target: Path,
    effect: Callable[[str], None] = no_effect,
) -> None:
    """Compress a log to its place; whoever reads there sees it whole or not at all."""
    effect("make folder")
    target.parent.mkdir(exist_ok=True)
    effect("write log")
    with source.open("rb") as stream, temporary.open("wb") as packed:
        for part in _compressed(stream):
            packed.write(part)
        os.fchmod(packed.fileno(), 0o444)
    effect("rename log")
    temporary.replace(target)


def read_log(path: Path) -> bytes | None:
    """The text of a log; None if there is none, or it was damaged."""
    try:
        return zlib.decompress(path.read_bytes(), wbits=_GZIP)
    except (FileNotFoundError, zlib.error):
        return None


def _compressed(stream: BinaryIO) -> Iterator[bytes]:
    packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
    while content := stream.read(_CHUNK):
        yield packer.compress(content)
    yield packer.flush()
