"""A machine's fingerprint, taken for the first time in a process of its own.

It reads hundreds of megabytes and copies some of them. This process has sources to
fetch and to unpack meanwhile, and one interpreter does not do both at once.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from fromager.derivations.building.platform import (
    HostBase,
    host_platform,
    is_remembered,
)
from fromager.derivations.building.probe import interpreter_of

if TYPE_CHECKING:
    from fromager.derivations.building.facts import Facts
    from fromager.derivations.interpreter import Interpreter


class SentFacts:
    """Facts that are sent to another process in the end; none are known before."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], bytes] = {}
        """Values by namespace and key."""

    def recall(self, namespace: str, key: str) -> bytes | None:
        """What was remembered here."""
        return self.rows.get((namespace, key))

    def remember(self, namespace: str, key: str, value: bytes) -> None:
        """Keep a value until it is sent."""
        self.rows[namespace, key] = value


def host_platform_apart(
    interpreter: Interpreter, cache_folder: Path, facts: Facts, thorough: bool = True
) -> HostBase:
    """What `host_platform` gives.

    A process of its own looks only where nothing is remembered of the interpreter:
    else little is left to read. Where it fails, this one looks, and says why.
    """
    if not is_remembered(interpreter, facts):
        rows = _found_apart(interpreter, cache_folder)
        for namespace, key, value in rows:
            facts.remember(namespace, key, value.encode())
        thorough = thorough and not rows
    return host_platform(interpreter, cache_folder, facts, thorough=thorough)


def _found_apart(
    interpreter: Interpreter, cache_folder: Path
) -> list[tuple[str, str, str]]:
    question = {"interpreter": asdict(interpreter), "cache": str(cache_folder)}
    try:
        ended = subprocess.run(
            [sys.executable, "-P", "-m", __name__],
            input=json.dumps(question).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        return json.loads(ended.stdout) if ended.returncode == 0 else []
    except (OSError, ValueError):
        return []


def main() -> None:
    """Read a question from standard input, and write what is to be remembered."""
    question = json.load(sys.stdin)
    facts = SentFacts()
    interpreter = interpreter_of(question["interpreter"])
    host_platform(interpreter, Path(question["cache"]), facts, thorough=True)
    json.dump(
        [[*place, value.decode()] for place, value in facts.rows.items()], sys.stdout
    )


if __name__ == "__main__":
    main()
