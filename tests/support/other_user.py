"""Code that runs as another user, who has no rights."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOBODY = 65534

_BEGIN = """
import ctypes, os, pwd, sys
from pathlib import Path
sys.path[:0] = {path!r}
import fromager.store as names
import fromager.store.transaction, fromager.store.materialise, fromager.store.roots
import fromager.store.logs, select, tempfile
from fromager.store import *
for name in names.__all__:
    getattr(names, name)
base = Path({base!r})
os.setgid({user})
os.setuid({user})
"""


@contextmanager
def started_as_nobody(base: Path, code: str) -> Iterator[subprocess.Popen[str]]:
    """Code that runs as a user without rights; its `base` is the folder."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    begin = _BEGIN.format(path=sys.path, base=str(base), user=NOBODY)
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", begin + code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def as_nobody(base: Path, code: str, cwd: Path | None = None) -> str:
    """What code prints that runs as a user without rights."""
    moved = f"os.chdir({str(cwd or base)!r})\n{code}"
    with started_as_nobody(base, moved) as process:
        out, err = process.communicate()
    assert process.returncode == 0, err
    return out
