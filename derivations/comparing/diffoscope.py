"""What diffoscope says of two artifacts, where it is installed."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final

from fromager.derivations.errors import DerivationError

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT: Final = 600.0
"""Seconds."""
LIMIT: Final = 20 << 20
"""Bytes of its report that are kept."""


def diffoscope(executable: str, first: Path, second: Path) -> str:
    """Its report as text; "" if it finds no difference.

    Raises:
        DerivationError: it fails, or takes longer than ten minutes.
    """
    command = [
        executable,
        "--exclude-directory-metadata=yes",
        f"--max-text-report-size={LIMIT}",
        "--text=-",
        str(first),
        str(second),
    ]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise DerivationError(f"diffoscope failed: {error}") from error
    if done.returncode not in (0, 1):
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise DerivationError(f"diffoscope failed: {said[-1] if said else 'no word'}")
    return done.stdout[:LIMIT].decode("utf-8", "replace")
