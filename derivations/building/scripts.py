"""The scripts that run inside the sandbox, and what names their content in keys."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from fromager.derivations.errors import DerivationError
from fromager.store import blob_digest

INSIDE: Final = "/fromager"
"""Where they are seen inside."""

BYTECODE: Final = Path(__file__).with_name("bytecode.py")
"""Compiles a layout."""


def hook_scripts() -> dict[str, Path]:
    """What calls a backend's hooks: where it is seen inside, and where it lies.

    Raises:
        DerivationError: pyproject-hooks is not installed.
    """
    # Found, not imported: that takes longer than all else here.
    found = find_spec("pyproject_hooks")
    if found is None or found.origin is None:
        raise DerivationError("pyproject-hooks is not installed beside fromager")
    hooks = Path(found.origin).parent / "_in_process" / "_in_process.py"
    return {
        f"{INSIDE}/runner.py": Path(__file__).with_name("runner.py"),
        f"{INSIDE}/_in_process.py": hooks,
    }


def runner_digest() -> str:
    """Names what calls hooks; part of the recipe of builds."""
    content = b"".join(path.read_bytes() for path in hook_scripts().values())
    return blob_digest(content).hex[:16]


def compiler_digest() -> str:
    """Names the script that makes bytecode; part of the recipe of layouts."""
    return blob_digest(BYTECODE.read_bytes()).hex[:16]
