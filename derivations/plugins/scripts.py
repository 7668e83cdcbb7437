"""The scripts that call plugins, and what names their content in keys."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fromager.store import blob_digest

INSIDE: Final = "/fromager"
"""Where they are seen inside."""
_SCRIPTS: Final = (
    *("caller.py", "stand_in.py", "upstream_modules.py", "upstream_resolver.py"),
)


def scripts() -> dict[str, Path]:
    """What calls plugins: where it is seen inside, and where it lies."""
    return {f"{INSIDE}/{name}": Path(__file__).with_name(name) for name in _SCRIPTS}


def caller_digest() -> str:
    """Names what calls plugins; part of the key of what they have a say in."""
    content = b"".join(path.read_bytes() for path in scripts().values())
    return blob_digest(content).hex[:16]
