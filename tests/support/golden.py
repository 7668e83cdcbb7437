"""Golden files: what a test computes is compared with what was agreed upon.

`FROMAGER_ACCEPT=1` rewrites them, and makes the test fail so that it cannot pass
unnoticed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parent.parent / "data"


def check_golden(name: str, value: Any) -> None:
    """Compare a JSON value with the golden file of that name below `tests/data`."""
    path = DATA / name
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=True) + "\n"
    if os.environ.get("FROMAGER_ACCEPT") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        pytest.fail(f"{name} was rewritten: look at the difference, then run again")

    assert json.loads(path.read_text()) == json.loads(text)
